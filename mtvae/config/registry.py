"""Named declarations: what families, methods and data sets there are, and how others add theirs."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Named(Protocol):
    """A declaration, known by its name."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


def is_plug_in(name: str) -> bool:
    """Whether a name is the text that imports somebody else's declaration."""
    return ":" in name


def load(path: str) -> Any:
    """What `module:attribute` names. Raises whatever the import of the module raises, or AttributeError."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


class Registry(Generic[T]):
    """Declarations by name. `package.module:NAME` names one of somebody else's: the module is imported when it is asked
    for, and the name in grids, keys and results stays the text with the colon."""

    def __init__(self, kind: type[T]):
        self.kind = kind
        self._known: dict[str, T] = {}

    def register(self, declaration: T) -> T:
        """Add a declaration under its name, in the place of an earlier one of that name."""
        self._known[declaration.name] = declaration
        return declaration

    @contextmanager
    def holding(self, declaration: T) -> Iterator[T]:
        """Hold a declaration while the context lasts; afterwards there is what was there before."""
        before = dict(self._known)
        try:
            yield self.register(declaration)
        finally:
            self._known = before

    def names(self) -> list[str]:
        """Names of the registered declarations, in the order in which they were registered."""
        return list(self._known)

    def __iter__(self) -> Iterator[T]:
        return iter(self._known.values())

    def built_in(self) -> list[T]:
        """The declarations that are not somebody else's, in their order."""
        return [declaration for declaration in self if not is_plug_in(declaration.name)]

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def known(self, name: str) -> T | None:
        """The declaration of a name that is registered already; nothing is imported."""
        return self._known.get(name)

    def __getitem__(self, name: str) -> T:
        """The declaration of a name.

        Raises:
            KeyError: nothing is registered under it, or its module or attribute cannot be had; the message says why.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        if not is_plug_in(name):
            raise KeyError(f"no {self.kind.__name__.lower()} {name}, only {', '.join(self._known)}")
        try:
            found = load(name)
        except Exception as error:  # somebody else's module may raise anything
            raise KeyError(f"{name}: {type(error).__name__}: {error}") from error
        if not isinstance(found, self.kind):
            raise KeyError(f"{name} is a {type(found).__name__}, not a {self.kind.__name__}")
        return self.register(found if found.name == name else _renamed(found, name))


def _renamed(declaration: Any, name: str) -> Any:
    """Somebody else's declaration goes by the text that imports it: a worker must be able to import it too."""
    return replace(declaration, name=name)


@dataclass(frozen=True)
class Choice:
    """Marks a setting whose value is a name in a registry. pydantic checks it, and messages list the names."""

    registry: "Registry[Any]"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str) -> str:
        if name in self.registry:
            return name
        try:
            self.registry[name]
        except KeyError as error:
            if is_plug_in(name):
                raise PydanticCustomError("plug_in", "{why}", {"why": error.args[0]}) from None
            raise PydanticCustomError("literal_error", "one of {names}", {"names": ", ".join(self)}) from None
        return name

    def __iter__(self) -> Iterator[str]:
        return iter(self.registry.names())
