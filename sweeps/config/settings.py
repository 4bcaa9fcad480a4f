"""All settings of one table row: their types, their defaults, and which of them apply together.

A setting is known by its dotted path (`training.lr`), in grid files, on the command line and as a column of the
results.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.fields import FieldInfo

from mtvae.config import (
    CONFIGURATIONS,
    SAMPLERS,
    Architecture,
    Conditioning,
    ConditioningOptions,
    Evaluation,
    Family,
    Loss,
    Method,
    SamplerName,
    Section,
    Sizes,
    SoftAdapt,
    SoftAdaptVariant,
    Training,
    resolve_sizes,
    terms,
)
from sweeps.data.datasets import (
    FOLDER_CHANNELS,
    FOLDER_MAX_SKIPPED,
    FOLDER_SIDE,
    Data,
    Source,
    declared,
    image_count,
    shape,
    test_half_count,
)
from sweeps.data.splits import Folds, fold_sizes

Value = Any  # a plain value of a setting: str, int, float, bool, None or a tuple of int


class TrainingOptions(Training):
    """How a model is trained, and what of it changes no number: how often a unit under way is saved, and how a GPU is
    given its steps."""

    checkpoint_seconds: Annotated[float, Field(ge=0)] = Field(
        60.0, description="seconds between two checkpoints of a unit under way; stretched to stay under 5 % of the time"
    )
    cuda_graph: bool = Field(
        True,
        description="on a GPU, replay each training step as a CUDA graph (a quarter of the time, twice the memory); "
        "false: every step is run, as on a CPU",
    )


class Resources(Section):
    """What one unit occupies while it trains. Bookkeeping of the scheduler, not part of a unit's identity."""

    cpus: Annotated[float, Field(gt=0)] = Field(1.0, description="CPU cores; a unit computes with one thread")
    gpus: Annotated[float, Field(ge=0)] = Field(0.0, description="share of a GPU, 0.25 for four units on one; 0: CPU")
    memory: Annotated[int, Field(gt=0)] | None = Field(None, description="bytes that the scheduler sets aside for it")


