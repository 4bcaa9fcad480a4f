"""Ledger files that another tool has rewritten: read as before if no value changes, otherwise damaged."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rewriting

from mtvae.config import FAMILIES
from sweeps.analysis.results import read_table
from sweeps.config import grid
from sweeps.ledger import rows, unit_file
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.ledger.schema import UNIT_SCHEMA
from sweeps.plan.plan import Plan
from sweeps.report.contents import KINDS, ReportRequest, report
from sweeps.run.command import command
from sweeps.run.ending import FAILED
from sweeps.run.options import Options

GRID = """
name: mixed
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 2, batch_size: 16}
grid:
  - {family: autoencoder, method: [none, multi_decoder]}
  - {family: "toy_family:SMALL"}
  - {family: vqvae, method: single_decoder}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Make a ledger of three rows with two folds, one of them of a toy family, and one row that failed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "mixed.yaml").write_text(GRID)
    with FAMILIES.temporarily(FAMILIES["autoencoder"]):
        ledger = open_ledger(folder / "results", "mixed")
        for unit in Plan(grid.load(str(folder / "mixed.yaml"), []), frozenset(), frozenset()).rows[3]:
            ledger.write_failed(unit, "no luck")
        assert command(str(folder / "mixed.yaml"), [], Options(str(folder / "results"), inline=True)) == FAILED
    return folder


@pytest.fixture(params=["units", "compacted", "failed", "rows"])
def some_files(request, trained, tmp_path):
    """Copy the sweep in one of its forms, and return the copy and the files that another tool will rewrite."""
    shutil.copytree(trained, tmp_path / "copy")
    ledger = open_ledger(tmp_path / "copy" / "results", "mixed")
    if request.param == "compacted":
        assert compact(ledger) == (6, [])
    files = {"compacted": "units.parquet", "rows": "rows.parquet"}.get(request.param, f"{request.param}/*.parquet")
    return ledger, sorted(Path(ledger.storage.root).glob(files))


def shown(ledger):
    """Return all that reports show of a ledger, as text and for machines."""
    results = ledger.storage.root.rpartition("/")[0]
    return [report(results, "mixed", ReportRequest(kinds=KINDS, format=format)) for format in ("text", "json")]


def recorded(ledger):
    """Return all columns of all done units, including those of plug-in families."""
    parts = ledger.batches(100, [])
    return sorted((row for part in parts for row in part.to_pylist()), key=lambda row: (row["key"], row["fold"]))


@pytest.mark.parametrize("rewrite", rewriting.WAYS)
def test_a_rewritten_file_is_as_good_as_before(some_files, rewrite, capsys):
    """The reports do not differ in any character, nor the records in any column, and a run trains nothing."""
    ledger, paths = some_files
    before = shown(ledger), recorded(ledger), {row.key: row.settings for row in read_table(ledger).rows}
    assert paths and "toy_family" in before[0][0] and "mean size" in before[0][0] and "no luck" in before[0][0]
    for path in paths:
        rewrite(path)
        assert not pq.read_schema(path).equals(UNIT_SCHEMA)
    ledger = Ledger(ledger.storage)
    assert (shown(ledger), recorded(ledger)) == before[:2]
    assert {row.key: row.settings for row in read_table(ledger).rows} == before[2]
    results = Path(ledger.storage.root).parent
    capsys.readouterr()
    with FAMILIES.temporarily(FAMILIES["autoencoder"]):
        assert command(str(results.parent / "mixed.yaml"), [], Options(str(results), inline=True)) == FAILED
    printed = capsys.readouterr().out
    assert "] done" not in printed and "damaged" not in printed
    assert list(results.rglob("*.damaged")) == []
    assert compact(ledger)[0] == 6
    assert (shown(ledger), recorded(ledger)) == before[:2]


def test_columns_that_somebody_added_are_no_metrics(trained, tmp_path):
    """Only columns that the declarations name are metrics. Notes, even of numbers, stay out of tables and records."""
    shutil.copytree(trained / "results", tmp_path / "results")
    ledger = open_ledger(tmp_path / "results", "mixed")
    compact(ledger)
    path = ledger.storage.path("units.parquet")
    table = pq.read_table(path).replace_schema_metadata(None)
    pq.write_table(pa.table({name: table[name] for name in table.column_names} | {"score": np.ones(6)}), path)
    with unit_file.open_file(ledger.storage, "units.parquet") as file:
        found = unit_file.read(file, UNIT_SCHEMA.names, UNIT_SCHEMA)
    assert found.column_names == [*UNIT_SCHEMA.names, "mean_size", "largest"]


def changed(name, values, type_=None):
    """Write a unit's file with one column replaced."""

    def change(table):
        at = table.schema.get_field_index(name)
        return table.set_column(at, name, pa.array(values, type_))

    return change


