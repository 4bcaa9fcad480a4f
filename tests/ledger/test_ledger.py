"""The ledger on every kind of filesystem: files are whole, other tools read them, and no good file is overwritten."""

import errno
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import polars
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from sweeps.data import seeds
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import UNIT_SCHEMA
from sweeps.ledger.storage import Storage, StorageError, is_stale, temporary_name
from sweeps.plan.plan import Plan

RESULTS = {
    "unconditioned_per_pixel": 0.5,
    "latent_loss": 1.5,
    "collapsed": False,
    "best_epoch": 2,
    "history": [{"epoch": 1, "train_unconditioned": 0.7, "selection_total": 0.9}],
    "seeds": {"fold": 1, "init": 2},
}


class Troubled(Storage):
    """A storage in which one file cannot be opened now. `trouble`: its name and the system's errno."""

    trouble = None

    def folder(self, name):
        return self

    def open(self, name):
        if self.trouble is not None and name == self.trouble[0]:
            raise OSError(self.trouble[1], "trouble")
        return super().open(name)


def test_every_seed_has_its_field():
    """A seed without a field would be lost in the record, and the field's text says what one generator serves."""
    field = UNIT_SCHEMA.field("seeds")
    named = seeds.of_fold(0, 0, separate_draws=True, drawn_half=True)
    assert {part.name for part in field.type} == named.keys()
    assert "evaluation.draws" in field.metadata[b"unit"].decode()


def parts(ledger):
    return [*ledger.batches(10, [])]


@pytest.fixture(params=["local", "memory", "subtree", "s3"])
def storage(request, tmp_path):
    if request.param == "local":
        return Storage(tmp_path / "a folder's \n name" / "sweep")
    if request.param == "memory":
        filesystem = fsspec.filesystem("memory")
        return Storage(f"/{tmp_path.name}/sweep", fs.PyFileSystem(fs.FSSpecHandler(filesystem)))
    if request.param == "s3":
        return Storage(request.getfixturevalue("bucket")("prefix/sweep"))
    return Storage("sweep", fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()))