class Settings(Section):
    """One configuration. After `resolve`, None means "does not apply"."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="of the whole sweep; folds derive theirs")
    data: Data = Data()
    folds: Folds = Folds()
    family: Family = Field("vqvae", description="the latent space")
    configuration: int = Field(1, description="numbered sizes of 3.4.2")
    method: Method = Field("none", description="the decoders")
    sampler: SamplerName | None = Field(None, description="which pixels a conditioned decoder sees (default uniform)")
    exponent: Annotated[float, Field(gt=0)] | None = Field(
        None, description="single_decoder: power law of the number of pixels (default 40)"
    )
    model: Sizes = Sizes()
    conditioning: ConditioningOptions = ConditioningOptions()
    loss: Loss = Loss()
    soft_adapt: SoftAdapt = SoftAdapt()
    training: TrainingOptions = TrainingOptions()
    evaluation: Evaluation = Evaluation()
    resources: Resources = Resources()
    keep_models: Literal["none", "fold0", "all"] = Field(
        "fold0", description="whose picked weights are kept as models/<key>-fold<k>.safetensors"
    )

    @cached_property
    def architecture(self) -> Architecture:
        """What shapes the networks."""
        channels, side = shape(self.data)
        sizes = resolve_sizes(self.family, self.configuration, self.model)
        return Architecture(family=self.family, method=self.method, channels=channels, side=side, sizes=sizes)

    @property
    def condition_sampler(self) -> Conditioning | None:
        """What the sampler is built with, None for a method without a condition."""
        if self.sampler is None:
            return None
        options = self.conditioning.model_dump(exclude_none=True)
        return Conditioning(sampler=self.sampler, exponent=self.exponent, **options)

    @property
    def source(self) -> Source:
        """The images that a unit needs."""
        return Source(self.data, self.folds.selection == "test_half")


def _leaves() -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from ((f"{name}.{leaf}", info) for leaf, info in field.annotation.model_fields.items())
        else:
            yield name, field


LEAVES: dict[str, FieldInfo] = dict(_leaves())
"""Every setting by its dotted path."""

_VALUES = attrgetter(*LEAVES)

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
    return dict(zip(LEAVES, _VALUES(settings), strict=True))


DEFAULTS = flatten(Settings())
"""The value of every setting that a grid omits, before `resolve`."""


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
    """A setting that applies to some rows only: where, its default there, and why not elsewhere.

    `applies` and `default` see the row's values by path, in which earlier rules have been followed.
    """

    applies: Callable[[dict[str, Value]], bool]
    default: Callable[[dict[str, Value]], Value]
    why_not: str


def _is(path: str, *values: Value) -> Callable[[dict[str, Value]], bool]:
    return lambda v: v[path] in values


def _always(value: Value) -> Callable[[dict[str, Value]], Value]:
    return lambda v: value


_FIXED_COUNT = ("conditioned", "multi_decoder")
_ON = (*get_args(SoftAdaptVariant),)
_OFF = "SoftAdapt is off here"

RULES = {
    "data.side": Rule(_is("data.dataset", "folder"), _always(FOLDER_SIDE), "only a folder's images are resized"),
    "data.channels": Rule(
        _is("data.dataset", "folder"), _always(FOLDER_CHANNELS), "only a folder's images are converted"
    ),
    "data.max_skipped": Rule(
        _is("data.dataset", "folder"), _always(FOLDER_MAX_SKIPPED), "only a folder's files may be skipped"
    ),
    "sampler": Rule(
        lambda v: bool(SAMPLERS[v["method"]]),
        lambda v: SAMPLERS[v["method"]][0],
        "method none takes no condition",
    ),
    "exponent": Rule(
        _is("method", "single_decoder"), _always(40.0), "only method single_decoder draws its number of pixels"
    ),
    "conditioning.count": Rule(
        lambda v: v["sampler"] == "uniform" and v["method"] in _FIXED_COUNT,
        _always(None),
        "only sampler uniform of a method with a fixed count takes one",
    ),
    "conditioning.positions": Rule(_is("sampler", "exact"), _always(None), "only sampler exact takes positions"),
    "conditioning.replacement": Rule(_is("sampler", "uniform"), _always(False), "only sampler uniform has the choice"),
    "loss.w2": Rule(_is("method", "multi_decoder"), _always(1.0), "only method multi_decoder has a second decoder"),
    "loss.latent_weight": Rule(
        _is("family", "gaussian_vae", "vqvae"), _always(1.0), "family autoencoder has no latent loss"
    ),
    "loss.commitment_weight": Rule(_is("family", "vqvae"), _always(0.25), "only family vqvae has a commitment loss"),
    "evaluation.latent": Rule(_is("family", "gaussian_vae"), _always("sample"), "only family gaussian_vae draws z"),
    "soft_adapt.variant": Rule(
        lambda v: len(terms(v["family"], v["method"])) > 1,
        _always(None),
        "this family and method train on one term, which needs no weights",
    ),
    "soft_adapt.beta": Rule(
        _is("soft_adapt.variant", *_ON), lambda v: 5e-3 if v["family"] == "vqvae" else 1.28e-2, _OFF
    ),
    "soft_adapt.every": Rule(_is("soft_adapt.variant", *_ON), _always(101), _OFF),
    "soft_adapt.accuracy_order": Rule(_is("soft_adapt.variant", *_ON), _always(5), _OFF),
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
    values = DEFAULTS | flat
    problems: list[tuple[str, str]] = []
    for path, rule in RULES.items():
        if not rule.applies(values):
            if path in asked and values[path] is not None:
                problems.append((path, rule.why_not))
            values[path] = None
        elif values[path] is None:
            values[path] = rule.default(values)
    problems += _sizes(values, asked)
    problems += _conditioning(values)
    problems += _soft_adapt(values)
    problems += _images(values)
    if problems:
        raise Impossible(problems)
    return unflatten(values)


Problems = list[tuple[str, str]]


def _sizes(values: dict[str, Value], asked: frozenset[str]) -> Problems:
    """Fills in the `model.*` values; returns what is wrong with them."""
    family, number = values["family"], values["configuration"]
    if number not in CONFIGURATIONS[family]:
        known = ", ".join(map(str, CONFIGURATIONS[family]))
        return [("configuration", f"{family} has no {number}, only {known}")]
    problems = []
    has = type(CONFIGURATIONS[family][number]).model_fields
    given = {name: values[f"model.{name}"] for name in Sizes.model_fields}
    for name in [name for name, value in given.items() if value is not None and name not in has]:
        if f"model.{name}" in asked:
            problems.append((f"model.{name}", f"family {family} has none"))
        given[name] = None
    sizes = resolve_sizes(family, number, Sizes(**given))
    _, side = shape(_data(values))
    halvings = len(sizes.hidden)
    if family == "vqvae" and side % 2**halvings:
        problems.append(("model.hidden", f"{halvings} widths halve the side {halvings} times, and {side} does not"))
    values |= {f"model.{name}": getattr(sizes, name, None) for name in given}
    return problems


def _conditioning(values: dict[str, Value]) -> Problems:
    """What is wrong with the choice of pixels."""
    method, sampler, (_, side) = values["method"], values["sampler"], shape(_data(values))
    problems = []
    if sampler is not None and sampler not in SAMPLERS[method]:
        problems.append(("sampler", f"method {method} takes {' or '.join(SAMPLERS[method])}"))
    positions, count = values["conditioning.positions"], values["conditioning.count"]
    if positions is not None and (max(positions) >= side or len(set(positions)) < len(positions)):
        problems.append(("conditioning.positions", f"they must be different and below the side, {side}"))
    if count is not None and count > side**2 and not values["conditioning.replacement"]:
        problems.append(("conditioning.count", f"an image has {side**2} pixels"))
    return problems


def _soft_adapt(values: dict[str, Value]) -> Problems:
    """What is wrong with the window of losses that the slopes are estimated from."""
    every, order = values["soft_adapt.every"], values["soft_adapt.accuracy_order"]
    if every is not None and every <= order:
        return [("soft_adapt.every", f"a slope of accuracy order {order} needs the losses of {order + 1} steps")]
    return []


def _data(values: dict[str, Value]) -> Data:
    return _data_of(*(values[f"data.{name}"] for name in Data.model_fields))


@lru_cache(maxsize=1024, typed=True)  # a grid's rows have few; typed: 1 is not true
def _data_of(*values: Value) -> Data:
    return Data(**dict(zip(Data.model_fields, values, strict=True)))


def _images(values: dict[str, Value]) -> Problems:
    """What is wrong with the number of images for the folds asked for."""
    data = _data(values)
    folds = Folds(**{name: values[f"folds.{name}"] for name in Folds.model_fields})
    description = declared(data)
    if description is None:
        return []  # a folder that is not here: nothing to hold the numbers against
    if data.limit is not None and data.limit > description.images:
        return [("data.limit", f"{data.dataset} has {description.images:,} images, not {data.limit:,}")]
    n, half = image_count(data), test_half_count(Source(data, folds.selection == "test_half"))
    if folds.selection == "test_half" and not half:
        return [("folds.selection", f"{data.dataset} has no official test part")]
    if n < folds.n_splits:
        return [("folds.n_splits", f"{n:,} images cannot be split into {folds.n_splits} folds")]
    smallest = fold_sizes(n, folds, 0, half)  # KFold puts the larger folds first: fold 0 trains on the fewest
    if smallest.train < 2 or smallest.selection < 1:
        left = f"{smallest.train} to train and {smallest.selection} to pick the epoch"
        return [("folds.selection", f"of {n:,} images it leaves {left}")]
    return []
