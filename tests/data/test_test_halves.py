"""Validation sets of the official test part: its first half, and a half that the sweep's seed draws."""

import numpy as np
import pytest

from sweeps.backends.ray_tune.session import _image_bytes
from sweeps.config.rules import resolve
from sweeps.data import datasets
from sweeps.data.datasets import Data, Loaded, Source, load
from sweeps.data.splits import Folds, fold_sizes, split
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.identity import key_of, units_of
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.stages.base import Inputs
from sweeps.stages.training import prepare
from sweeps.worker.run_unit import run_unit

IMAGES, TEST = 40, 21  # of toy_data:PARTS
DRAWN = Folds(n_splits=2, selection="random_test_half")
FIRST = Folds(n_splits=2, selection="test_half")


def parts(seed, fold=0, folds=DRAWN):
    return split(IMAGES, folds, seed, fold, TEST // 2, test_images=TEST)


def settings(selection="random_test_half", **given):
    flat = {"data.dataset": "toy_data:PARTS", "folds.n_splits": 2, "folds.selection": selection} | given
    flat |= {"family": "autoencoder", "training.epochs": 1, "training.batch_size": 8}
    return resolve(flat, frozenset(flat))


class TestSplit:
    @pytest.mark.parametrize("fold", [0, 1])
    def test_it_is_a_half_of_the_test_part(self, fold):
        """No image of it is in a fold, none is in it twice, and its size is that of the first half."""
        found = parts(3, fold)
        assert sorted(np.concatenate([found.train, found.test])) == list(range(IMAGES))
        assert len(np.unique(found.selection)) == TEST // 2
        assert found.selection.min() >= IMAGES and found.selection.max() < IMAGES + TEST
        sizes = tuple(len(part) for part in (found.train, found.selection, found.test))
        assert sizes == fold_sizes(IMAGES, DRAWN, fold, TEST // 2) == fold_sizes(IMAGES, FIRST, fold, TEST // 2)

    def test_all_folds_of_a_seed_share_it(self):
        assert np.array_equal(parts(3, 0).selection, parts(3, 1).selection)
        assert parts(3).hash == parts(3).hash

    def test_another_seed_draws_another_half(self):
        """With contiguous folds only the drawn half tells two seeds apart, and so does the split's hash."""
        drawn, first = (folds.model_copy(update={"shuffle": False}) for folds in (DRAWN, FIRST))
        assert np.array_equal(parts(1, folds=drawn).train, parts(2, folds=drawn).train)
        assert parts(1, folds=drawn).hash != parts(2, folds=drawn).hash
        assert parts(1, folds=first).hash == parts(2, folds=first).hash

    def test_every_image_is_drawn_equally_often(self):
        n = 1000
        counts = np.bincount(np.concatenate([parts(seed).selection - IMAGES for seed in range(n)]), minlength=TEST)
        p = (TEST // 2) / TEST
        assert np.abs(counts - n * p).max() < 5 * np.sqrt(n * p * (1 - p))


class TestSource:
    def test_all_seeds_share_their_images(self):
        """The whole test part is read, so that a sweep of many seeds keeps one set of images in memory."""
        sources = {settings(seed=seed).source for seed in (1, 2)}
        assert sources == {Source(settings().data, True, drawn=True)}
        source = sources.pop()
        images = load(source).images
        assert len(images) == IMAGES + TEST == IMAGES + datasets.test_image_count(source)
        assert _image_bytes(source) == images.nbytes
        assert np.array_equal(images[: IMAGES + TEST // 2], load(settings("test_half").source).images)

    @pytest.mark.parametrize(
        ("selection", "limit", "wanted"),
        [
            ("random_test_half", None, (10, 21)),
            ("random_test_half", 4, (4, 21)),
            ("test_half", None, (10, 10)),
            ("test_half", 4, (4, 4)),
            ("fold", None, (0, 0)),
            (0.1, None, (0, 0)),
        ],
    )
    def test_how_many_validate_and_are_read(self, selection, limit, wanted):
        source = Source.of(Data(dataset="toy_data:PARTS", limit=limit), selection)
        assert (datasets.test_half_count(source), datasets.test_image_count(source)) == wanted
        assert len(load(source).images) == (limit or IMAGES) + wanted[1]

    def test_real_mnist_files(self, shared_data):
        data = Data(dataset="mnist", root=str(shared_data), limit=100)
        drawn, first = (load(Source.of(data, selection)) for selection in ("random_test_half", "test_half"))
        assert len(drawn.images) == 100 + 10_000
        assert np.array_equal(drawn.images[:200], first.images)
        assert drawn.files_hash != first.files_hash


class TestUnit:
    def test_it_validates_on_the_drawn_images(self):
        s = settings(seed=5)
        loaded = load(s.source)
        inputs = Inputs(units_of(s)[1], loaded.images, "cpu")
        fit, place = prepare(inputs), parts(5).selection
        assert np.array_equal(fit.data.images[fit.data.selection].numpy(), loaded.images[place])
        assert np.array_equal(inputs.split.train, parts(5, 1).train)

    def test_its_record_has_the_seed(self, ledger):
        """A record names the seed of its half, and other selections have none."""
        for s in (settings(seed=5), settings("test_half", seed=5)):
            for unit in units_of(s):
                assert run_unit(unit, Loaded(load(s.source).images), ledger, "cpu", {}) == "done"
        records = {(r["folds.selection"], r["fold"]): r for r in ledger.read()[0]}
        drawn = [records["random_test_half", fold] for fold in (0, 1)]
        assert [r["selection_images"] for r in drawn] == [TEST // 2] * 2
        assert [r["split_hash"] for r in drawn] == [parts(5, fold).hash for fold in (0, 1)]
        assert {r["seeds"]["test_half"] for r in drawn} == {2339617836559009864}
        assert records["test_half", 0]["seeds"]["test_half"] is None

    def test_keys_tell_halves_and_seeds_apart(self):
        keys = {key_of(settings(name, seed=seed)) for name in ("test_half", "random_test_half") for seed in (1, 2)}
        assert len(keys) == 4


def test_both_halves_in_one_sweep(tmp_path):
    """Rows with either half, or with none, saw other images, as they were told to. The report has no note on that.

    Two seeds are two rows over the same images.
    """
    file, results = tmp_path / "halves.yaml", str(tmp_path / "results")
    file.write_text(
        "name: halves\ndata: {dataset: 'toy_data:PARTS'}\nfolds: {n_splits: 2}\n"
        "training: {epochs: 1, batch_size: 8}\nfamily: autoencoder\n"
        "grid: [{seed: [1, 2], folds.selection: [0.1, test_half, random_test_half]}]"
    )
    assert command(str(file), [], Options(results, inline=True)) == 0
    assert "different images" not in report(results, "halves", ReportRequest())
    records = open_ledger(results, "halves").read()[0]
    assert len(records) == 12
    for selection in ("0.1", "test_half", "random_test_half"):
        own = [r for r in records if r["folds.selection"] == selection]
        assert len({r["data_hash"] for r in own}) == 1
        assert len({(r["seed"], r["fold"], r["split_hash"]) for r in own}) == 4
    assert len({r["split_hash"] for r in records}) == 12