class TestContract:
    def test_a_written_unit_is_done_and_reads_back(self, storage, plan):
        ledger, unit = Ledger(storage), plan.units[0]
        assert not ledger.has(unit)
        assert ledger.units() == frozenset()
        ledger.write(unit, RESULTS)
        assert ledger.has(unit)
        assert ledger.units() == {unit.id}
        (row,), damaged = ledger.read()
        assert damaged == []
        assert (row["key"], row["fold"], row["family"], row["dataset"]) == (unit.key, 0, "vqvae", "digits")
        assert row["training.epochs"] == 2
        assert row["folds.selection"] == "0.1"
        assert row["history"][0]["selection_total"] == 0.9
        assert row["model.hidden"] == [32, 64]

    def test_a_done_unit_removes_its_failure(self, storage, plan):
        ledger, unit = Ledger(storage), plan.units[0]
        ledger.write_failed(unit, "no luck")
        assert ledger.units("failed") == {unit.id}
        assert not ledger.has(unit)
        (row,), _ = ledger.read("failed")
        assert (row["reason"], row["log"]) == ("no luck", ledger.log_path(unit))
        ledger.write(unit, RESULTS)
        assert ledger.units("failed") == frozenset()

    def test_damaged_files_are_named_and_set_aside(self, storage, plan):
        """Their units are no longer done."""
        ledger = Ledger(storage)
        good, truncated, foreign, swapped = plan.units[:4]
        for unit in (good, truncated):
            ledger.write(unit, RESULTS)
        whole = storage.read(f"units/{truncated.name}.parquet")
        storage.write(f"units/{truncated.name}.parquet", whole[:-50])
        storage.write(f"units/{foreign.name}.parquet", b"<html>")
        storage.write(f"units/{swapped.name}.parquet", whole)
        storage.write("units/notes.txt", b"mine")
        rows, damaged = ledger.read()
        assert [row["key"] for row in rows] == [good.key]
        assert len(damaged) == 3
        assert len(ledger.set_damaged_aside([])[1]) == 3
        assert ledger.units() == {good.id}
        assert storage.read(f"units/{foreign.name}.parquet.damaged") == b"<html>"
        assert storage.read("units/notes.txt") == b"mine"

    def test_the_latest_and_earlier_grids_are_kept(self, storage, tiny, read_grid):
        ledger = Ledger(storage)
        assert ledger.keys() is None
        ledger.write_grid(tiny)
        ledger.write_grid(tiny)
        assert len(ledger.keys()) == 3
        ledger.write_grid(read_grid("name: tiny\ngrid: [{}]"))
        assert len(ledger.keys()) == 1
        assert storage.names("") == ["grid-1.yaml", "grid.yaml", "rows.parquet"]

    def test_compaction_keeps_rows_and_done_units(self, storage, plan):
        ledger = Ledger(storage)
        for unit in plan.units[:3]:
            ledger.write(unit, RESULTS)
        before = sorted(ledger.read()[0], key=repr)
        assert compact(ledger) == (3, [])
        assert storage.names("units") == []
        assert sorted(ledger.read()[0], key=repr) == before
        assert Ledger(storage).units() == {unit.id for unit in plan.units[:3]}
        assert all(ledger.has(unit) for unit in plan.units[:3])
        assert not ledger.has(plan.units[3])

    def test_an_own_file_precedes_the_compacted_row(self, storage, plan):
        ledger = Ledger(storage)
        for unit in plan.units[:2]:
            ledger.write(unit, RESULTS)
        compact(ledger)
        ledger.write(plan.units[1], RESULTS | {"latent_loss": 9.0})
        ledger.write(plan.units[2], RESULTS)
        losses = {(row["key"], row["fold"]): row["latent_loss"] for row in ledger.read()[0]}
        assert losses == {plan.units[0].id: 1.5, plan.units[1].id: 9.0, plan.units[2].id: 1.5}
        assert compact(ledger) == (3, [])
        assert {(row["key"], row["fold"]): row["latent_loss"] for row in ledger.read()[0]} == losses

    def test_compaction_leaves_what_it_cannot_read(self, storage, plan):
        ledger = Ledger(storage)
        ledger.write(plan.units[0], RESULTS)
        storage.write(f"units/{plan.units[1].name}.parquet", b"<html>")
        held, damaged = compact(ledger)
        assert (held, [name for name, _ in damaged]) == (1, [f"{plan.units[1].name}.parquet"])
        assert storage.read(f"units/{plan.units[1].name}.parquet") == b"<html>"

    def test_a_damaged_compacted_file_stops_compaction(self, storage, plan):
        """A run sets the file aside."""
        ledger = Ledger(storage)
        storage.write("units.parquet", b"<html>")
        ledger.write(plan.units[0], RESULTS)
        with pytest.raises(StorageError, match=r"units\.parquet"):
            compact(ledger)
        assert storage.read("units.parquet") == b"<html>"
        assert ledger.has(plan.units[0])
        assert [name for name, _ in ledger.set_damaged_aside([])[1]] == ["units.parquet"]
        assert storage.read("units.parquet.damaged") == b"<html>"

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM])
    def test_trouble_of_the_machine_is_no_damage(self, storage, plan, monkeypatch, number):
        """A file that cannot be read now ends the command. It is not renamed, and its unit stays done."""
        ledger = Ledger(storage)
        for unit in plan.units[:2]:
            ledger.write(unit, RESULTS)
        compact(ledger)
        ledger.write(plan.units[2], RESULTS)
        before = {folder: storage.names(folder) for folder in ("", "units")}
        for name in ("units.parquet", f"units/{plan.units[2].name}.parquet"):
            fresh = Ledger(Troubled(storage.root, storage.filesystem))
            fresh.storage.trouble = (name, number)
            for look in (
                fresh.read,
                partial(fresh.set_damaged_aside, []),
                partial(compact, fresh),
                partial(parts, fresh),
            ):
                with pytest.raises(StorageError, match=rf"(?s)cannot read .*{name}: {os.strerror(number)}"):
                    look()
            if name == "units.parquet":
                for look in (fresh.units, partial(fresh.has, plan.units[0])):
                    with pytest.raises(StorageError):
                        look()
            fresh.storage.trouble = None
            assert fresh.units() == {unit.id for unit in plan.units[:3]}  # "none" was not cached
        assert {folder: storage.names(folder) for folder in ("", "units")} == before

    def test_a_file_that_is_compacted_meanwhile_still_counts(self, storage, plan, monkeypatch):
        """Another process compacts the files after this process has listed them."""
        ledger = Ledger(storage)
        for unit in plan.units[:2]:
            ledger.write(unit, RESULTS)
        listed = storage.names("units")
        compact(ledger)
        names = Storage.names
        monkeypatch.setattr(Storage, "names", lambda s, folder: listed if folder == "units" else names(s, folder))
        rows, damaged = Ledger(storage).read()
        assert ({(row["key"], row["fold"]) for row in rows}, damaged) == ({unit.id for unit in plan.units[:2]}, [])
        assert sum(len(table) for table in Ledger(storage).batches(10, damaged)) == 2
        assert damaged == []

    def test_no_temporary_file_is_left(self, storage, plan):
        Ledger(storage).write(plan.units[0], RESULTS)
        assert storage.names("units") == [f"{plan.units[0].name}.parquet"]


