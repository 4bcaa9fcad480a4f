"""The ledger: one Parquet file per finished unit. It alone says what is done.

DIR/<sweep>/units/<key>-fold<k>.parquet    a done unit, one row
DIR/<sweep>/failed/<key>-fold<k>.parquet   why a unit failed; never shadows a done one
DIR/<sweep>/checkpoints/<key>-fold<k>.pt   a unit under way (`checkpoint.py`)
DIR/<sweep>/models/<key>-fold<k>.safetensors   the picked weights (`models.py`)
DIR/<sweep>/logs/<key>-fold<k>.log         what happened in a unit, for people
DIR/<sweep>/grid.yaml                      the resolved grid of the latest run, earlier ones beside it
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from sweeps.grid import Grid, shared_and_own
from sweeps.plan import Unit, UnitId, as_plain, key_of
from sweeps.settings import LEAVES, options
from sweeps.storage import Storage

SCHEMA_VERSION = 1
DAMAGED = ".damaged"
_FILE = re.compile(r"(?P<key>[0-9a-f]{12})-fold(?P<fold>\d{1,4})\.parquet")

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


def settings_row(unit: Unit) -> Row:
    """The identity and settings columns of a unit."""
    row: Row = {"key": unit.key, "fold": unit.fold, "soft_adapt": unit.settings.soft_adapt.variant is not None}
    for path, value in as_plain(unit.settings).items():
        text = pa.types.is_string(UNIT_SCHEMA.field(column(path)).type)
        row[column(path)] = str(value) if text else value
    return row


def _encode(row: Row, schema: pa.Schema) -> bytes:
    unknown = row.keys() - set(schema.names)
    if unknown:
        raise KeyError(f"no such columns: {sorted(unknown)}")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([row], schema), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


class Ledger:
    """The results of one sweep."""

    def __init__(self, storage: Storage):
        """`storage`: the sweep's folder."""
        self.storage = storage

    def units(self, folder: Literal["units", "failed"] = "units") -> frozenset[UnitId]:
        """The units that have a file, by its name."""
        matches = map(_FILE.fullmatch, self.storage.names(folder))
        return frozenset((m["key"], int(m["fold"])) for m in matches if m)

    def has(self, unit: Unit) -> bool:
        """A fresh look at whether a unit is done."""
        return self.storage.exists(f"units/{unit.name}.parquet")

    def write(self, unit: Unit, results: Row) -> None:
        """Records a unit as done, and forgets an earlier failure of it."""
        self.storage.write(f"units/{unit.name}.parquet", _encode(settings_row(unit) | results, UNIT_SCHEMA))
        self.storage.remove(f"failed/{unit.name}.parquet")

    def write_failed(self, unit: Unit, reason: str) -> None:
        """Records why a unit failed. A done file stays what it is."""
        row = settings_row(unit) | {"reason": reason, "log": self.log_path(unit)}
        self.storage.write(f"failed/{unit.name}.parquet", _encode(row, FAILED_SCHEMA))

    def log_path(self, unit: Unit) -> str:
        return self.storage.path(f"logs/{unit.name}.log")

    def write_log(self, unit: Unit, text: str) -> None:
        self.storage.write(f"logs/{unit.name}.log", text.encode())

    def read(
        self, folder: Literal["units", "failed"] = "units", columns: Sequence[str] | None = None
    ) -> tuple[list[Row], list[tuple[str, str]]]:
        """All rows of a folder, and the files that could not be read as (name, why). Changes nothing."""
        rows, damaged = [], []
        for name in self.storage.names(folder):
            if not (match := _FILE.fullmatch(name)):
                continue
            try:
                row = self._read_one(f"{folder}/{name}", columns)
            except (pa.ArrowException, OSError, ValueError) as error:
                damaged.append((name, " ".join(str(error).split())[:200]))
                continue
            if (row["key"], row["fold"]) == (match["key"], int(match["fold"])):
                rows.append(row)
            else:
                damaged.append((name, f"it holds {row['key']}-fold{row['fold']}"))
        return rows, damaged

    def _read_one(self, name: str, columns: Sequence[str] | None) -> Row:
        """One row with all the asked columns; those of a later version than the file's are None.

        Raises:
            ValueError: it holds something else than one unit of ours.
        """
        file = pq.ParquetFile(pa.BufferReader(self.storage.read(name)))
        there = file.schema_arrow
        if file.metadata.num_rows != 1 or not set(REQUIRED) <= set(there.names):
            raise ValueError(f"not a unit: {file.metadata.num_rows} rows, columns {', '.join(there.names[:5])}")
        schema = FAILED_SCHEMA if name.startswith("failed/") else UNIT_SCHEMA
        asked = [*REQUIRED, *(schema.names if columns is None else columns)]
        wanted = list(dict.fromkeys(column for column in asked if column in there.names and column in schema.names))
        for column in wanted:
            if there.field(column).type != schema.field(column).type:
                raise ValueError(f"{column} is {there.field(column).type}, not {schema.field(column).type}")
        # One row needs no threads; and a thread of pyarrow's pool that still holds our bytes when the interpreter ends
        # aborts the process (seen: exit code 134 after a finished sweep).
        row = file.read(wanted, use_threads=False).to_pylist()[0]
        if any(row[column] is None for column in REQUIRED):
            raise ValueError("not a unit: it has no key, fold or settings")
        result: Row = dict.fromkeys(asked) | row
        return result

    def set_aside_damaged(self) -> list[tuple[str, str]]:
        """Renames unreadable unit files to `*.damaged`, so that their units are trained again, and names them."""
        _, damaged = self.read("units", REQUIRED)
        for name, _ in damaged:
            self.storage.rename(f"units/{name}", f"units/{name}{DAMAGED}")
        return damaged

    def write_grid(self, grid: Grid) -> None:
        """Keeps the resolved grid as grid.yaml; one that differs moves to grid-<n>.yaml."""
        text = dump(grid).encode()
        if self.storage.exists("grid.yaml"):
            if self.storage.read("grid.yaml") == text:
                return
            earlier = [name for name in self.storage.names("") if re.fullmatch(r"grid-\d+\.yaml", name)]
            self.storage.rename("grid.yaml", f"grid-{len(earlier) + 1}.yaml")
        self.storage.write("grid.yaml", text)

    def keys(self) -> list[str] | None:
        """The keys of the latest grid, in its order; None where no grid is kept."""
        try:
            text = self.storage.read("grid.yaml").decode(errors="replace")
        except FileNotFoundError:
            return None
        return re.findall(r"^- .*  # ([0-9a-f]{12})$", text, re.MULTILINE)


def dump(grid: Grid) -> str:
    """A resolved grid as a grid file again: every setting that applies, with each block's key beside it."""

    def plain(values: Row, flow: bool) -> str:
        values = {path: list(v) if isinstance(v, tuple) else v for path, v in values.items()}
        return yaml.safe_dump(values, default_flow_style=flow, sort_keys=False, width=10**6, allow_unicode=True)

    shared, own = shared_and_own(grid.rows)
    head = "# The resolved grid of a run: every setting, and the key that names each row's files.\n"
    blocks = [
        f"- {plain(values, True).rstrip()}  # {key_of(row)}\n" for row, values in zip(grid.rows, own, strict=True)
    ]
    return head + plain({"name": grid.name} | shared, False) + "grid:\n" + "".join(blocks)


def sweeps(storage: Storage) -> list[str]:
    """The sweeps of a results folder: its folders that hold units or a grid."""
    return [n for n in storage.folders("") if storage.exists(f"{n}/grid.yaml") or storage.names(f"{n}/units")]


def open_ledger(results: str | Path, sweep: str) -> Ledger:
    return Ledger(Storage(results).folder(sweep))
