"""Figures and pictures agree with numpy and the models, and name what is missing."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from mtvae.evaluation import to_pixels
from sweeps.analysis.results import read_table
from sweeps.data.splits import split
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.plan import Plan
from sweeps.report.figures import drawing, figures, pictures
from sweeps.worker import run_unit

GRID = """
name: made
data: {dataset: digits, limit: 60}
folds: {n_splits: 3}
training: {epochs: 4, batch_size: 16}
grid:
  - {family: vqvae, method: none}
  - {family: vqvae, method: multi_decoder, sampler: [exact, uniform]}
  - {family: vqvae, method: single_decoder, sampler: [uniform, gaussian], exponent: [20, 40, 60]}
"""
HOSTILE = ("$\\frac{", "<script>alert(1)</script>", "_hidden\x1b[31m\n", "../../x")


def results_of(i, fold, epochs=4):
    """Return results of row i in a fold, all different, with latent losses of several orders of magnitude."""
    history = [
        {
            "epoch": e,
            "selection_unconditioned": 0.1 * (i + 1) / e + 0.01 * fold,
            "selection_latent": (i + 2 + fold) / e**4,
        }
        for e in range(1, epochs + 1)
    ]
    value = 0.01 * (i + 1) + 0.001 * fold**2
    scores = {"unconditioned_per_pixel": value, "unconditioned_per_image": 256 * value, "latent_loss": 3 - value}
    return scores | {"conditioned_per_pixel": value / 2, "collapsed": False, "history": history}


def write(ledger, grid, results=results_of):
    """Write a ledger of a grid with `results(row, fold)` per unit, which is missing where that is None."""
    ledger.write_grid(grid)
    plan = Plan(grid, frozenset(), frozenset())
    for i, units in enumerate(plan.rows):
        for unit in units:
            if (row := results(i, unit.fold)) is not None:
                ledger.write(unit, row)
    return read_table(ledger, extra_columns=("history",))


def texts(figure):
    """Return all texts of a figure."""
    legend = [text.get_text() for found in figure.legends for text in found.get_texts()]
    axes = [text for a in figure.axes for text in (a.get_title(), a.get_xlabel(), a.get_ylabel())]
    return (
        " | ".join([figure.get_suptitle(), figure.get_supxlabel(), *legend, *axes])
        .replace("\xa0", " ")
        .replace("\n", " ")
    )


def legend(figure):
    """Return the artists of the legend by label."""
    (found,) = figure.legends
    names = [text.get_text().replace("\xa0", " ").replace("\n", " ") for text in found.get_texts()]
    return dict(zip(names, found.legend_handles, strict=True))


def line(axes, like):
    """Return the data of the line that looks like a legend's entry."""
    (found,) = [x for x in axes.lines if len(x.get_xdata()) > 1 and looks(x) == looks(like)]
    return found.get_xydata().T


def looks(artist):
    return to_rgb(artist.get_color()), artist.get_marker() or "None", artist.get_linestyle()


@pytest.fixture
def table(read_grid, ledger):
    return write(ledger, read_grid(GRID))


def test_figures_have_names_that_are_fit_for_files(table):
    assert list(figures.figures(table)) == [
        "curves-vqvae-1-multi_decoder",
        "curves-vqvae-1-single_decoder",
        "exponents-vqvae-1",
        "losses-vqvae-1",
    ]


def test_chosen_rows_are_drawn_as_among_all(table):
    """The baseline stays beside them, with the styles of the figure of all rows."""
    found = figures.figures(table.only(["multi decoder, uniform", "single decoder, gaussian, a = 20"]))
    assert list(found) == ["curves-vqvae-1-multi_decoder", "curves-vqvae-1-single_decoder", "losses-vqvae-1"]
    alone = legend(found["curves-vqvae-1-multi_decoder"])
    assert list(alone) == ["baseline", "uniform"]
    every = legend(figures.figures(table)["curves-vqvae-1-multi_decoder"])
    assert [looks(alone[name]) for name in alone] == [looks(every[name]) for name in alone]
    assert list(legend(found["losses-vqvae-1"])) == ["multi decoder, uniform", "single decoder, gaussian, a = 20"]


