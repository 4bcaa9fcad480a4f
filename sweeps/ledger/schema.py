"""The columns of a unit's Parquet file: names, types, and what each is measured in."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import isfinite
from numbers import Real
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa

from mtvae.config import (
    CONDITION_PIXELS,
    CONDITIONED,
    FAMILIES,
    METHODS,
    SCALES,
    TRAINING_UNCONDITIONED,
    UNCONDITIONED,
    Family,
    Metric,
    is_plug_in,
)
from sweeps.config.settings import FIELDS, Settings, column, meaning, union_members
from sweeps.config.stages import STAGES, TRAINING
from sweeps.plan.identity import json_settings
from sweeps.plan.unit import Unit

SCHEMA_VERSION = 1

Row = dict[str, Any]

IMAGES = ("data_hash", "files_hash")
"""The columns that say which images a unit saw: `sweeps.data.hashes.Hashes`."""

REQUIRED = ("key", "fold", "family", "method", "folds.n_splits")
"""The columns that every unit file has."""

_OF_FAMILIES = {m.name: m for family in FAMILIES.built_in() for m in family.metrics}
BUILT_IN = [UNCONDITIONED, CONDITIONED, *_OF_FAMILIES.values(), TRAINING_UNCONDITIONED, CONDITION_PIXELS]
"""The metrics of built-in families and methods, each once, in the order of their columns."""

TERMS = list(dict.fromkeys(metric.term for metric in BUILT_IN if metric.term))
"""The training terms of built-in families and methods."""


def history_type(terms: Sequence[str], metrics: Sequence[str] = ()) -> pa.DataType:
    """Return the type of one epoch: its unweighted training and validation terms, their total, and its last weights.

    `selection_` columns belong to the validation set. There are also such columns of further `metrics`.
    """
    parts = [f"{part}_{term}" for part in ("train", "selection") for term in terms]
    parts += [f"selection_{metric}" for metric in metrics]
    names = [*parts, "selection_total", *[f"weight_{term}" for term in terms]]
    return pa.struct([("epoch", pa.int64()), *[(name, pa.float64()) for name in names]])


_SEED_NAMES = (
    *("fold", "selection", "init", "batches", "sampler", "latent", "evaluation"),
    *("evaluation_sampler", "test_half"),  # null where nothing is drawn from them
)
_SEEDS = pa.struct([(name, pa.int64()) for name in _SEED_NAMES])


def metric_units(metric: Metric) -> dict[str, str]:
    """Return the columns of a metric with what each is measured in, family by family where families differ."""
    if metric.scaled:
        return {f"{metric.name}_{scale}": unit for scale, unit in SCALES.items()}
    units = {f.name: own.unit for f in FAMILIES if (own := f.metric(metric.name)) is not None}
    if len(set(units.values())) > 1:
        return {metric.name: "; ".join(f"{family}: {unit}" for family, unit in units.items())}
    return {metric.name: metric.unit}


_DECLARATIONS = (
    "declarations",
    pa.string(),
    "JSON: what a report must know of a plug-in family or method; null: built in",
)

GIVEN_PIXELS = pa.struct([
    ("pixels_by", pa.string()),
    ("pixels", pa.int64()),
    *[(name, pa.float64()) for name in ("revealed_error", "hidden_error", "spread", "coverage", "crps")],
    ("trained", pa.bool_()),
])  # fmt: skip
"""The type of one entry of `given_pixels` (`mtvae.prior.given_pixels.GivenPixels`)."""

# name, type, unit
_RESULTS: list[tuple[str, pa.DataType, str]] = [
    *[(name, pa.float64(), unit) for metric in BUILT_IN for name, unit in metric_units(metric).items()],
    ("mean_image_per_pixel", pa.float64(), "squared error of the training images' mean image"),
    (
        "collapsed",
        pa.bool_(),
        "unconditioned_per_pixel (method conditioned: the conditioned) above half of mean_image_per_pixel",
    ),
    ("best_epoch", pa.int64(), "best epoch, from 1: its weights are evaluated on the test fold"),
    (
        "history",
        pa.list_(history_type(TERMS)),
        "every epoch's unweighted terms in the training loss's scale, and the weights at its end",
    ),
    (
        "given_pixels",
        pa.list_(GIVEN_PIXELS),
        "scores of samples given pixels, by sampler and count of pixels; trained: the training drew such conditions",
    ),
    ("sampler_built_with", pa.string(), "the text by which the sampler that drew the masks describes itself"),
    ("parameters", pa.int64(), "trainable parameters of the scored model"),
    ("train_images", pa.int64(), "images of the training set"),
    ("selection_images", pa.int64(), "images of the validation set"),
    ("test_images", pa.int64(), "images of the test fold"),
    ("images_trained", pa.int64(), "images that passed through the training step"),
    ("seconds", pa.float64(), "s, training and evaluation, including those before an interruption"),
    ("resumed", pa.int64(), "times that the training was resumed from a checkpoint"),
    ("split_hash", pa.string(), "hash of the indices of training set, validation set and test fold"),
    ("data_hash", pa.string(), "SHA-256 of the images used"),
    ("files_hash", pa.string(), "SHA-256 of the files that hold the images; null: no files, or an earlier version"),
    (
        "seeds",
        _SEEDS,
        "by name, derived from seed, fold and name. Training draws each thing from a generator of its own. Every "
        "evaluation starts anew from `evaluation`: with evaluation.draws joint one generator draws z and the sampler's "
        "pixels in turn, with separate the pixels come from `evaluation_sampler`",
    ),
    ("device", pa.string(), ""),
    ("processor", pa.string(), "the model of the machine's CPU; null: an earlier version"),
    ("host", pa.string(), "the machine's name in its network; null: an earlier version"),
    ("peak_memory", pa.int64(), "bytes used by the process (CPU) or allocated on the device (GPU)"),
    ("finished_at", pa.timestamp("us", "UTC"), ""),
    ("git_commit", pa.string(), "commit of the code's checkout; null: not a checkout"),
    ("git_dirty", pa.bool_(), "whether that checkout had uncommitted changes of the code"),
    ("versions", pa.string(), "JSON: package to version"),
    _DECLARATIONS,
    (
        "family_source",
        pa.string(),
        "hash of the code of a plug-in's family, without comments; null: a built-in family, or an earlier version",
    ),
]


def _kind(option: Any) -> Any:
    """Return the Python type of one member of a setting's annotation."""
    if get_origin(option) is Literal:
        return type(get_args(option)[0])
    return get_origin(option) or option


