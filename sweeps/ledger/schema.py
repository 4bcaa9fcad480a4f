"""The columns of a unit's Parquet file: names, types, and units of measure."""

import json
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa

from sweeps.config.settings import LEAVES, Settings, options
from sweeps.plan.identity import as_plain
from sweeps.plan.unit import Unit

SCHEMA_VERSION = 1

Row = dict[str, Any]

REQUIRED = ("key", "fold", "family", "method", "folds.n_splits")
"""Columns without which a file is no unit."""

_HISTORY = pa.struct(
    [
        ("epoch", pa.int64()),
        *[
            (f"{part}_{term}", pa.float64())
            for part in ("train", "selection")
            for term in ("unconditioned", "conditioned", "latent")
        ],
        ("selection_total", pa.float64()),
        *[(f"weight_{term}", pa.float64()) for term in ("unconditioned", "conditioned", "latent")],
    ]
)
_SEEDS = pa.struct(
    [(name, pa.int64()) for name in ("fold", "selection", "init", "batches", "sampler", "latent", "evaluation")]
)

# name, type, unit
_RESULTS: list[tuple[str, pa.DataType, str]] = [
    ("unconditioned_per_pixel", pa.float64(), "squared error, mean over pixels, channels and images"),
    (
        "unconditioned_per_image",
        pa.float64(),
        "squared error, sum over pixels and channels, mean over images",
    ),
    ("conditioned_per_pixel", pa.float64(), "squared error, mean over pixels, channels and images"),
    ("conditioned_per_image", pa.float64(), "squared error, sum over pixels and channels, mean over images"),
    (
        "latent_loss",
        pa.float64(),
        "gaussian_vae: nats per image; vqvae: squared error per element of the grid",
    ),
    ("codebook_loss", pa.float64(), "squared error per element of the grid"),
    ("commitment_loss", pa.float64(), "squared error per element of the grid, unweighted"),
    ("perplexity", pa.float64(), "codebook vectors in effective use, 1 to K"),
    (
        "condition_pixels",
        pa.float64(),
        "pixels revealed per image, counted in the masks of the tabulated fold",
    ),
    ("mean_image_per_pixel", pa.float64(), "squared error of the training images' mean image"),
    (
        "collapsed",
        pa.bool_(),
        "unconditioned_per_pixel (method conditioned: the conditioned) above half of mean_image_per_pixel",
    ),
    ("best_epoch", pa.int64(), "epoch, from 1, whose weights are tabulated"),
    (
        "history",
        pa.list_(_HISTORY),
        "every epoch's unweighted terms in the training loss's units, and the weights at its end",
    ),
    ("sampler_built_with", pa.string(), "what the sampler that drew the masks says of itself"),
    ("parameters", pa.int64(), "trainable parameters"),
    ("train_images", pa.int64(), "images of the fold's training part, less those that pick the epoch"),
    ("selection_images", pa.int64(), "images that pick the epoch"),
    ("test_images", pa.int64(), "images of the tabulated fold"),
    ("images_trained", pa.int64(), "images that passed through the training step"),
    ("seconds", pa.float64(), "s, training and evaluation, those before an interruption too"),
    ("resumed", pa.int64(), "times that the training went on from a checkpoint"),
    ("split_hash", pa.string(), "of the indices of all three parts"),
    ("data_hash", pa.string(), "SHA-256 of the images used"),
    ("seeds", _SEEDS, "derived from seed and fold"),
    ("device", pa.string(), ""),
    ("peak_memory", pa.int64(), "bytes, of the process (CPU) or allocated on the device (GPU)"),
    ("finished_at", pa.timestamp("us", "UTC"), ""),
    ("git_commit", pa.string(), "of the code's checkout; null: not a checkout"),
    ("git_dirty", pa.bool_(), "whether that checkout had uncommitted changes"),
    ("versions", pa.string(), "JSON: package to version"),
]


def _kind(option: Any) -> Any:
    """The Python type of one member of a setting's annotation."""
    if get_origin(option) is Literal:
        return type(get_args(option)[0])
    return get_origin(option) or option


def _arrow_type(annotation: Any) -> pa.DataType:
    """The column type of a setting; one that may be of several kinds (0.1, 500, "fold") is kept as text."""
    kinds = {_kind(option) for option in options(annotation)} - {type(None)}
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), tuple: pa.list_(pa.int64())}
    return types.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()


def column(path: str) -> str:
    """The column of a setting: its dotted path, but plainly `dataset`."""
    return "dataset" if path == "data.dataset" else path


_IDENTITY = [("key", pa.string(), "hash of all settings that count"), ("fold", pa.int64(), "from 0")]
_SETTINGS = [
    *[(column(path), _arrow_type(f.annotation), f.description or "") for path, f in LEAVES.items()],
    ("soft_adapt", pa.bool_(), "whether soft_adapt.variant is one"),
]
_FAILURE = [("reason", pa.string(), "one line"), ("log", pa.string(), "the log's path")]


def _schema(columns: Iterable[tuple[str, pa.DataType, str]], kind: str) -> pa.Schema:
    fields = [pa.field(name, type_, metadata={"unit": unit}) for name, type_, unit in columns]
    return pa.schema(fields, metadata={"mtvae-sweeps": json.dumps({"kind": kind, "version": SCHEMA_VERSION})})


UNIT_SCHEMA = _schema([*_IDENTITY, *_SETTINGS, *_RESULTS], "unit")
FAILED_SCHEMA = _schema([*_IDENTITY, *_SETTINGS, *_FAILURE], "failed")
ROWS_SCHEMA = _schema([_IDENTITY[0], ("order", pa.int64(), "place in the grid, from 0"), *_SETTINGS], "rows")


def settings_row(unit: Unit) -> Row:
    """The identity and settings columns of a unit."""
    return {"key": unit.key, "fold": unit.fold} | settings_columns(unit.settings)


def settings_columns(settings: Settings) -> Row:
    """The settings columns of a configuration."""
    row: Row = {"soft_adapt": settings.soft_adapt.variant is not None}
    for path, value in as_plain(settings).items():
        text = pa.types.is_string(UNIT_SCHEMA.field(column(path)).type)
        row[column(path)] = str(value) if text else value
    return row