def test_other_libraries_read_it_as_is(ledger, plan):
    """A unit with and one without a condition, so that null columns meet typed ones."""
    for unit in (plan.units[0], plan.units[2]):
        ledger.write(unit, RESULTS)
    pattern = ledger.storage.path("units/*.parquet")
    frame = pd.read_parquet(ledger.storage.path("units"))
    assert sorted(frame["method"]) == ["none", "single_decoder"]
    assert frame["history"].map(lambda h: h[0]["epoch"]).tolist() == [1, 1]
    assert polars.read_parquet(pattern)["exponent"].sum() == 40
    assert duckdb.sql(f"select count(*), sum(fold) from '{pattern}' where not collapsed").fetchall() == [(2, 0)]


def test_the_schema_has_the_promised_columns_and_units(ledger, plan):
    promised = """key, family, configuration, method, sampler, exponent, soft_adapt, dataset, fold, seed,
        unconditioned_per_pixel, unconditioned_per_image, conditioned_per_pixel, conditioned_per_image, latent_loss,
        best_epoch, collapsed, images_trained, seconds, history"""
    assert {name.strip() for name in promised.split(",")} <= set(UNIT_SCHEMA.names)
    ledger.write(plan.units[0], RESULTS)
    schema = pq.read_schema(ledger.storage.path(f"units/{plan.units[0].name}.parquet"))
    assert b"nats per image" in schema.field("latent_loss").metadata[b"unit"]


def test_a_foreign_table_is_damage(ledger, plan):
    """Name and identity are right, but columns or types are not ours. No value of it reaches a table."""
    import pyarrow as pa

    unit, typed = plan.units[:2]
    rows = {"key": [unit.key], "fold": [0], "family": ["<script>"]}
    Path(ledger.storage.path("units")).mkdir(parents=True)
    pq.write_table(pa.table(rows), ledger.storage.path(f"units/{unit.name}.parquet"))
    ledger.write(typed, RESULTS)
    table = pq.read_table(ledger.storage.path(f"units/{typed.name}.parquet"))
    at = table.schema.get_field_index("latent_loss")
    pq.write_table(
        table.set_column(at, "latent_loss", pa.array(["=cmd()"])), ledger.storage.path(f"units/{typed.name}.parquet")
    )
    found, damaged = ledger.read()
    assert found == []
    assert [why for _, why in sorted(damaged, key=lambda d: d[0] != f"{unit.name}.parquet")] == [
        "not a unit: its columns are key, fold, family",
        "latent_loss is string, not double",
    ]


