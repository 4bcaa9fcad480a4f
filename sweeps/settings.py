"""All settings of one table row: their types, their defaults, and which of them apply together.

A setting is known by its dotted path (`training.lr`), in grid files, on the command line and as a column of the
results.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.fields import FieldInfo

from mtvae.config import (
    CONFIGURATIONS,
    Architecture,
    Conditioning,
    Evaluation,
    Family,
    Loss,
    Method,
    SamplerName,
    Section,
    Sizes,
    Training,
    resolve_sizes,
)
from sweeps.data import DATASETS, Data, image_count
from sweeps.folds import Folds, fold_sizes

Value = Any  # a plain value of a setting: str, int, float, bool, None or a tuple of int


class Resources(Section):
    """What one unit occupies while it trains. Bookkeeping of the scheduler, not part of a unit's identity."""

    cpus: Annotated[float, Field(gt=0)] = Field(1.0, description="CPU cores; a unit computes with one thread")
    gpus: Annotated[float, Field(ge=0)] = Field(0.0, description="share of a GPU, 0.25 for four units on one; 0: CPU")


class Settings(Section):
    """One configuration. After `resolve`, None means "does not apply"."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="of the whole sweep; folds derive theirs")
    data: Data = Data()
    folds: Folds = Folds()
    family: Family = Field("vqvae", description="the latent space")
    configuration: int = Field(1, description="numbered sizes of 3.4.2")
    method: Method = Field("none", description="the decoders")
    sampler: SamplerName | None = Field(None, description="which pixels condition (default uniform)")
    exponent: Annotated[float, Field(gt=0)] | None = Field(
        None, description="single_decoder: power law of the number of pixels (default 40)"
    )
    soft_adapt: Literal[False] = Field(False, description="adaptive loss weights")
    model: Sizes = Sizes()
    loss: Loss = Loss()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    resources: Resources = Resources()

    @property
    def architecture(self) -> Architecture:
        """What shapes the networks."""
        dataset = DATASETS[self.data.dataset]
        return Architecture(
            method=self.method,
            channels=dataset.channels,
            side=dataset.side,
            sizes=resolve_sizes(self.family, self.configuration, self.model),
        )

    @property
    def conditioning(self) -> Conditioning | None:
        """What the sampler is built with, None for a method without a condition."""
        return None if self.sampler is None else Conditioning(sampler=self.sampler, exponent=self.exponent)


def _leaves() -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from ((f"{name}.{leaf}", info) for leaf, info in field.annotation.model_fields.items())
        else:
            yield name, field


LEAVES: dict[str, FieldInfo] = dict(_leaves())
"""Every setting by its dotted path."""

SECTIONS = {path.partition(".")[0] for path in LEAVES if "." in path}


def options(annotation: Any) -> list[Any]:
    """The members of a setting's union type, seen through Annotated."""
    if get_origin(annotation) is Annotated:
        return options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for member in get_args(annotation) for option in options(member)]
    return [annotation]


@cache
def adapter(path: str) -> TypeAdapter[Any]:
    """The validator of one setting: strict, as in its section."""
    field = LEAVES[path]
    typed: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(typed, config=ConfigDict(strict=True, allow_inf_nan=False))


def flatten(settings: Settings) -> dict[str, Value]:
    """Every setting's value by its dotted path."""
    flat: dict[str, Value] = {}
    for path in LEAVES:
        section, _, leaf = path.partition(".")
        value = getattr(settings, section)
        flat[path] = getattr(value, leaf) if leaf else value
    return flat


