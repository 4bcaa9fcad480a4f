"""All settings of one table row: their types, their defaults, and which of them apply together.

A setting is known by its dotted path (`training.lr`), in grid files, on the command line and as a column of the
results.
"""

from collections.abc import Iterator
from functools import cache, cached_property
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.fields import FieldInfo

from mtvae.config import (
    METHODS,
    Architecture,
    Conditioning,
    ConditioningOptions,
    Evaluation,
    FamilyName,
    Loss,
    MethodName,
    SamplerName,
    Section,
    Setting,
    Sizes,
    SoftAdapt,
    Training,
    always,
    resolve_sizes,
)
from mtvae.cost import Cost, cost
from sweeps.data.datasets import Data, Source, shape
from sweeps.data.splits import Folds

Value = Any  # a plain value of a setting: str, int, float, bool, None or a tuple of int


class TrainingOptions(Training):
    """How a model is trained, and what of it changes no number: how often a unit under way is saved, and how a GPU is
    given its steps."""

    checkpoint_seconds: Annotated[float, Field(ge=0), Setting(counts=False)] = Field(
        60.0, description="seconds between two checkpoints of a unit under way; stretched to stay under 5 % of the time"
    )
    cuda_graph: Annotated[bool, Setting(counts=False)] = Field(
        True,
        description="on a GPU, replay each training step as a CUDA graph (a quarter of the time, twice the memory); "
        "false: every step is run, as on a CPU",
    )


class Resources(Section):
    """What one unit occupies while it trains. Bookkeeping of the scheduler, not part of a unit's identity."""

    cpus: Annotated[float, Field(gt=0), Setting(counts=False)] = Field(
        1.0, description="CPU cores; a unit computes with one thread"
    )
    gpus: Annotated[float, Field(ge=0), Setting(counts=False)] = Field(
        0.0, description="share of a GPU, 0.25 for four units on one; 0: CPU"
    )
    memory: Annotated[Annotated[int, Field(gt=0)] | None, Setting(counts=False)] = Field(
        None, description="bytes that the scheduler sets aside for it"
    )


class Settings(Section):
    """One configuration. After `resolve`, None means "does not apply"."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="of the whole sweep; folds derive theirs")
    data: Data = Data()
    folds: Folds = Folds()
    family: FamilyName = Field("vqvae", description="the latent space")
    configuration: int = Field(1, description="numbered sizes of 3.4.2")
    method: Annotated[MethodName, Setting(of_method=True)] = Field("none", description="the decoders")
    sampler: Annotated[
        SamplerName | None,
        Setting(
            applies=lambda v: METHODS[v["method"]].conditioned,
            default=lambda v: METHODS[v["method"]].samplers[0],
            why_not="method {method} takes no condition",
            of_method=True,
        ),
    ] = Field(None, description="which pixels a conditioned decoder sees (default uniform)")
    exponent: Annotated[
        Annotated[float, Field(gt=0)] | None,
        Setting(
            applies=lambda v: METHODS[v["method"]].power_law,
            default=always(40.0),
            why_not="only method single_decoder draws its number of pixels",
            of_method=True,
        ),
    ] = Field(None, description="single_decoder: power law of the number of pixels (default 40)")
    model: Sizes = Sizes()
    conditioning: ConditioningOptions = ConditioningOptions()
    loss: Loss = Loss()
    soft_adapt: SoftAdapt = SoftAdapt()
    training: TrainingOptions = TrainingOptions()
    evaluation: Evaluation = Evaluation()
    resources: Resources = Resources()
    keep_models: Annotated[Literal["none", "fold0", "all"], Setting(counts=False)] = Field(
        "fold0", description="whose picked weights are kept as models/<key>-fold<k>.safetensors"
    )

    @cached_property
    def architecture(self) -> Architecture:
        """What shapes the networks."""
        channels, side = shape(self.data)
        sizes = resolve_sizes(self.family, self.configuration, self.model)
        return Architecture(family=self.family, method=self.method, channels=channels, side=side, sizes=sizes)

    @cached_property
    def cost(self) -> Cost:
        """What a forward pass of one image costs. The folds of a configuration share it."""
        return cost(self.architecture)

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

PLAIN = Setting()
"""What is known of a setting whose field says nothing: it counts, and applies everywhere."""

ABOUT: dict[str, Setting] = {
    path: next((known for known in field.metadata if isinstance(known, Setting)), PLAIN)
    for path, field in LEAVES.items()
}
"""What is known of every setting, by its path."""


def column(path: str) -> str:
    """The column of a setting in the results: its dotted path, but plainly `dataset`."""
    return "dataset" if path == "data.dataset" else path


def null_is_a_value(path: str) -> bool:
    """Whether None is a choice of a setting, such as no limit. For other settings it says that they do not apply."""
    return ABOUT[path].applies is None and not path.startswith("model.")


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
