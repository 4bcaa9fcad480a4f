"""All settings of one table row: their types, their defaults, and which of them apply together.

A setting is named by its dotted path (`training.lr`) in grid files, on the command line and in the columns of the
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
    FAMILIES,
    METHODS,
    Architecture,
    Conditioning,
    ConditioningOptions,
    Evaluation,
    FamilyName,
    Generation,
    Loss,
    MethodName,
    Prior,
    SamplerName,
    Schedule,
    Section,
    Setting,
    Sizes,
    SoftAdapt,
    Training,
    constant,
    resolve_sizes,
)
from mtvae.cost import Cost, cost
from sweeps.data.datasets import Data, Source, declared, shape
from sweeps.data.splits import Folds

Value = Any  # a plain value of a setting: str, int, float, bool, None or a tuple of int


class TrainingOptions(Training):
    """How a model is trained, and two settings that change no number: when checkpoints are written, and CUDA graphs."""

    checkpoint_seconds: Annotated[float, Field(ge=0), Setting(in_key=False)] = Field(
        60.0,
        description="seconds between two checkpoints of a running unit; longer if saving takes over 5 % of the time",
    )
    cuda_graph: Annotated[bool, Setting(in_key=False)] = Field(
        True,
        description="on a GPU, replay each training step as a CUDA graph (a quarter of the time, twice the memory); "
        "false: every step is run, as on a CPU",
    )


class Resources(Section):
    """Resources that one unit occupies while it trains. They are for the scheduler and no part of a unit's key."""

    cpus: Annotated[float, Field(gt=0), Setting(in_key=False, synonyms=("num_cpus", "n_cpus", "cores"))] = Field(
        1.0, description="CPU cores of a unit, which computes with one thread"
    )
    gpus: Annotated[float, Field(ge=0), Setting(in_key=False, synonyms=("num_gpus", "n_gpus"))] = Field(
        0.0, description="share of a GPU: 0.25 for four units on one GPU; 0 for the CPU"
    )
    memory: Annotated[Annotated[int, Field(gt=0)] | None, Setting(in_key=False)] = Field(
        None, description="bytes of memory that the scheduler reserves for a unit"
    )


class Settings(Section):
    """One configuration. After `resolve`, None means "does not apply"."""

    seed: Annotated[int, Field(ge=0, lt=2**63), Setting(synonyms=("random_seed", "random_state"))] = Field(
        0, description="seed of the whole sweep, from which each fold's seeds derive"
    )
    data: Data = Data()
    folds: Folds = Folds()
    family: Annotated[FamilyName, Setting(synonyms=("model_type",))] = Field(
        "vqvae", description="the model's latent space"
    )
    configuration: int = Field(1, description="number of a set of sizes (3.4.2)")
    method: Annotated[MethodName, Setting(of_method=True)] = Field("none", description="which decoders the model has")
    sampler: Annotated[
        SamplerName | None,
        Setting(
            applies=lambda v: METHODS[v["method"]].conditioned,
            default=lambda v: METHODS[v["method"]].samplers[0],
            why_not="method {method} takes no condition",
            of_method=True,
            where="method conditioned, multi_decoder or single_decoder",
            default_text="uniform",
        ),
    ] = Field(None, description="which pixels a conditioned decoder sees")
    exponent: Annotated[
        Annotated[float, Field(gt=0)] | None,
        Setting(
            applies=lambda v: METHODS[v["method"]].power_law,
            default=constant(40.0),
            why_not="only method single_decoder draws its number of pixels",
            of_method=True,
            where="method single_decoder",
        ),
    ] = Field(None, description="exponent of the power law that the number of pixels follows")
    model: Sizes = Sizes()
    conditioning: ConditioningOptions = ConditioningOptions()
    loss: Loss = Loss()
    soft_adapt: SoftAdapt = SoftAdapt()
    training: TrainingOptions = TrainingOptions()
    schedule: Schedule = Schedule()
    evaluation: Evaluation = Evaluation()
    prior: Prior = Prior()
    generation: Generation = Generation()
    resources: Resources = Resources()
    keep_models: Annotated[
        Literal["none", "fold0", "all"],
        Setting(in_key=False, synonyms=("save_models", "save_model"), default_text="fold0; all with a prior"),
    ] = Field(
        "fold0",
        description="the folds whose best checkpoint is kept as models/<key>-fold<k>.safetensors",
    )

    @cached_property
    def architecture(self) -> Architecture:
        """The shape of the networks that are trained from the first epoch on."""
        channels, side = shape(self.data)
        description = declared(self.data) if FAMILIES[self.family].own else None  # other families see no labels
        return Architecture(
            family=self.family,
            method=self.method,
            channels=channels,
            side=side,
            sizes=resolve_sizes(self.family, self.configuration, self.model),
            classes=description.classes if description is not None else 0,
        )

    @property
    def without_later(self) -> "Settings":
        """The settings of the training alone: those that only later stages read have their defaults.

        It is not cached, because a copy of the settings with another seed would copy the cache.
        """
        later = {"prior": Prior(), "generation": Generation()}
        return self if (self.prior, self.generation) == (Prior(), Generation()) else self.model_copy(update=later)

    @cached_property
    def cost(self) -> Cost:
        """The cost of one image's forward pass, which all folds of a configuration share."""
        return cost(self.architecture)

    @property
    def final_method(self) -> str:
        """The method of the model that is scored and kept: `none` if the training switches to the plain model."""
        return self.method if self.schedule.switch_epoch is None else "none"

    @property
    def final_architecture(self) -> Architecture:
        """The shape of the model that is scored and kept."""
        return self.architecture if self.schedule.switch_epoch is None else self.architecture.plain

    @cached_property
    def final_cost(self) -> Cost:
        """The cost as `cost`, of the model that is scored and kept."""
        return cost(self.final_architecture)

    @property
    def condition_sampler(self) -> Conditioning | None:
        """The options of the sampler; None for a method without a condition."""
        if self.sampler is None:
            return None
        union_members = self.conditioning.model_dump(exclude_none=True)
        return Conditioning(sampler=self.sampler, exponent=self.exponent, **union_members)

    @property
    def source(self) -> Source:
        """The images that a unit needs."""
        return Source.of(self.data, self.folds.selection, self.seed)


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from ((f"{name}.{leaf}", info) for leaf, info in field.annotation.model_fields.items())
        else:
            yield name, field