def _arrow_type(annotation: Any) -> pa.DataType:
    """Return the column type of a setting. A setting of several types (0.1, 500, "fold") is kept as text."""
    kinds = {_kind(option) for option in union_members(annotation)} - {type(None)}
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), tuple: pa.list_(pa.int64())}
    return types.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()


OWN_SIZES = "own_sizes"
"""The column of the settings `model.X` that only a plug-in's family has. `with_own_sizes` reads it."""

_IDENTITY = [("key", pa.string(), "hash of all settings that count"), ("fold", pa.int64(), "from 0")]
_SETTINGS = [
    *[(column(path), _arrow_type(f.annotation), meaning(path)) for path, f in FIELDS.items()],
    (OWN_SIZES, pa.string(), "JSON: the sizes that only a plug-in's family has, by name; null: it has none"),
    ("soft_adapt", pa.bool_(), "whether soft_adapt.variant is set"),
]
_STAGE = [
    ("stage", pa.string(), "training, or a later stage that is built on it"),
    ("parent_key", pa.string(), "later stages: the key of the training of the same fold"),
]
_FAILURE = [("reason", pa.string(), "one line"), ("log", pa.string(), "the log's path")]


Column = tuple[str, pa.DataType, str]
FAMILY_COLUMN = b"family"
"""The key, in a column's metadata, that marks a metric of a plug-in family."""


def _schema(columns: Iterable[Column], kind: str, own: Iterable[Column] = ()) -> pa.Schema:
    fields = [pa.field(name, type_, metadata={"unit": unit}) for name, type_, unit in columns]
    fields += [pa.field(name, type_, metadata={"unit": unit, FAMILY_COLUMN: "own"}) for name, type_, unit in own]
    return pa.schema(fields, metadata={"mtvae-sweeps": json.dumps({"kind": kind, "version": SCHEMA_VERSION})})