def twice(table):
    return table.append_column("fold", table["fold"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (changed("best_epoch", [1.5]), "best_epoch is double, not int64: Float value 1.5"),
        (changed("fold", [float("nan")]), "one without key, fold or settings"),
        (changed("latent_loss", ["0.5"]), "latent_loss is string, not double"),
        (changed("latent_loss", ["0.5"], pa.dictionary(pa.int8(), pa.string())), "latent_loss is dictionary"),
        (changed("latent_loss", [2**53 + 1]), "latent_loss is int64, not double: Integer value 9007199254740993"),
        (changed("parameters", [2**63], pa.uint64()), "parameters is uint64, not int64: Integer value"),
        (changed("key", [123456789012]), "key is int64, not string"),
        (changed("device", [b"\xff"]), "device is binary, not string: Invalid UTF8"),
        (changed("collapsed", [2]), "collapsed is int64, not bool: it holds other numbers"),
        (changed("finished_at", [1], pa.timestamp("ns")), "finished_at is timestamp[ns], not timestamp[us"),
        (changed("finished_at", [1]), "finished_at is int64, not timestamp[us"),
        (changed("model.hidden", [[1.5]]), "model.hidden is list<element: double>, not list<item: int64>: Float value"),
        (changed("model.hidden", [8]), "model.hidden is int64, not list"),
        (changed("seeds", [{"fold": 1, "dice": 2}]), "seeds is struct<fold: int64, dice: int64>, not struct<fold"),
        (changed("history", [[{"epoch": 1.5}]]), "history is list<element: struct<epoch: double>>, not list"),
        (changed("history", [[{"epoch": "one"}]]), "history is list<element: struct<epoch: string>>, not list"),
        (changed("history", ["[]"]), "history is string, not list"),
        (twice, "it has two columns fold"),
    ],
)
def test_what_does_not_fit_is_damage(ledger, plan, change, why):
    """The damage names the column, and the other units are read."""
    for unit in plan.units[:2]:
        ledger.write(unit, {"latent_loss": 0.5, "history": [{"epoch": 1}]})
    path = ledger.storage.path(f"units/{plan.units[0].name}.parquet")
    pq.write_table(change(pq.read_table(path)), path)
    (row,), ((name, said),) = ledger.read()
    assert (row["key"], row["fold"]) == plan.units[1].id
    assert name == f"{plan.units[0].name}.parquet" and why in said


@pytest.mark.parametrize(
    ("name", "value"), [("latent_loss", "0.5"), ("conditioned_per_pixel", 2**53 + 1), ("fold", 0.5)]
)
def test_a_run_sets_misfits_aside(ledger, plan, name, value):
    """A run reads only identities, and yet a unit whose score does not fit is not done, compacted or not."""
    for unit in plan.units[:2]:
        ledger.write(unit, {"latent_loss": 0.5})
    path = f"units/{plan.units[0].name}.parquet"
    good = pq.read_table(ledger.storage.path(path))
    pq.write_table(changed(name, [value])(good), ledger.storage.path(path))
    ((file, why),) = ledger.set_damaged_aside([])[1]
    assert file == path and why.startswith(f"{name} is ")
    assert ledger.units() == {plan.units[1].id}
    pq.write_table(changed(name, [value])(good), ledger.storage.path("units.parquet"))
    assert Ledger(ledger.storage).units() == {plan.units[1].id}


@pytest.mark.parametrize(
    ("name", "values", "type_", "expected"),
    [
        ("latent_loss", [0.5], pa.float32(), 0.5),
        ("latent_loss", [2], pa.int16(), 2.0),
        ("best_epoch", [3.0], pa.float32(), 3),
        ("best_epoch", [float("nan")], pa.float64(), None),
        ("collapsed", [1.0], pa.float64(), True),
        ("model.hidden", [[8, 16]], pa.list_(pa.int32(), 2), [8, 16]),
        ("model.hidden", [[8.0, 16.0]], pa.large_list(pa.float64()), [8, 16]),
        ("device", [b"cpu"], pa.large_binary(), "cpu"),
        ("sampler_built_with", [None], pa.list_(pa.int8()), None),
        ("history", [None], pa.null(), None),
    ],
)
def test_a_value_that_fits_is_read(ledger, plan, name, values, type_, expected):
    ledger.write(plan.units[0], {"latent_loss": 0.5})
    path = ledger.storage.path(f"units/{plan.units[0].name}.parquet")
    pq.write_table(changed(name, values, type_)(pq.read_table(path)), path)
    (row,), damaged = ledger.read()
    assert (row[name], damaged) == (expected, [])


def test_a_history_of_fewer_terms_is_read(ledger, plan):
    """It is read like one of a version with fewer terms: missing terms are null, and units of both kinds are joined."""
    for unit in plan.units[:2]:
        ledger.write(unit, {"history": [{"epoch": 1, "train_unconditioned": 0.5, "selection_total": 0.25}]})
    path = ledger.storage.path(f"units/{plan.units[0].name}.parquet")
    changed_file = changed("history", [[{"epoch": 1, "train_unconditioned": 0.5, "selection_total": 0.25}]])
    pq.write_table(changed_file(pq.read_table(path)), path)
    (first, second), damaged = ledger.read()
    assert damaged == []
    assert first["history"] == second["history"]


def test_rows_of_another_tool_keep_order(ledger, tiny):
    ledger.write_grid(tiny)
    expected = rows.read(ledger.storage)
    for rewrite in rewriting.WAYS:
        rewrite(Path(ledger.storage.path(rows.ROWS)))
        assert rows.read(ledger.storage) == expected