FIELDS: dict[str, FieldInfo] = dict(_fields())
"""The field of every setting, by its dotted path."""

_NO_INFO = Setting()
"""For a setting whose field has no `Setting`: it is part of the key, and applies everywhere."""

SETTING_INFO: dict[str, Setting] = {
    path: next((info for info in field.metadata if isinstance(info, Setting)), _NO_INFO)
    for path, field in FIELDS.items()
}
"""The `Setting` of every setting, by its dotted path."""


def meaning(path: str) -> str:
    """Return what a setting means, with the configurations to which it applies."""
    where, description = SETTING_INFO[path].where, FIELDS[path].description or ""
    return f"{where}: {description}" if where else description


def column(path: str) -> str:
    """Return a setting's column in the results: its dotted path, except that `data.dataset` is `dataset`."""
    return "dataset" if path == "data.dataset" else path


def null_is_a_value(path: str) -> bool:
    """Whether None is a value of a setting, such as "no limit". In other settings it means "does not apply"."""
    return not path.startswith("model.") and SETTING_INFO[path].applies is None


_get_values = attrgetter(*FIELDS)

SECTIONS = {path.partition(".")[0] for path in FIELDS if "." in path}


def union_members(annotation: Any) -> list[Any]:
    """Return the member types of a setting's type, without `Annotated`."""
    if get_origin(annotation) is Annotated:
        return union_members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for member in get_args(annotation) for option in union_members(member)]
    return [annotation]


@cache
def validator(path: str) -> TypeAdapter[Any]:
    """Return the validator of one setting, which is as strict as its section."""
    return strict_validator(FIELDS[path])


def strict_validator(field: FieldInfo) -> TypeAdapter[Any]:
    """Return the validator of a field, which is as strict as a section."""
    typed: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(typed, config=ConfigDict(strict=True, allow_inf_nan=False))


def flatten(settings: Settings) -> dict[str, Value]:
    """Return every setting's value by its dotted path. The sizes that only its plug-in has come last."""
    own = settings.model.model_extra or {}
    return dict(zip(FIELDS, _get_values(settings), strict=True)) | {f"model.{name}": own[name] for name in sorted(own)}


DEFAULTS = flatten(Settings())
"""The default of every setting, before `resolve`."""


def unflatten(flat: dict[str, Value]) -> Settings:
    """Return the settings that `flatten` would turn into these values; missing paths take their defaults."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        section, _, leaf = path.partition(".")
        if leaf:
            nested.setdefault(section, {})[leaf] = value
        else:
            nested[section] = value
    return Settings.model_validate(nested)