def test_curves_are_means_and_bands_are_extremes(table):
    figure = figures.figures(table)["curves-vqvae-1-multi_decoder"]
    handles = legend(figure)
    assert list(handles) == ["baseline", "exact", "uniform"]
    terms = "selection_latent", "selection_unconditioned"
    for axes, term in zip(figure.axes, terms, strict=True):
        for i, (name, handle) in enumerate(handles.items()):
            values = np.array([[epoch[term] for epoch in results_of(i, fold)["history"]] for fold in range(3)])
            x, y = line(axes, handle)
            assert x.tolist() == [1, 2, 3, 4], name
            assert y == pytest.approx(values.mean(0), rel=1e-12)
            band = axes.collections[i].get_paths()[0].vertices
            for epoch in (1, 2, 3, 4):
                at = band[band[:, 0] == epoch, 1]
                assert (at.min(), at.max()) == pytest.approx((values[:, epoch - 1].min(), values[:, epoch - 1].max()))
    assert looks(handles["baseline"]) == ((0.0, 0.0, 0.0), "None", "-")
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear"]
    assert "VQ objective (squared error per element)" in texts(figure)
    assert "squared error per pixel" in texts(figure)


def test_only_wide_values_get_a_logarithmic_axis(read_grid, ledger):
    def flat(i, fold):
        return results_of(i, fold) | {
            "history": [{"epoch": 1, "selection_unconditioned": 2.0, "selection_latent": 1.0 + i}]
        }

    found = figures.figures(write(ledger, read_grid(GRID), flat))
    assert {axes.get_yscale() for axes in found["curves-vqvae-1-multi_decoder"].axes} == {"linear"}


def test_figures_name_missing_folds_and_histories(read_grid, ledger):
    def results(i, fold):
        row = results_of(i, fold)
        if i == 1:  # exact: a fold is missing
            return row if fold else None
        if i == 2:  # uniform: done, but without a history
            return row | {"history": None}
        if i == 3:  # uniform, a = 20: one history ends early
            return results_of(i, fold, epochs=4 if fold else 3)
        return row if i == 0 or i > 4 else None  # uniform, a = 40: nothing

    found = figures.figures(write(ledger, read_grid(GRID), results))
    multi = found["curves-vqvae-1-multi_decoder"]
    assert list(legend(multi)) == ["baseline", "exact (2/3 folds)"]
    assert "Left out, without results: uniform." in texts(multi)
    assert "uniform, a = 20 (2/3 folds)" in legend(found["curves-vqvae-1-single_decoder"])
    assert "Left out, without results: uniform, a = 40." in texts(found["curves-vqvae-1-single_decoder"])
    assert "Left out, without results: uniform, a = 40." in texts(found["exponents-vqvae-1"])
    assert "Left out, without results: single decoder, uniform, a = 40." in texts(found["losses-vqvae-1"])
    assert "multi decoder, exact (2/3 folds)" in legend(found["losses-vqvae-1"])
    _, mean = line(multi.axes[1], legend(multi)["exact (2/3 folds)"])
    values = [[epoch["selection_unconditioned"] for epoch in results_of(1, fold)["history"]] for fold in (1, 2)]
    assert mean == pytest.approx(np.mean(values, 0))


def test_a_sweep_without_any_unit_has_no_figures(read_grid, ledger):
    assert figures.figures(write(ledger, read_grid(GRID), lambda i, fold: None)) == {}


def test_a_table_without_histories_is_an_error(table, ledger):
    with pytest.raises(KeyError, match="history"):
        figures.figures(read_table(ledger))


def test_many_rows_are_spread_over_several_figures(read_grid, ledger):
    text = GRID.replace("[20, 40, 60]", "[10, 20, 30, 40, 50, 60, 70]")
    found = {n: f for n, f in figures.figures(write(ledger, read_grid(text))).items() if "curves" in n}
    names = [f"curves-vqvae-1-single_decoder-{s}" for s in ("gaussian", "gaussian-2", "uniform", "uniform-2")]
    assert list(found)[1:] == names
    shown = [legend(found[name]) for name in names]
    assert [len(handles) for handles in shown] == [7, 2, 7, 2]
    assert all("baseline" in handles for handles in shown)
    assert len(set().union(*shown)) == 1 + 14
    assert "(figure 2 of 4)" in texts(found[names[1]])
    for handles in shown:  # all differ in colour, and in marker or line style
        assert len({looks(handle)[:1] for handle in handles.values()}) == len(handles)
        assert len({looks(handle)[1:] for handle in handles.values()}) == len(handles)


def test_lightness_falls_along_the_palette():
    light = [np.dot([0.2126, 0.7152, 0.0722], np.array(to_rgb(colour)) ** 2.2) for colour in drawing.PALETTE]
    assert all(a > 1.2 * b for a, b in itertools.pairwise(light))


