"""Models of one's own: what a plug-in class says, and the family that is made of it.

A class of plain PyTorch that derives from `OwnModel` is a family as `package.module:Class`. This module does not import
torch. `mtvae.own_model` trains and scores such a class.
"""

import ast
import hashlib
import sys
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic.fields import FieldInfo

from mtvae.config.families import Family
from mtvae.config.metrics import OF_OUTPUTS, Metric, Scale
from mtvae.config.section import Section
from mtvae.config.sizes import Sizes, size_kind

if TYPE_CHECKING:
    from torch import Tensor, nn

RESERVED = frozenset({
    "key", "fold", "seed", "dataset", "family", "configuration", "method", "sampler", "exponent", "keep_models",
    "soft_adapt", "own_sizes", "unconditioned_per_pixel", "unconditioned_per_image", "conditioned_per_pixel",
    "conditioned_per_image", "training_unconditioned_per_pixel", "training_unconditioned_per_image",
    "mean_image_per_pixel", "collapsed", "best_epoch", "history", "given_pixels", "sampler_built_with",
    "parameters", "train_images", "selection_images", "test_images", "images_trained", "seconds", "resumed",
    "split_hash", "data_hash", "files_hash", "seeds", "device", "processor", "host", "peak_memory", "finished_at",
    "git_commit", "git_dirty", "versions", "declarations", "family_source", "stage", "parent_key", "order", "folds",
    "settings", "error", "total", "dead_codebook", "collapsed_posterior", "best_is_last", "still_falls",
})  # fmt: skip
"""Names that terms and metrics cannot have: other columns of the ledger, the history and tables."""


class Shape(NamedTuple):
    """What a model is built for: the images' channels and side, and the number of classes, 0 without labels."""

    channels: int
    side: int
    classes: int = 0


@dataclass(frozen=True)
class Batch:
    """Images (N,C,H,H), float32 in [0,1], and their labels (N,), int64; None where the data set has no labels."""

    images: "Tensor"
    labels: "Tensor | None" = None


class OwnModel(ABC):
    """Base class of a model of one's own. `docs/own_model.md` shows two.

    Attributes:
        version: part of every key. Raise it when a change of the code changes the numbers.
        terms: the terms of the loss, as names or as a `Metric` each. Lower is better.
        metrics: what else `measure` or `scores` returns, as names or as a `Metric` each.
        needs_labels: whether the data set must have labels.
        scale: the scale on which tables show the error of `reconstruct`.
        sizes: the values of the settings that `Sizes` declares.
    """

    version: ClassVar[int] = 1
    terms: ClassVar[tuple[str | Metric, ...]] = ()
    metrics: ClassVar[tuple[str | Metric, ...]] = ()
    needs_labels: ClassVar[bool] = False
    scale: ClassVar[Scale] = "per_image"

    class Sizes(Section):
        """The settings `model.X` of the model: fields with a type, a default and a description."""

    def __init__(self, sizes: Any):
        self.sizes = sizes

    @abstractmethod
    def build(self, shape: Shape) -> "nn.Module":
        """Return a new network for images of this shape."""

    @abstractmethod
    def measure(self, module: Any, batch: Batch) -> "Mapping[str, Tensor]":
        """Return the unweighted terms of the loss, and metrics, each a mean over the batch as a scalar."""

    def weights(self) -> dict[str, float]:
        """Return the weights of terms in the loss, by name; a term that is not in it has the weight 1."""
        return {}

    def reconstruct(self, module: Any, batch: Batch) -> "Tensor | None":
        """Return reconstructions (N,C,H,H) of the images; None: the model has none."""
        return None

    def scores(self, module: Any, batches: "Iterable[Batch]") -> dict[str, float]:
        """Return the scores of a set of images, by name: by default the means of what `measure` returns."""
        sums: dict[str, float] = {}
        n = 0
        for batch in batches:
            n += len(batch.images)
            for name, value in self.measure(module, batch).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch.images)
        return {name: total / n for name, total in sums.items()}

    def collapsed(self, scores: Mapping[str, float]) -> bool | None:
        """Return whether a fold with these scores of its test fold counts as collapsed; None: there is no such rule.

        By default it is collapsed if the error of its reconstructions is above half of the mean image's.
        """
        error = scores.get("unconditioned_per_pixel")
        return None if error is None else error > scores["mean_image_per_pixel"] / 2

    @classmethod
    def reconstructs(cls) -> bool:
        """Whether the class has reconstructions."""
        return cls.reconstruct is not OwnModel.reconstruct


