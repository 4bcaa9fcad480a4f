"""Pandas frames, exports and TensorBoard's event files, compared with values that are computed independently."""

import csv
import datetime
import itertools
import re
import shutil
import struct
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow.parquet as pq
import pytest
from scipy import stats

from sweeps import frames
from sweeps.analysis.export import export
from sweeps.config import grid, yaml_reader
from sweeps.data.datasets import Loaded
from sweeps.ledger import tensorboard
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage, StorageError
from sweeps.plan.plan import Plan
from sweeps.worker import run_unit

GRID = """
name: made
seed: 3
data: {dataset: digits, limit: 60}
folds: {n_splits: 4}
training: {epochs: 2, batch_size: 16}
grid:
  - {family: vqvae, method: none, model.hidden: [[8, 8], [16, 16]]}
  - {family: vqvae, method: multi_decoder, model.hidden: [[8, 8], [16, 16]]}
"""
FINISHED = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def value(row, fold):
    """Return a value for a row and fold, without a pattern that could hide a mix-up of rows or folds."""
    return float(np.random.default_rng([row, fold]).normal(1.0, 0.1))


def history(row, fold, epochs=(1, 2)):
    return [
        {"epoch": epoch, "train_unconditioned": value(row, fold) / epoch, "selection_total": float(epoch + fold)}
        | ({"weight_conditioned": 0.5} if row >= 2 else {})
        for epoch in epochs
    ]


def result(row, fold):
    v = value(row, fold)
    return {
        "unconditioned_per_pixel": v,
        "unconditioned_per_image": 64 * v,
        "latent_loss": 2 * v,
        "collapsed": fold == 0,
        "best_epoch": 2 if row else None,
        "history": history(row, fold),
        "seeds": {"fold": fold, "init": 2**62},
        "split_hash": f"split {fold}",
        "finished_at": FINISHED,
        "git_commit": '=cmd|"/c calc"!A0' if row == 0 else "abc",
        "device": ["+1", "-1", "@a", "\ta"][fold] if row == 1 else "cpu",
        "sampler_built_with": "\rx" if row == 1 else 'a "quoted", \n text - with = inside',
    } | ({"conditioned_per_pixel": v / 3} if row >= 2 else {})


