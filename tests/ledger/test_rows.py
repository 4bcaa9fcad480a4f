"""rows.parquet: a grid's rows for reports, never mixed with the rows of another grid."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeps.analysis.columns import SETTING_COLUMNS
from sweeps.analysis.results import find_sweeps, read_table
from sweeps.config import grid
from sweeps.ledger import rows
from sweeps.ledger.schema import UNIT_SCHEMA, settings_row
from sweeps.ledger.storage import Storage, StorageError
from sweeps.plan.identity import key_of
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Unit

OTHER = "name: tiny\nseed: 4\ngrid: [{training.lr: [0.1, 0.2]}]"


def shown(ledger):
    return [row.key for row in read_table(ledger).rows]


def test_rows_are_those_of_the_grid_in_order(ledger, tiny, plan):
    ledger.write_grid(tiny)
    found, why = rows.read(ledger.storage)
    assert why == ""
    assert [row["key"] for row in found] == list(map(key_of, tiny.rows))
    assert [row["order"] for row in found] == [0, 1, 2]
    for row, units in zip(found, plan.rows, strict=True):
        expected = settings_row(units[0])
        assert all(row[name] == expected.get(name) for name in SETTING_COLUMNS)


def test_columns_are_those_of_the_units(ledger, tiny):
    ledger.write_grid(tiny)
    schema = pq.read_schema(ledger.storage.path(rows.ROWS))
    assert schema.names[:2] == ["key", "order"]
    assert [(f.name, f.type) for f in list(schema)[2:]] == [
        (name, UNIT_SCHEMA.field(name).type) for name in [*SETTING_COLUMNS, "soft_adapt", "declarations"]
    ] + [("stages", pa.string())]


def test_a_report_needs_no_grid_file(ledger, tiny, plan):
    """Rows without units are shown as well, with the file's settings."""
    ledger.write_grid(tiny)
    ledger.storage.remove("grid.yaml")
    table = read_table(ledger)
    assert sorted(row.key for row in table.rows) == sorted({unit.key for unit in plan.units})
    assert (table.damaged, table.notes) == ([], ())
    assert table.columns == ["family", "method", "sampler", "exponent"]


def test_the_latest_grid_replaces_the_rows(ledger, tiny, read_grid):
    ledger.write_grid(tiny)
    ledger.write_grid(read_grid(OTHER))
    assert ledger.storage.names("") == ["grid-1.yaml", "grid.yaml", "rows.parquet"]
    assert shown(ledger) == ledger.keys()
    ledger.storage.remove(rows.ROWS)
    ledger.write_grid(read_grid(OTHER))
    assert shown(ledger) == ledger.keys()
    assert ledger.storage.names("") == ["grid-1.yaml", "grid.yaml", "rows.parquet"]


def test_a_removed_grid_file_costs_no_other(ledger, tiny, read_grid):
    """After somebody removed the first of two earlier grids, the next one still gets a name of its own."""
    for text in (OTHER, OTHER.replace("seed: 4", "seed: 5")):
        ledger.write_grid(tiny)
        ledger.write_grid(read_grid(text))
    ledger.storage.remove("grid-1.yaml")
    kept = {name: ledger.storage.read(name) for name in ("grid-2.yaml", "grid-3.yaml", "grid.yaml")}
    ledger.write_grid(tiny)
    assert [ledger.storage.read(f"grid-{i}.yaml") for i in (2, 3, 4)] == list(kept.values())


@pytest.mark.parametrize("left", [rows.ROWS, "failed"])
def test_a_sweep_without_grid_file_is_found(ledger, tiny, plan, left):
    """It is found by its rows, or by its units even if all failed."""
    ledger.write_grid(tiny)
    ledger.write_failed(plan.units[0], "no luck")
    ledger.storage.remove("grid.yaml")
    ledger.storage.remove(f"failed/{plan.units[0].name}.parquet" if left == rows.ROWS else rows.ROWS)
    assert find_sweeps(ledger.storage.root.rpartition("/")[0], None) == ["tiny"]


def test_the_same_rows_are_not_written_again(ledger, tiny):
    ledger.write_grid(tiny)
    before = ledger.storage.stamp(rows.ROWS)
    ledger.write_grid(tiny)
    assert ledger.storage.stamp(rows.ROWS) == before