def test_exponents_are_drawn_with_intervals_and_baseline(table):
    from scipy import stats

    figure = figures.figures(table)["exponents-vqvae-1"]
    handles = legend(figure)
    assert list(handles) == ["baseline", "gaussian", "uniform"]
    axes = figure.axes[0]
    x, y = line(axes, handles["uniform"])
    values = [[results_of(i, fold)["unconditioned_per_pixel"] for fold in range(3)] for i in (3, 4, 5)]
    assert x == pytest.approx([20, 40, 60], abs=0.5)
    assert y == pytest.approx(np.mean(values, 1))
    segments = axes.containers[1][2][0].get_segments()
    half = stats.t.ppf(0.975, 2) * np.std(values, 1, ddof=1) * np.sqrt(1 / 3 + 1 / 2)  # Nadeau and Bengio's
    assert [np.ptp(s[:, 1]) / 2 for s in segments] == pytest.approx(half)
    baseline = np.mean([results_of(0, fold)["unconditioned_per_pixel"] for fold in range(3)])
    assert line(axes, handles["baseline"])[1] == pytest.approx([baseline, baseline])
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert [a.get_title() for a in figure.axes] == [
        "unconditioned reconstruction",
        "conditioned reconstruction",
        "latent loss",
    ]
    conditioned, _ = figure.axes[1].containers
    assert conditioned[0].get_ydata() == pytest.approx(
        np.mean([[results_of(i, fold)["conditioned_per_pixel"] for fold in range(3)] for i in (6, 7, 8)], 1)
    )


def test_one_exponent_makes_no_figure_of_exponents(read_grid, ledger):
    found = figures.figures(write(ledger, read_grid(GRID.replace("[20, 40, 60]", "20"))))
    assert not [name for name in found if name.startswith("exponents")]


def test_losses_have_a_point_per_fold_and_mean(table):
    figure = figures.figures(table)["losses-vqvae-1"]
    (axes,) = figure.axes
    for i, (small, big) in enumerate(zip(axes.lines[::2], axes.lines[1::2], strict=True)):
        i = [0, 1, 2, 6, 7, 8, 3, 4, 5][i]  # samplers of a method in the order of their names
        points = np.array(
            [(r["latent_loss"], r["unconditioned_per_pixel"]) for r in (results_of(i, f) for f in range(3))]
        )
        assert small.get_xydata() == pytest.approx(points)
        assert big.get_xydata()[0] == pytest.approx(points.mean(0))
        assert small.get_markersize() < big.get_markersize()
    assert len(axes.lines) == 18


def test_labels_name_settings_that_tell_rows_apart(read_grid, ledger):
    grid = """
        name: made
        data.limit: 60
        folds.n_splits: 2
        grid:
          - {family: gaussian_vae, method: [none, conditioned], training.lr: [1e-3, 3e-3], soft_adapt: [false, true]}
          - {family: vqvae, method: multi_decoder, soft_adapt: [false, original]}
    """
    grid = grid.replace("        name", "name").replace("\n        ", "\n")
    table = write(ledger, read_grid(grid))
    names = [drawing.labels(table)[row.key] for row in table.rows]
    assert len(set(names)) == len(names)
    assert names[0] == "baseline, training.lr 0.001"
    assert "conditioned, uniform, SoftAdapt, training.lr 0.003" in names
    assert names[-2:] == ["multi decoder", "SoftAdapt original"]
    found = figures.figures(table)
    conditioned = found["curves-gaussian_vae-1-conditioned"]
    assert "never trained" in texts(conditioned)
    assert "KL divergence (nats per image)" in texts(conditioned)
    assert len([name for name in legend(conditioned) if name.startswith("baseline")]) == 4
    assert "Without a baseline: multi decoder; SoftAdapt original." in texts(found["curves-vqvae-1-multi_decoder"])


