"""Registries of named declarations, such as families and methods, to which plug-ins can add."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Named(Protocol):
    """A declaration that has a name."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


def is_plug_in(name: str) -> bool:
    """Whether a name is `package.module:NAME`, which imports a plug-in's declaration."""
    return ":" in name


def import_attribute(path: str) -> Any:
    """Import what `module:attribute` names.

    Raises whatever the import of the module raises, or AttributeError.
    """
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


class Registry(Generic[T]):
    """Declarations by name.

    `package.module:NAME` names a plug-in's declaration. Its module is imported on the first look-up, and its name in
    grids, keys and results is the text with the colon.

    Args:
        adapt: `module:function` that returns the declaration of what a plug-in's name imports, under that name, or None
            if it is none; it raises ValueError if it is a faulty one. None: the declaration itself, renamed.
    """

    def __init__(self, kind: type[T], adapt: str | None = None):
        self.kind, self.adapt = kind, adapt
        self._declarations: dict[str, T] = {}

    def register(self, declaration: T) -> T:
        """Add a declaration under its name; it replaces an earlier one of that name."""
        self._declarations[declaration.name] = declaration
        return declaration

    @contextmanager
    def temporarily(self, declaration: T) -> Iterator[T]:
        """Register a declaration for the duration of the context, and restore the registry afterwards."""
        before = dict(self._declarations)
        try:
            yield self.register(declaration)
        finally:
            self._declarations = before

    def names(self) -> list[str]:
        """Return the names of the declarations, in the order in which they were registered."""
        return list(self._declarations)

    def __iter__(self) -> Iterator[T]:
        return iter(self._declarations.values())

    def built_in(self) -> list[T]:
        """Return the declarations that come with this package, in their order."""
        return [declaration for declaration in self if not is_plug_in(declaration.name)]

    def __contains__(self, name: str) -> bool:
        return name in self._declarations

    def get(self, name: str) -> T | None:
        """Return the declaration that is registered under a name, or None. Never imports a module."""
        return self._declarations.get(name)

    def __getitem__(self, name: str) -> T:
        """Return the declaration of a name, after importing its module if needed.

        Raises:
            KeyError: nothing is registered under the name, or its module or attribute cannot be imported; the message
                says why.
        """
        known = self._declarations.get(name)
        if known is not None:
            return known
        if not is_plug_in(name):
            raise KeyError(f"no {self.kind.__name__.lower()} {name}, only {', '.join(self._declarations)}")
        try:
            found = import_attribute(name)
        except Exception as error:  # a plug-in's module may raise anything
            raise KeyError(f"{name}: {type(error).__name__}: {error}") from error
        adapt: Callable[[Any, str], T | None] = self._renamed if self.adapt is None else import_attribute(self.adapt)
        try:
            declaration = adapt(found, name)
        except ValueError as error:
            raise KeyError(str(error)) from error
        if declaration is None:
            raise KeyError(f"{name} is a {type(found).__name__}, not a {self.kind.__name__}")
        return self.register(declaration)

    def _renamed(self, found: Any, name: str) -> T | None:
        if not isinstance(found, self.kind):
            return None
        return found if found.name == name else _with_name(found, name)

    def plug_ins(self) -> list[T]:
        """Return the declarations of plug-ins that were looked up so far."""
        return [declaration for declaration in self if is_plug_in(declaration.name)]


def _with_name(declaration: Any, name: str) -> Any:
    """Name a plug-in's declaration by the text that imports it, so that a worker can import it too."""
    return replace(declaration, name=name)


@dataclass(frozen=True)
class Choice:
    """Marks a setting whose value is a name in a registry. pydantic checks the name, and messages list all names."""

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