def family_of(found: Any, name: str) -> Family | None:
    """Return the family of a plug-in's class or declaration; None for something else.

    Raises:
        ValueError: the class lacks something or declares it wrongly; the message names the class.
    """
    if isinstance(found, Family):
        return replace(found, name=name, source=source_hash(name))
    if not isinstance(found, type):
        return None
    try:
        return _family_of_class(found, name)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _family_of_class(found: type, name: str) -> Family:
    """Return the family of a class. Raise ValueError with the end of a sentence about it."""
    if not issubclass(found, OwnModel):
        raise ValueError("is a class that does not derive from mtvae.own_model.OwnModel")
    if missing := sorted(found.__abstractmethods__):
        raise ValueError(f"has no method {missing[0]}")
    if not isinstance(found.version, int) or isinstance(found.version, bool):
        raise ValueError(f"has the version {found.version!r}; it must be a whole number")
    terms = [replace(m, term=m.name, direction=m.direction or "lower") for m in _declared(found.terms, "terms")]
    metrics = [replace(m, term=None, validated=True) for m in _declared(found.metrics, "metrics")]
    if not terms:
        raise ValueError("has no terms")
    names = [metric.name for metric in (*terms, *metrics)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"declares {twice} twice in terms and metrics")
    return Family(
        name,
        latent_space="",
        cost="mtvae.own_model:cost",
        configurations={1: _default_sizes(found)},
        scale=found.scale,
        metrics=tuple(replace(metric, tabulated=True) for metric in (*terms, *metrics)),
        network="mtvae.own_model:Network",
        fit="mtvae.own_model:OwnFit",
        check="mtvae.own_model:check",
        decodes=False,
        reconstructs=found.reconstructs(),
        needs_labels=found.needs_labels,
        version=found.version,
        source=source_hash(name),
    )


def _declared(given: Any, what: str) -> list[Metric]:
    """Return terms or metrics as metrics. Raise ValueError for a name that cannot be a column of its own."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"has {what} that are no tuple of names or metrics")
    found = [Metric(item) if isinstance(item, str) else item for item in given]
    for metric in found:
        if not isinstance(metric, Metric):
            raise ValueError(f"has {metric!r} in {what}; it must be a name or a Metric")
        if not metric.name.isidentifier() or metric.scaled:
            raise ValueError(f"has {metric.name!r} in {what}; a name must be letters, digits and _")
        if metric.name in RESERVED:
            raise ValueError(f"has {metric.name} in {what}, which is the name of another column")
        if metric.name in (m.name for m in OF_OUTPUTS):
            raise ValueError(f"has {metric.name} in {what}, which is the error of reconstruct")
    return found


def _default_sizes(found: type[OwnModel]) -> Section:
    """Return the defaults of a class's sizes. Raise ValueError for a size that cannot be a setting."""
    sizes = found.Sizes
    if not (isinstance(sizes, type) and issubclass(sizes, Section)):
        raise ValueError("has Sizes that do not derive from mtvae.own_model.Section")
    for size, field in sizes.model_fields.items():
        if field.is_required():
            raise ValueError(f"has the size {size} without a default")
        if not field.description:
            raise ValueError(f"has the size {size} without a description")
        kind = size_kind(field)
        if kind is None:
            raise ValueError(f"has the size {size}, whose type is none of int, float, bool, str, tuple[int, ...]")
        if (known := Sizes.model_fields.get(size)) is not None and size_kind(known) is not kind:
            raise ValueError(f"has the size {size} with another type than model.{size} of built-in families")
    try:
        return sizes()
    except ValueError as error:
        raise ValueError(f"has sizes whose defaults are not valid: {error}".partition("\n")[0]) from None


def own_sizes(family: Family) -> dict[str, FieldInfo]:
    """Return the sizes that a family has and no built-in family has, by name."""
    fields = (type(sizes).model_fields for sizes in family.configurations.values())
    return {name: field for own in fields for name, field in own.items() if name not in Sizes.model_fields}


def source_hash(name: str) -> str:
    """Return a hash of the code of `package.module:NAME`, and of the modules beside it that it imports.

    Comments and the layout of the code do not count. The result is empty where there is no source.
    """
    module = sys.modules.get(name.partition(":")[0])
    digest = hashlib.sha256()
    for path in sorted(_files_of(module, set())) if module else ():
        digest.update(ast.dump(ast.parse(path.read_bytes())).encode())
    return digest.hexdigest()[:12] if module and _file(module) else ""


def _file(module: ModuleType) -> Path | None:
    """Return the Python file of a module that is not installed; None for all others."""
    path = getattr(module, "__file__", None)
    if path is None or not path.endswith(".py"):
        return None
    return Path(path).resolve()


def _files_of(module: ModuleType, seen: set[Path]) -> set[Path]:
    """Return the file of a module, and those of the modules in its folder, or below it, that it imports."""
    path = _file(module)
    if path is None or path in seen:
        return seen
    seen.add(path)
    package = module.__name__ if path.name == "__init__.py" else module.__name__.rpartition(".")[0]
    for name in _imported(ast.parse(path.read_bytes()), package):
        other = sys.modules.get(name)
        if other is not None and (file := _file(other)) is not None and path.parent in file.parents:
            _files_of(other, seen)
    return seen


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the names of modules that a module may import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [above, node.module or ""]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def local_modules(name: str) -> list[str]:
    """Return the files and packages that a worker elsewhere needs for `package.module:NAME`.

    These are the plug-in's top-level module or package, and those beside it that it imports. The list is empty where
    the plug-in is installed, because then each node must have it.
    """
    module = sys.modules.get(name.partition(":")[0])
    if module is None or _file(module) is None:
        return []
    depth = module.__name__.count(".") + (Path(str(module.__file__)).name == "__init__.py")
    folder = _file(module).parents[depth]  # type: ignore[union-attr]
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")}
    if installed & {folder, *folder.parents}:
        return []
    tops = {folder / path.relative_to(folder).parts[0] for path in _files_of(module, set())}
    return sorted(map(str, tops))