def test_an_autoencoder_has_no_latent_loss(read_grid, ledger):
    grid = "name: made\ndata.limit: 60\nfolds.n_splits: 2\ngrid: [{family: autoencoder}]"
    found = figures.figures(write(ledger, read_grid(grid)))
    assert list(found) == ["curves-autoencoder-1-none"]
    assert [axes.get_ylabel() for axes in found["curves-autoencoder-1-none"].axes] == ["squared error per image"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(table, text):
    for row in table.rows:
        row.settings |= {"dataset": text, "family": text}
        if row.settings["method"] == "multi_decoder":
            row.settings |= {"method": text, "sampler": text + row.settings["sampler"]}
    found = figures.figures(table)
    shown = drawing.short_setting(text)
    assert len(found) == 3
    for name, figure in found.items():
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        assert shown in figure.get_suptitle()
        saved = drawing.save(figure)
        assert saved["png"].startswith(b"\x89PNG")
    first = next(iter(found.values()))
    assert any(name.startswith((shown, json.dumps(text)[:-1])) for name in legend(first))
    assert not any(text.get_parse_math() for text in first.legends[0].get_texts())


def test_absurd_numbers_do_not_stop_other_figures(read_grid, ledger):
    def results(i, fold):
        odd = {1: float("inf"), 2: float("nan"), 4: -1.0}.get(i)
        history = [{"epoch": 1, "selection_unconditioned": odd, "selection_latent": None}]
        return (
            results_of(i, fold)
            if odd is None
            else {"unconditioned_per_pixel": odd, "latent_loss": odd, "history": history}
        )

    for figure in figures.figures(write(ledger, read_grid(GRID), results)).values():
        assert set(drawing.save(figure)) == {"png", "pdf"}


SAVED = """
import hashlib, sys
from sweeps.analysis.results import read_table
from sweeps.ledger.ledger import open_ledger
from sweeps.report.figures import drawing, figures
for figure in figures.figures(read_table(open_ledger(*sys.argv[1:]), extra_columns=("history",))).values():
    print(*[hashlib.sha256(data).hexdigest() for data in drawing.save(figure).values()])
assert "torch" not in sys.modules and "matplotlib.pyplot" not in sys.modules
"""


def test_saved_bytes_are_reproducible_and_hold_no_date(table, ledger):
    folder, _, name = ledger.storage.root.rpartition("/")
    run = [
        subprocess.run(
            [sys.executable, "-c", SAVED, folder, name],
            env={"PYTHONHASHSEED": seed, "HOME": folder, "MPLCONFIGDIR": folder},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert run[0] == run[1]
    assert len(run[0].split()) == 8
    figure = figures.figures(table)["losses-vqvae-1"]
    saved = drawing.save(figure)
    assert saved["png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert saved["pdf"].startswith(b"%PDF-")
    assert b"CreationDate" not in saved["pdf"]
    assert drawing.save(figure) == saved


# Pictures

TRAINED = """
name: trained
seed: 3
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 1, batch_size: 16}
grid:
  - {family: vqvae, method: [none, single_decoder]}
  - {family: gaussian_vae, method: multi_decoder}
  - {family: autoencoder, method: conditioned}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train fold 0 of every family for an epoch, and return the ledger."""
    from sweeps.config import grid, yaml_reader
    from sweeps.data.datasets import load

    ledger = Ledger(Storage(tmp_path_factory.mktemp("results") / "trained"))
    parsed = grid.read(yaml_reader.parse(TRAINED), "test.yaml")
    ledger.write_grid(parsed)
    for units in Plan(parsed, frozenset(), frozenset()).rows:
        assert run_unit.run_unit(units[0], load(units[0].settings.source), ledger, "cpu", {}) == "done"
    return ledger


@pytest.fixture
def copied(trained, tmp_path):
    """Copy that ledger, so that a test may damage it."""
    import shutil

    shutil.copytree(trained.storage.root, tmp_path / "copy")
    return Ledger(Storage(tmp_path / "copy"))


def cell(figure, row, column, side=16):
    """Return a picture (side,side,3) of a grid."""
    image = figure.axes[0].images[0].get_array()
    y, x = (pictures.GAP + at * (side + pictures.GAP) for at in (row, column))
    return np.asarray(image[y : y + side, x : x + side])


def test_pictures_show_test_images_and_their_reconstructions(trained, digits):
    found, reasons = pictures.pictures(trained, read_table(trained))
    assert reasons == []
    table = read_table(trained)
    assert len(found) == 1 + len(table.rows)
    for row in table.rows:
        (name,) = [name for name in found if row.key in name]
        figure = found[name]
        s, model = kept_models.load(trained.storage, f"{row.key}-fold0")
        test = torch.tensor(digits[split(60, s.folds, s.seed, 0).test])
        shown = pictures.outputs(s, model, test, 0)
        rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert rows == list(shown)
        assert ("condition" in rows) == (s.method != "none")
        for column in range(pictures.COLUMNS):
            assert (cell(figure, 0, column) == to_pixels(test[column]).permute(1, 2, 0).numpy()).all()
            for i, output in enumerate(shown.values()):
                wanted = output[column].clamp(0, 1).permute(1, 2, 0).numpy()
                assert (cell(figure, i, column) == wanted).all()
        x = to_pixels(test)
        for kind, metric in (("unconditioned", "unconditioned_per_pixel"), ("conditioned", "conditioned_per_pixel")):
            if kind in shown:  # with the draws of the recorded evaluation
                assert ((shown[kind] - x) ** 2).mean().item() == pytest.approx(row.folds[0][metric], rel=1e-5)
        assert drawing.labels(table)[row.key] in figure.get_suptitle()
        assert drawing.save(figure)["pdf"].startswith(b"%PDF-")
    assert "never trained" in next(f.get_suptitle() for name, f in found.items() if "autoencoder" in name)


def test_a_condition_shows_only_the_revealed_pixels():
    image = torch.rand(1, 1, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 1, 2] = 1
    shown = pictures.show_condition(torch.cat([image * mask, mask], 1))[0]
    assert shown[:, 1, 2].tolist() == [image[0, 0, 1, 2].item()] * 3
    shown[:, 1, 2] = torch.tensor(pictures.HIDDEN)
    assert (shown == torch.tensor(pictures.HIDDEN).view(3, 1, 1)).all()


def test_the_sampling_table_shows_original_mask_and_result(trained, digits):
    figure = pictures.pictures(trained, read_table(trained))[0]["sampling-digits"]
    rows = [text.get_text().split(",")[0] for text in figure.axes[0].get_yticklabels()]
    assert rows == ["exact", "uniform", "uniform", "gaussian"]
    columns = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert columns == ["original", "mask", "result"] * 3
    for row in range(4):
        for i in range(3):
            original, mask, result = (cell(figure, row, 3 * i + j) for j in range(3))
            assert (original[..., 0] == digits[i, 0] / np.float32(255)).all()
            assert set(np.unique(mask)) <= {0.0, 1.0}
            assert (result == np.where(mask > 0, original, np.float32(pictures.HIDDEN))).all()
            if row < 2:
                assert mask[..., 0].sum() == 9
    assert np.argwhere(cell(figure, 0, 1)[..., 0]).tolist() == [[r, c] for r in (2, 8, 13) for c in (2, 8, 13)]


@pytest.mark.parametrize("size, drawn", [(128, ["sampling-digits"]), (77, [])])
def test_samplers_are_drawn_for_thesis_rows_only(read_grid, ledger, size, drawn):
    """The picture is the thesis's, so a sweep without a row of its families and sizes has none."""
    g = read_grid(f"name: a\ndata: {{limit: 60}}\nkeep_models: none\ngrid: [{{model.embeddings: {size}}}]")
    assert list(pictures.pictures(ledger, write(ledger, g, lambda i, fold: None))[0]) == drawn


def test_undrawable_pictures_are_named_and_others_drawn(copied):
    table = read_table(copied)
    gone, cut, swapped, fine = [f"models/{row.key}-fold0.safetensors" for row in table.rows]
    copied.storage.remove(gone)
    copied.storage.write(cut, copied.storage.read(cut)[:5000])
    copied.storage.write(swapped, copied.storage.read(fine))
    found, reasons = pictures.pictures(copied, table)
    assert sorted(name.split("-")[0] for name in found) == ["images", "sampling"]
    assert len(reasons) == 3
    assert reasons[0] == f"no picture of digits, vqvae configuration 1, baseline, fold 0: no {gone}"
    assert reasons[1].startswith("no picture of digits, vqvae configuration 1, single decoder, uniform")
    assert reasons[2].endswith("the kept model belongs to another row or to other images")


@pytest.mark.parametrize("keep, reason", [("none", "keep_models: none"), ("fold0", "the fold is not done")])
def test_models_that_are_not_there_are_named(read_grid, ledger, keep, reason):
    table = write(ledger, read_grid(f"{GRID}keep_models: {keep}\n"), lambda i, fold: None)
    found, reasons = pictures.pictures(ledger, table)
    assert list(found) == ["sampling-digits"]
    assert all(reason in line for line in reasons)
    assert len(reasons) == (1 if keep == "none" else 9)


def test_missing_images_are_named(read_grid, ledger, tmp_path):
    grid = read_grid(f"name: a\ndata: {{dataset: mnist, root: {tmp_path}, limit: 60}}\nfolds.n_splits: 2\ngrid: [{{}}]")
    found, reasons = pictures.pictures(ledger, write(ledger, grid))
    assert found == {}
    assert reasons[0].startswith("no picture of the samplers on mnist: mnist: no MNIST/raw/")


def test_images_may_lie_elsewhere_on_this_machine(read_grid, ledger, shared_data, tmp_path):
    grid = read_grid(f"name: a\ndata: {{dataset: mnist, root: {tmp_path}, limit: 60}}\nfolds.n_splits: 2\ngrid: [{{}}]")
    root = next((p.parent.parent for p in shared_data.rglob("MNIST/raw")), None)
    if root is None:
        pytest.skip("no MNIST")
    found, _ = pictures.pictures(ledger, write(ledger, grid), {"mnist": str(root)})
    assert list(found) == ["sampling-mnist"]