MADE = grid.read(yaml_reader.parse(GRID), "made.yaml")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Make a ledger with rows 0 to 2 complete; one of four folds of row 3 (multi_decoder, larger model) failed."""
    ledger = Ledger(Storage(tmp_path_factory.mktemp("made")))
    ledger.write_grid(MADE)
    for i, row in enumerate(Plan(MADE, frozenset(), frozenset()).rows):
        for unit in row:
            if (i, unit.fold) == (3, 3):
                ledger.write_failed(unit, "no luck")
            else:
                ledger.write(unit, result(i, unit.fold))
    return ledger.storage.root


@pytest.fixture
def swept(made_once, tmp_path):
    """Copy the ledger, so that a test may change it."""
    return Ledger(Storage(shutil.copytree(made_once, tmp_path / "results" / "made")))


@pytest.fixture
def plan(swept):
    return Plan(MADE, swept.units(), swept.units("failed"))


@pytest.fixture
def results(swept, tmp_path):
    return tmp_path / "results"


def by_row(frame, plan):
    """Return the frame's rows in the grid's order."""
    return frame.set_index("key").loc[[row[0].key for row in plan.rows]]


class TestUnits:
    def test_a_row_per_done_unit_with_nullable_types(self, results, plan):
        frame = frames.units("made", results)
        assert set(zip(frame["key"], frame["fold"], strict=True)) == plan.done
        assert "history" not in frame
        assert (frame["seeds.init"] == 2**62).all()
        assert set(frame["model.hidden"]) == {"[8, 8]", "[16, 16]"}
        assert str(frame["best_epoch"].dtype) == "Int64"
        assert frame["best_epoch"].isna().sum() == 4
        assert str(frame["collapsed"].dtype) == "boolean"
        assert frame["git_dirty"].isna().all()
        assert frame["conditioned_per_pixel"].dtype == np.float64
        assert frame["finished_at"].iloc[0] == pd.Timestamp(FINISHED)
        assert frame.groupby(["model.hidden", "method"])["fold"].count().tolist() == [3, 4, 4, 4]

    def test_compacted_units_are_the_same(self, results, swept):
        before = frames.units("made", results), frames.curves("made", results)
        compact(swept)
        for frame, after in zip(before, (frames.units("made", results), frames.curves("made", results)), strict=True):
            order = ["key", "fold", *(["epoch"] if "epoch" in frame else [])]
            pd.testing.assert_frame_equal(*(f.sort_values(order, ignore_index=True) for f in (frame, after)))


def test_curves_hold_every_epoch_with_distinguishing_settings(results, plan):
    frame = frames.curves("made", results)
    settings = [name for name in frame.columns if not re.match("key|fold|epoch|(train|selection|weight)_", name)]
    assert "method" in settings
    assert "model.hidden" in settings
    assert len(frame) == 2 * 15
    for i, row in enumerate(plan.rows):
        of_row = frame[frame["key"] == row[0].key]
        assert set(of_row["method"]) == {"none" if i < 2 else "multi_decoder"}
        for _, line in of_row.iterrows():
            assert line["train_unconditioned"] == value(i, line["fold"]) / line["epoch"]
            assert np.isnan(line["weight_conditioned"]) == (i < 2)


class TestTable:
    @pytest.mark.parametrize("metric, factor", [("unconditioned", 1), ("latent_loss", 2)])
    def test_statistics_against_numpy(self, results, plan, metric, factor):
        frame = by_row(frames.table("made", results), plan)
        for i in range(4):
            values = factor * np.array([value(i, fold) for fold in range(3 if i == 3 else 4)])
            n = len(values)
            half = stats.t.ppf(0.975, n - 1) * np.sqrt(np.var(values, ddof=1) * (1 / n + 1 / 3))
            wanted = {
                "mean": np.mean(values),
                "variance": np.var(values),
                "sd": np.std(values, ddof=1),
                "ci95_low": np.mean(values) - half,
                "ci95_high": np.mean(values) + half,
                "median": np.median(values),
                "min": np.min(values),
                "max": np.max(values),
            }
            found = frame.iloc[i][[f"{metric}_{name}" for name in wanted]].astype(float)
            assert found.tolist() == pytest.approx(list(wanted.values()), rel=1e-12)

    def test_what_a_row_rests_on(self, results, plan):
        frame = by_row(frames.table("made", results), plan)
        assert frame[["folds", "folds_wanted", "failed", "collapsed"]].to_numpy().tolist() == [[4, 4, 0, 1]] * 3 + [
            [3, 4, 1, 1]
        ]
        assert frame["conditioned_mean"].isna().tolist() == [True, True, False, False]
        assert set(frame["error_unit"]) == {"per_pixel"}
        assert frame["model.hidden"].tolist() == ["[8, 8]", "[16, 16]"] * 2

    def test_a_grid_of_which_nothing_is_done(self, read_grid, tmp_path):
        nothing = read_grid("name: new\ngrid: [{method: [none, conditioned]}]")
        Ledger(Storage(tmp_path / "new")).write_grid(nothing)
        frame = frames.table("new", tmp_path)
        assert frame["folds"].tolist() == [0, 0]
        assert frame["latent_loss_mean"].isna().all()
        assert len(frames.units("new", tmp_path)) == len(frames.curves("new", tmp_path)) == 0
        assert frames.units("new", tmp_path)["fold"].dtype == "Int64"
        assert set(frames.differences("new", tmp_path)["why_not"]) == {"no fold is done"}


class TestDifferences:
    def test_against_a_corrected_t_test_and_holm(self, results, plan):
        frame = frames.differences("made", results)
        of_metric = by_row(frame[frame["metric"] == "latent_loss"], _only(plan, 2, 3))
        ps = []
        for i, (_, row) in enumerate(of_metric.iterrows()):
            n = 4 - i
            d = np.array([2 * value(2 + i, fold) - 2 * value(i, fold) for fold in range(n)])
            error = np.sqrt(np.var(d, ddof=1) * (1 / n + 1 / 3))
            ps.append(2 * stats.t.sf(abs(d.mean()) / error, n - 1))
            half = stats.t.ppf(0.975, n - 1) * error
            base = np.mean([2 * value(i, fold) for fold in range(n)])
            found = row[["difference", "low", "high", "p", "relative", "effect", "folds"]].astype(float).tolist()
            wanted = [d.mean(), d.mean() - half, d.mean() + half, ps[-1], d.mean() / base, d.mean() / d.std(ddof=1), n]
            assert found == pytest.approx(wanted, rel=1e-9)
            assert row["baseline_key"] == plan.rows[i][0].key
        low, high = sorted(ps)
        holm = {low: min(1, 2 * low), high: max(min(1, 2 * low), high)}
        assert of_metric["p_holm"].tolist() == pytest.approx([holm[p] for p in ps], rel=1e-9)

    def test_without_a_baseline_it_says_why(self, read_grid, tmp_path):
        alone = read_grid("name: alone\ngrid: [{method: multi_decoder}]")
        ledger = Ledger(Storage(tmp_path / "alone"))
        ledger.write_grid(alone)
        ledger.write(Plan(alone, frozenset(), frozenset()).units[0], result(2, 0))
        frame = frames.differences("alone", tmp_path)
        assert frame["why_not"].str.contains("method none").all()
        assert frame[["difference", "p", "p_holm"]].isna().all(axis=None)

    def test_baselines_alone_have_no_rows_but_columns(self, read_grid, tmp_path):
        Ledger(Storage(tmp_path / "base")).write_grid(read_grid("name: base\ngrid: [{}]"))
        frame = frames.differences("base", tmp_path)
        assert len(frame) == 0
        assert frame["p_holm"].dtype == np.float64


def _only(plan, *rows):
    return Plan(grid.Grid("made", tuple(plan.grid.rows[i] for i in rows)), plan.done, plan.failed)


class TestMissingAndDamaged:
    @pytest.mark.parametrize("function", [frames.units, frames.curves, frames.table, frames.differences])
    def test_a_missing_sweep_is_one_line_naming_others(self, results, function):
        with pytest.raises(ValueError, match="no sweep maid, only made"):
            function("maid", results)

    def test_no_folder_of_results(self, tmp_path):
        with pytest.raises(ValueError, match=r"nowhere: no sweep made$"):
            frames.units("made", tmp_path / "nowhere")

    @pytest.mark.parametrize("function", [frames.units, frames.curves, frames.table, frames.differences])
    def test_a_damaged_file_warns_on_the_callers_line(self, results, swept, plan, function):
        swept.storage.write(f"units/{plan.units[0].name}.parquet", b"<html>")
        with pytest.warns(UserWarning, match=f"not read: {plan.units[0].name}") as caught:
            function("made", results)
        assert [w.filename for w in caught] == [__file__]

    def test_a_damaged_compacted_file_too(self, results, swept):
        swept.storage.write("units.parquet", b"<html>")
        with pytest.warns(UserWarning, match=r"not read: units\.parquet"):
            assert len(frames.units("made", results)) == 15

    def test_no_warning_without_a_reason(self, results):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for function in (frames.units, frames.curves, frames.table, frames.differences):
                function("made", results)


class TestExport:
    @pytest.mark.parametrize("what, rows", [("units", 15), ("curves", 30)])
    def test_parquet_reads_flat_elsewhere_and_keeps_every_digit(self, results, swept, tmp_path, what, rows):
        path = tmp_path / "out" / f"{what}.parquet"
        assert export(swept, path, what) == (rows, [])
        frame = getattr(frames, what)("made", results)
        assert not any(dtype.is_nested() for dtype in polars.read_parquet(path).dtypes)
        assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(rows,)]
        assert polars.read_parquet(path).columns == list(frame.columns)
        for name in frame.select_dtypes("number"):
            np.testing.assert_array_equal(polars.read_parquet(path)[name].to_numpy(), frame[name].to_numpy(float))

    def test_units_of_measure_stay_in_the_schema(self, swept, tmp_path):
        export(swept, tmp_path / "units.parquet", "units")
        schema = pq.read_schema(tmp_path / "units.parquet")
        assert schema.field("latent_loss").metadata[b"unit"].startswith(b"gaussian_vae: nats")
        assert b"mtvae-sweeps" not in (schema.metadata or {})  # an export is no file of a ledger

    @pytest.mark.parametrize("what", ["units", "curves"])
    def test_csv_has_the_same_numbers_bit_by_bit(self, results, swept, tmp_path, what):
        path = tmp_path / f"{what}.CSV"
        export(swept, path, what)
        frame = getattr(frames, what)("made", results)
        with path.open(newline="") as file:
            read = list(csv.DictReader(file))
        assert list(read[0]) == list(frame.columns)
        for name in frame.select_dtypes("number"):
            found = [float(row[name] or "nan") for row in read]
            np.testing.assert_array_equal(found, frame[name].to_numpy(float, na_value=np.nan))
        other = duckdb.sql(f"select count(distinct key), sum(fold) from read_csv('{path}')").fetchall()
        assert other == [(4, frame["fold"].sum())]

    def test_a_csv_cell_is_no_formula(self, results, swept, tmp_path):
        export(swept, tmp_path / "units.csv", "units")
        read = pd.read_csv(tmp_path / "units.csv", dtype=str, keep_default_na=False)
        for name in read:
            for text in read[name]:
                assert not re.match(r"[=+@\t\r]|-(?!\d+(\.\d+)?$)", text), (name, text)
        assert set(read["git_commit"]) == {'\'=cmd|"/c calc"!A0', "abc"}
        assert set(read["device"]) == {"'+1", "'-1", "'@a", "'\ta", "cpu"}
        assert set(read["sampler_built_with"]) == {"'\rx", 'a "quoted", \n text - with = inside'}

    def test_negative_numbers_are_not_touched(self, swept, plan, tmp_path):
        swept.write(plan.units[0], result(0, 0) | {"latent_loss": -1.5})
        export(swept, tmp_path / "units.csv", "units")
        assert pd.read_csv(tmp_path / "units.csv")["latent_loss"].min() == -1.5

    def test_units_in_several_batches_and_in_both_forms(self, swept, plan, tmp_path, monkeypatch):
        monkeypatch.setattr("sweeps.analysis.export.BATCH", 2)
        compact(swept)
        swept.write(plan.units[1], result(1, 0) | {"latent_loss": 9.0})
        for what, rows in (("units", 15), ("curves", 30)):
            assert export(swept, tmp_path / f"{what}.parquet", what) == (rows, [])
        assert (pd.read_parquet(tmp_path / "units.parquet")["latent_loss"] == 9.0).sum() == 1

    def test_unreadable_files_are_named(self, swept, plan, tmp_path):
        swept.storage.write(f"units/{plan.units[0].name}.parquet", b"<html>")
        rows, damaged = export(swept, tmp_path / "units.csv", "units")
        assert (rows, [name for name, _ in damaged]) == (14, [f"{plan.units[0].name}.parquet"])

    def test_another_ending_is_an_error_and_writes_nothing(self, swept, tmp_path):
        with pytest.raises(ValueError, match=r"out\.xlsx: .* \.parquet or \.csv"):
            export(swept, tmp_path / "out.xlsx", "units")
        assert not (tmp_path / "out.xlsx").exists()

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_a_failure_leaves_the_old_file(self, swept, tmp_path, monkeypatch, ending):
        path = tmp_path / f"units.{ending}"
        path.write_text("old")
        one = swept.table()[0]
        monkeypatch.setattr(swept, "batches", lambda *_: (one if i == 0 else 1 / 0 for i in range(2)))
        with pytest.raises(ZeroDivisionError):
            export(swept, path, "units")
        assert path.read_text() == "old"
        assert [file.name for file in tmp_path.iterdir() if "units" in file.name] == [path.name]

    def test_an_unwritable_folder_is_one_line(self, swept, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match=r"cannot write .*file/units\.csv"):
            export(swept, tmp_path / "file" / "units.csv", "units")

    def test_a_uri(self, swept, tmp_path):
        assert export(swept, (tmp_path / "u.parquet").as_uri(), "units") == (15, [])
        assert len(pd.read_parquet(tmp_path / "u.parquet")) == 15


def events(run):
    """Yield a run's events as TensorBoard reads them, file by file; check each record's length and checksums."""
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    def masked(data):
        crc = crc32c(data)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    for file in sorted(run.glob("*tfevents*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
            record = data[12 : 12 + length]
            assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(record)
            yield Event.FromString(record)
            data = data[16 + length :]


def scalars(run):
    """Return the values of each (tag, step), after TensorBoard's purge at every start of a session."""
    found = {}
    for event in events(run):
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            found = {(tag, step): v for (tag, step), v in found.items() if step < event.step}
        for v in event.summary.value:
            if v.HasField("simple_value"):
                found.setdefault((v.tag, event.step), []).append(v.simple_value)
    return found