class Dying(Storage):
    """A storage whose process is killed before its n-th change, from 0."""

    def __init__(self, storage, n):
        super().__init__(storage.root)
        self.left = n

    def change(self):
        if not self.left:
            raise StorageError("killed")
        self.left -= 1

    def write(self, name, data):
        self.change()
        super().write(name, data)

    def rename(self, name, new):
        self.change()
        super().rename(name, new)


@pytest.mark.parametrize("changes", [0, 1, 2])
def test_a_kill_between_the_writes_shows_no_mix(ledger, tiny, read_grid, changes):
    """A report shows the rows of the old grid or of the new one, and the next run corrects all three files."""
    other = read_grid(OTHER)
    ledger.write_grid(tiny)
    with pytest.raises(StorageError, match="killed"):
        type(ledger)(Dying(ledger.storage, changes)).write_grid(other)
    old, new = ({key_of(row) for row in g.rows} for g in (tiny, other))
    assert set(shown(ledger)) == (new if changes else old)
    ledger.write_grid(other)
    assert shown(ledger) == ledger.keys() == list(map(key_of, other.rows))
    assert ledger.storage.names("") == ["grid-1.yaml", "grid.yaml", "rows.parquet"]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"<html>"])
def test_an_unreadable_file_is_said_and_units_decide(ledger, tiny, plan, data):
    ledger.write_grid(tiny)
    for unit in (plan.rows[2][0], plan.rows[0][0]):
        ledger.write(unit, {"unconditioned_per_pixel": 0.1, "unconditioned_per_image": 1.0, "collapsed": False})
    ledger.storage.write(rows.ROWS, data)
    table = read_table(ledger)
    assert [row.key for row in table.rows] == [plan.rows[0][0].key, plan.rows[2][0].key]  # as in grid.yaml
    assert [name for name, _ in table.damaged] == [rows.ROWS]
    assert table.notes == ("not shown: 1 row of grid.yaml without any unit, because there is no rows.parquet to read",)
    assert ledger.storage.read(rows.ROWS) == data


def test_a_units_file_is_not_rows(ledger, plan):
    ledger.write(plan.units[0], {})
    ledger.storage.write(rows.ROWS, ledger.storage.read(f"units/{plan.units[0].name}.parquet"))
    found, why = rows.read(ledger.storage)
    assert found is None
    assert why


def test_a_setting_added_later_is_neutral(ledger, tiny):
    """A file of an earlier version lacks the setting's column; its rows must not differ from new ones."""
    ledger.write_grid(tiny)
    path = ledger.storage.path(rows.ROWS)
    pq.write_table(pq.read_table(path).drop_columns(["training.deterministic"]), path)
    found, _ = rows.read(ledger.storage)
    assert {row["training.deterministic"] for row in found} == {False}


def test_a_large_grid_keeps_its_order(ledger, tiny):
    row = tiny.rows[0]
    many = grid.Grid("tiny", tuple(row.model_copy(update={"seed": seed}) for seed in range(300)))
    ledger.write_grid(many)
    assert [row.settings["seed"] for row in read_table(ledger).rows] == list(range(300))
    assert len(Plan(many, frozenset(), frozenset()).rows) == 300


def test_all_rows_come_in_the_order_of_the_grids(ledger, read_grid):
    """The files' order, which is that of hashes, was the table's."""
    earlier = read_grid("name: tiny\ngrid: [{training.lr: [0.5, 0.4, 0.3, 0.6]}]").rows
    latest = read_grid("name: tiny\ngrid: [{training.lr: [0.2, 0.1, 0.3, 0.05]}]").rows
    for sweep in (earlier, latest):
        for settings in sweep:
            ledger.write_failed(Unit(key_of(settings), 0, settings), "no memory")
    ledger.write_grid(read_grid("name: tiny\ngrid: [{training.lr: [0.5, 0.4, 0.3, 0.6]}]"))
    ledger.write_grid(read_grid("name: tiny\ngrid: [{training.lr: [0.2, 0.1, 0.3, 0.05]}]"))
    found = [row.settings["training.lr"] for row in read_table(ledger, all_rows=True).rows]
    assert found == [0.2, 0.1, 0.3, 0.05, 0.5, 0.4, 0.6]