UNIT_SCHEMA = _schema([*_IDENTITY, *_SETTINGS, *_RESULTS, *_STAGE], "unit")
FAILED_SCHEMA = _schema([*_IDENTITY, *_SETTINGS, *_FAILURE, *_STAGE], "failed")
ROWS_SCHEMA = _schema(
    [
        _IDENTITY[0],
        ("order", pa.int64(), "place in the grid, from 0"),
        *_SETTINGS,
        _DECLARATIONS,
        ("stages", pa.string(), "JSON: the key of each later stage, by its name; null: none"),
    ],
    "rows",
)


def schema_with(families: Iterable[Family], stages: Iterable[Sequence[Metric]] = ()) -> pa.Schema:
    """Return `UNIT_SCHEMA` with the further metrics and terms of these families, and the metrics of stages."""
    families, stages = list(families), list(stages)
    found = [*[family.metrics for family in families], *stages]
    metrics = {metric.name: metric for metrics in found for metric in metrics}.values()
    own = [(name, pa.float64(), metric.unit) for metric in metrics for name in metric.columns]
    own = [column for column in own if column[0] not in UNIT_SCHEMA.names]
    of_stages = [metric.term for metrics in stages for metric in metrics if metric.term]
    terms = list(dict.fromkeys([*TERMS, *[term for family in families for term in family.terms], *of_stages]))
    validated = [name for family in families for name in family.validated if name not in terms]
    if not own and terms == TERMS and not validated:
        return UNIT_SCHEMA
    history = pa.list_(history_type(terms, list(dict.fromkeys(validated))))
    results = [(n, history if n == "history" else type_, unit) for n, type_, unit in _RESULTS]
    return _schema([*_IDENTITY, *_SETTINGS, *results, *_STAGE], "unit", own)


@cache
def unit_schema(family: str, stage: str) -> pa.Schema:
    """Return the schema of the units of a family and a stage."""
    return schema_with([FAMILIES[family]], [STAGES[stage].metrics])


def declarations(settings: Settings, stage: str = TRAINING) -> str | None:
    """Return the column `declarations` of a unit or row: what a report must know and does not import."""
    metrics = STAGES[stage].metrics
    found: Row = {"family": FAMILIES[settings.family], "method": METHODS[settings.method]}
    plug_ins: Row = {kind: declared.describe() for kind, declared in found.items() if is_plug_in(declared.name)}
    if metrics:
        plug_ins["metrics"] = [metric.describe() for metric in metrics]
    return json.dumps(plug_ins) if plug_ins else None


def described_schema(texts: Iterable[str]) -> pa.Schema:
    """Return the schema of units with these `declarations`."""
    found = [json.loads(text) for text in texts]
    families = [Family.from_description(**about["family"]) for about in found if "family" in about]
    return schema_with(families, [[Metric(**m) for m in about["metrics"]] for about in found if "metrics" in about])


def not_finite(scores: Mapping[str, Any]) -> str:
    """Return a line with the scores that are NaN or infinite, or "" if all are finite. numpy's numbers count too."""
    real = {name: value for name, value in scores.items() if isinstance(value, Real)}
    wrong = [f"{name} is {value}" for name, value in real.items() if not isfinite(value)]
    return f"a score is not finite: {', '.join(wrong)}" if wrong else ""


def settings_row(unit: Unit) -> Row:
    """Return the identity and settings columns of a unit."""
    stage: Row = {"stage": unit.stage, "parent_key": unit.requires[0][0] if unit.requires else None}
    return {"key": unit.key, "fold": unit.fold} | stage | settings_columns(unit.settings)


def settings_columns(settings: Settings) -> Row:
    """Return the settings columns of a configuration."""
    row: Row = {"soft_adapt": settings.soft_adapt.variant is not None}
    own: Row = {}
    for path, value in json_settings(settings).items():
        if path not in FIELDS:
            own[path.removeprefix("model.")] = value
            continue
        text = pa.types.is_string(UNIT_SCHEMA.field(column(path)).type)
        row[column(path)] = str(value) if text else value
    return row | ({OWN_SIZES: json.dumps(own)} if own else {})


def with_own_sizes(row: Row) -> Row:
    """Return a record with the settings `model.X` that its column `own_sizes` holds, in place of the column.

    Text that is no JSON object is left out: another tool wrote it.
    """
    text = row.pop(OWN_SIZES, None)
    try:
        sizes = json.loads(text) if text else {}
        own = {f"model.{name}": sizes[name] for name in sizes}
    except (TypeError, ValueError):
        return row
    return row | own