class TestTensorBoard:
    def test_every_epoch_of_every_unit_is_there_once(self, swept, plan, tmp_path):
        written = tensorboard.write_all(swept, tmp_path / "tb")
        assert written == (15, [])
        runs = {run.name: run for run in (tmp_path / "tb").iterdir()}
        assert len(runs) == 15
        unit = plan.rows[2][1]
        found = scalars(runs[f"vqvae-1-multi_decoder-uniform-model.hidden-8-8-{unit.key}-fold1"])
        assert {tag for tag, _ in found} == {"train/unconditioned", "selection/total", "weight/conditioned"}
        for epoch in (1, 2):
            assert found["train/unconditioned", epoch] == [pytest.approx(value(2, 1) / epoch, rel=1e-6)]
            assert found["selection/total", epoch] == [epoch + 1]

    def test_writing_again_replaces_live_files_too(self, swept, plan, tmp_path):
        live = tensorboard.Live(tmp_path, plan.units[0])
        live.epoch(history(0, 0)[0])
        live.close()
        for _ in range(2):
            tensorboard.write_all(swept, tmp_path)
        assert len(list(live.run.iterdir())) == 1
        assert all(len(values) == 1 for values in scalars(live.run).values())

    def test_settings_stand_as_hyperparameters_but_not_paths(self, swept, plan, tmp_path):
        from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

        live = tensorboard.Live(tmp_path, plan.units[0])
        live.epoch(history(0, 0)[0])
        metadata = [v.metadata for e in events(live.run) for v in e.summary.value if v.HasField("metadata")]
        named = HParamsPluginData.FromString(metadata[0].plugin_data.content).session_start_info.hparams
        assert named["training.batch_size"].number_value == 16
        assert named["model.hidden"].string_value == "[8, 8]"
        assert "data.root" not in named
        live.close()

    def test_live_files_can_be_read_at_once(self, plan, tmp_path):
        live = tensorboard.Live(tmp_path, plan.units[0])
        live.epoch(history(0, 0)[0])
        assert len(scalars(live.run)) == 2
        live.close()

    def test_a_resumed_unit_writes_no_epoch_twice(self, plan, tmp_path):
        """The unit is killed after epoch 3 with a checkpoint of epoch 1, resumes, and later starts from scratch."""
        epochs = history(0, 0, range(1, 6))
        live = tensorboard.Live(tmp_path, plan.units[0])
        for row in epochs[:3]:
            live.epoch(row | {"selection_total": -1.0})
        resumed = tensorboard.Live(tmp_path, plan.units[0])
        for row in epochs[1:]:
            resumed.epoch(row)
        resumed.close()
        found = scalars(resumed.run)
        assert [found["selection/total", step] for step in range(1, 6)] == [[-1], [2], [3], [4], [5]]
        again = tensorboard.Live(tmp_path, plan.units[0])
        again.epoch(epochs[0])
        again.close()
        assert {step for _, step in scalars(again.run)} == {1}

    def test_a_stopped_and_resumed_training_shows_epochs_once(self, plan, digits, tmp_path):
        unit, ledger = plan.units[0], Ledger(Storage(tmp_path / "trained"))
        steps = itertools.count()
        stopped = run_unit.run_unit(
            unit,
            Loaded(digits),
            ledger,
            "cpu",
            {},
            should_stop=lambda: next(steps) == 3,
            tensorboard=str(tmp_path / "tb"),
        )
        assert stopped == "stopped"
        assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {}, tensorboard=str(tmp_path / "tb")) == "done"
        (row,), _ = ledger.read()
        (run,) = (tmp_path / "tb").iterdir()
        shown = {step: values for (tag, step), values in scalars(run).items() if tag == "selection/total"}
        assert shown == {e["epoch"]: [pytest.approx(e["selection_total"], rel=1e-6)] for e in row["history"]}

    def test_names_are_safe_for_a_path(self):
        name = tensorboard.run_name("../../x 1 a b\n, a = 40, data.root /a/b", "..-fold2")
        assert name == "x-1-a-b-a-40-data.root-a-b-..-fold2"

    def test_a_folder_is_tried_before_a_run(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert tensorboard.prepare_folder("a/b") == str(tmp_path / "a" / "b")
        assert list((tmp_path / "a" / "b").iterdir()) == []
        for folder in ("/proc/here", "s3://bucket/prefix"):
            with pytest.raises(StorageError, match=f"cannot write {folder}"):
                tensorboard.prepare_folder(folder)

    @pytest.mark.parametrize("write", ["live", "ledger"])
    def test_a_folder_that_cannot_be_is_one_line(self, swept, plan, tmp_path, write):
        (tmp_path / "file").touch()
        for folder, message in (
            (tmp_path / "file", "cannot write .*file/vqvae"),
            ("s3://b/c", "a folder on this machine"),
        ):
            with pytest.raises(StorageError, match=message):
                tensorboard.Live(folder, plan.units[0]) if write == "live" else tensorboard.write_all(swept, folder)