def test_an_older_files_missing_columns_are_null(ledger, plan):
    unit = plan.units[0]
    ledger.write(unit, RESULTS)
    path = ledger.storage.path(f"units/{unit.name}.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["perplexity", "soft_adapt.variant"]), path)
    (row,), damaged = ledger.read()
    assert damaged == []
    assert (row["perplexity"], row["soft_adapt.variant"], row["latent_loss"]) == (None, None, 1.5)


def test_units_of_several_versions_are_joined(tiny, ledger, plan):
    """A unit of an older version lacks a column, and one of a later version has one more.

    Both are done, in one table, and are compacted with a unit of this version.
    """
    import pyarrow as pa

    older, later, ours = plan.units[:3]
    for unit in (older, later, ours):
        ledger.write(unit, RESULTS)
    paths = [ledger.storage.path(f"units/{unit.name}.parquet") for unit in (older, later)]
    pq.write_table(pq.read_table(paths[0]).drop_columns(["perplexity"]), paths[0])
    pq.write_table(pq.read_table(paths[1]).append_column("novelty", pa.array([1.0])), paths[1])
    assert ledger.set_damaged_aside([])[1] == []
    assert len(Plan(tiny, ledger.units(), frozenset()).missing()) == 3
    rows, damaged = ledger.read()
    assert (len(rows), damaged) == (3, [])
    assert all("novelty" not in row and row["perplexity"] is None and row["latent_loss"] == 1.5 for row in rows)
    assert compact(ledger) == (3, [])
    assert sorted(ledger.read()[0], key=repr) == sorted(rows, key=repr)


def test_an_unknown_result_is_an_error(ledger, plan):
    with pytest.raises(KeyError, match="loss_typo"):
        ledger.write(plan.units[0], {"loss_typo": 1.0})


def test_only_ended_processes_temporary_files_are_removed(ledger, plan):
    host, folder = socket.gethostname(), Path(ledger.storage.path("units"))
    folder.mkdir(parents=True)
    gone = 2**22 + 1  # above Linux's largest process number
    names = {
        f"a-fold0.parquet.{host}-{gone}-00ff.tmp": False,
        f"a-fold0.parquet.{host}-{os.getpid()}-00ff.tmp": True,
        f"a-fold0.parquet.other.host-{gone}-00ff.tmp": True,
        "mine.tmp": True,
    }
    for name in names:
        (folder / name).touch()
    ledger.storage.sweep_temporary("units")
    assert {name: (folder / name).exists() for name in names} == names


def test_an_unwritable_folder_is_one_line(tmp_path, plan):
    (tmp_path / "file").write_text("")
    ledger = Ledger(Storage(tmp_path / "file" / "sweep"))
    with pytest.raises(StorageError, match=r"cannot write .*file/sweep/units"):
        ledger.write(plan.units[0], RESULTS)


def test_an_older_files_missing_settings_are_neutral(ledger, plan):
    """Otherwise a baseline of an earlier version would match no row of this one."""
    unit = plan.units[0]
    ledger.write(unit, RESULTS)
    path = ledger.storage.path(f"units/{unit.name}.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["training.deterministic"]), path)
    (row,), damaged = ledger.read()
    assert (row["training.deterministic"], damaged) == (False, [])


def test_many_files_are_read_in_order(ledger, plan, monkeypatch):
    """The order does not depend on how many tables are joined at a time."""
    for unit in plan.units:
        ledger.write(unit, RESULTS)
    at_once, _ = ledger.table()
    for size in (1, 4, len(plan.units)):
        monkeypatch.setattr("sweeps.ledger.ledger.BATCH", size)
        table, damaged = ledger.table()
        assert table.equals(at_once)
        assert (len(table), damaged) == (6, [])


@pytest.mark.parametrize("to", ["nowhere", "itself"])
@pytest.mark.parametrize("name", ["unit", "units.parquet"])
def test_a_dead_link_is_no_missing_unit(plan, tmp_path, name, to):
    """git-annex replaces a file whose content is elsewhere by such a link. Its unit is not trained again."""
    ledger, unit = Ledger(Storage(tmp_path)), plan.units[0]
    ledger.write(unit, RESULTS)
    path = tmp_path / (f"units/{unit.name}.parquet" if name == "unit" else name)
    path.unlink(missing_ok=True)
    path.symlink_to("../.annex/nowhere" if to == "nowhere" else path.name)
    for look in (ledger.units, partial(ledger.set_damaged_aside, []), partial(ledger.table, "units", ["key"])):
        with pytest.raises(StorageError, match=f"cannot read {path}: "):
            look()
    assert path.is_symlink()


def test_a_zombies_temporary_file_is_stale():
    """A worker may end while nobody asks for its exit code, as in a container whose first process is no init."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("no /proc")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        name = temporary_name("a.pt").replace(f"-{os.getpid()}-", f"-{process.pid}-")
        assert not is_stale(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
        assert is_stale(name)