def unflatten(flat: dict[str, Value]) -> Settings:
    """The inverse of `flatten`; what is missing takes its default."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        section, _, leaf = path.partition(".")
        if leaf:
            nested.setdefault(section, {})[leaf] = value
        else:
            nested[section] = value
    return Settings.model_validate(nested)


class Impossible(ValueError):
    """Settings that cannot stand together. `problems`: pairs of the setting to change and why."""

    def __init__(self, problems: list[tuple[str, str]]):
        super().__init__("; ".join(f"{path}: {why}" for path, why in problems))
        self.problems = problems


@dataclass(frozen=True)
class Rule:
    """A setting that applies to some rows only: where, its default there, and why not elsewhere."""

    applies: Callable[[Settings], bool]
    default: Value
    why_not: str


RULES = {
    "sampler": Rule(lambda s: s.method != "none", "uniform", "method none takes no condition"),
    "exponent": Rule(
        lambda s: s.method == "single_decoder", 40.0, "only method single_decoder draws its number of pixels"
    ),
    "loss.w2": Rule(lambda s: s.method == "multi_decoder", 1.0, "only method multi_decoder has a second decoder"),
    "loss.commitment_weight": Rule(lambda s: s.family == "vqvae", 0.25, "only family vqvae has a commitment loss"),
    "evaluation.latent": Rule(lambda s: s.family == "gaussian_vae", "sample", "only family gaussian_vae draws z"),
}


def resolve(flat: dict[str, Value], asked: frozenset[str]) -> Settings:
    """Settings with every default filled in and what does not apply set to None.

    Args:
        flat: values by dotted path, each valid on its own.
        asked: paths that were set for this very row, where one that does not apply is an error. A shared setting that
            does not apply to a row is left out there.

    Raises:
        Impossible: with every problem found.
    """
    settings = unflatten(flat)
    values = flatten(settings)
    problems: list[tuple[str, str]] = []
    for path, rule in RULES.items():
        if not rule.applies(settings):
            if path in asked and values[path] is not None:
                problems.append((path, rule.why_not))
            values[path] = None
        elif values[path] is None:
            values[path] = rule.default
    if settings.configuration not in CONFIGURATIONS[settings.family]:
        known = ", ".join(map(str, CONFIGURATIONS[settings.family]))
        problems.append(("configuration", f"{settings.family} has no {settings.configuration}, only {known}"))
    else:
        values |= _sizes(settings, asked, problems)
    problems += _images(settings)
    if problems:
        raise Impossible(problems)
    return unflatten(values)


def _sizes(settings: Settings, asked: frozenset[str], problems: list[tuple[str, str]]) -> dict[str, Value]:
    """The resolved `model.*` values; adds what is wrong with them to `problems`."""
    given = settings.model.model_dump()
    known = type(CONFIGURATIONS[settings.family][settings.configuration]).model_fields
    for name in [name for name, value in given.items() if value is not None and name not in known]:
        if f"model.{name}" in asked:
            problems.append((f"model.{name}", f"family {settings.family} has none"))
        given[name] = None
    sizes = resolve_sizes(settings.family, settings.configuration, Sizes(**given))
    side = DATASETS[settings.data.dataset].side
    if settings.family == "vqvae" and side % 2 ** len(sizes.hidden):
        halvings = len(sizes.hidden)
        problems.append(("model.hidden", f"{halvings} widths halve the side {halvings} times, and {side} does not"))
    return {f"model.{name}": getattr(sizes, name, None) for name in given}


def _images(settings: Settings) -> list[tuple[str, str]]:
    """What is wrong with the number of images for the folds asked for."""
    available, data = DATASETS[settings.data.dataset].images, settings.data
    if data.limit is not None and data.limit > available:
        return [("data.limit", f"{data.dataset} has {available:,} images, not {data.limit:,}")]
    n = image_count(data)
    if n < settings.folds.n_splits:
        return [("folds.n_splits", f"{n:,} images cannot be split into {settings.folds.n_splits} folds")]
    smallest = fold_sizes(n, settings.folds, 0)  # KFold puts the larger folds first: fold 0 trains on the fewest
    if smallest.train < 2 or smallest.selection < 1:
        return [
            (
                "folds.selection",
                f"of {n:,} images it leaves {smallest.train} to train and {smallest.selection} to pick the epoch",
            )
        ]
    return []
