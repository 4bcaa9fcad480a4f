"""The report's tables: their rows and columns, marks, notes and errors."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mtvae.config import FAMILIES
from sweeps.analysis.differences import best_keys, differences
from sweeps.analysis.results import read_table
from sweeps.analysis.table_row import ReportError
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.plan import Plan
from sweeps.report import contents
from sweeps.report.__main__ import main
from sweeps.report.contents import ReportRequest
from sweeps.report.tables.cells import NumberFormat


def results(value, collapsed=False):
    return {
        "unconditioned_per_pixel": value,
        "unconditioned_per_image": 256 * value,
        "latent_loss": 2 * value,
        "collapsed": collapsed,
    }


@pytest.fixture
def swept(tiny, ledger, plan):
    """Write a ledger in which rows have both folds, one of two, and none.

    vqvae none: both folds, one of them collapsed; single_decoder: one done, one failed; gaussian_vae: none.
    """
    ledger.write_grid(tiny)
    none, single = plan.rows[0], plan.rows[1]
    ledger.write(none[0], results(0.01))
    ledger.write(none[1], results(0.03, collapsed=True))
    ledger.write(single[1], results(0.02) | {"conditioned_per_pixel": 0.005})
    ledger.write_failed(single[0], "no luck")
    return ledger


def lines(ledger, **asked):
    folder = ledger.storage.root.rpartition("/")
    return contents.report(folder[0], folder[2], ReportRequest(**asked)).splitlines()


def squeezed(ledger, **asked):
    return [" ".join(line.split()) for line in lines(ledger, **asked)]


def test_a_row_shows_its_number_of_folds(swept):
    table = squeezed(swept)
    assert "vqvae none - 2/2 0.020000 ± 1.0e-04 - 0.040000 ± 4.0e-04 per pixel 1" in table
    single = "single_decoder uniform, a = 40 1/2 (1 failed) 0.020000 ± ? 0.005000 ± ? 0.040000 ± ? per pixel 0"
    assert single in table
    assert "gaussian_vae multi_decoder uniform 0/2 - - - per image 0" in table
    assert "failed: vqvae 1 single_decoder, uniform, a = 40, fold 0: no luck" in table


def test_what_was_never_trained_is_flagged(read_grid, tmp_path):
    ledger = Ledger(Storage(tmp_path / "a"))
    g = read_grid("name: a\ngrid: [{method: conditioned}]")
    ledger.write_grid(g)
    ledger.write(Plan(g, frozenset(), frozenset()).units[0], results(0.5) | {"conditioned_per_pixel": 0.1})
    text = lines(ledger)
    assert any("0.500000 ± ? † 0.100000 ± ?" in " ".join(line.split()) for line in text)
    assert text[-1].startswith("†: the zero condition")


def test_shared_settings_stand_once_above_and_only_there(swept):
    text = lines(swept)
    assert any("dataset digits" in line for line in text)
    head = next(line for line in text if line.startswith("family"))
    assert head.split()[:4] == ["family", "method", "settings", "folds"]
    assert "configuration 1" in text[1]
    assert not any("cpus" in line or "model.embeddings" in line for line in text)


def test_a_setting_that_differs_is_a_column(read_grid, tmp_path):
    g = read_grid("name: a\ngrid: [{training.lr: [0.1, 0.2], model.hidden: [[8, 8], [16, 16]]}]")
    ledger = Ledger(Storage(tmp_path / "a"))
    ledger.write_grid(g)
    assert read_table(ledger).columns == ["model.hidden", "training.lr"]
    assert "model.hidden [16, 16], training.lr 0.2" in "\n".join(lines(ledger))


def test_the_latest_grid_decides_which_rows_are_shown(swept, read_grid):
    swept.write_grid(
        read_grid(
            "name: tiny\nseed: 3\ndata.limit: 60\nfolds.n_splits: 2\ntraining: {epochs: 2, batch_size: 16}\ngrid: [{}]"
        )
    )
    assert len(read_table(swept).rows) == 1


def test_a_damaged_file_is_named_and_kept(swept, plan):
    name = f"units/{plan.units[0].name}.parquet"
    swept.storage.write(name, b"no parquet")
    assert lines(swept)[-1].startswith(f"not read: {plan.units[0].name}.parquet")
    assert swept.storage.read(name) == b"no parquet"


def test_a_note_warns_where_test_folds_picked_epochs(read_grid, tmp_path):
    ledger = Ledger(Storage(tmp_path / "a"))
    ledger.write_grid(read_grid("name: a\nfolds.selection: fold\ngrid: [{}]"))
    assert lines(ledger)[-1] == "the test fold itself picked the best epoch: its errors are optimistic"


@pytest.fixture
def compared(read_grid, tmp_path):
    """Write a ledger of a baseline, a multi decoder better in every fold, one better on average, and a Gaussian VAE."""
    g = read_grid(
        "name: c\ngrid:\n"
        "  - {method: [none]}\n"
        "  - {method: multi_decoder, sampler: [exact, uniform]}\n"
        "  - {family: gaussian_vae, method: multi_decoder}"
    )
    ledger = Ledger(Storage(tmp_path / "c"))
    ledger.write_grid(g)
    values = {
        "none": [5.0, 5.2, 4.9, 5.1, 5.0],
        "exact": [1.0, 1.1, 1.0, 0.9, 1.0],
        "uniform": [5.0, 4.0, 4.9, 5.2, 4.8],
    }
    for unit in Plan(g, frozenset(), frozenset()).units:
        name = unit.settings.sampler or "none"
        ledger.write(unit, results(values[name][unit.fold]) | {"split_hash": f"s{unit.fold}"})
    return ledger


def test_differences_are_to_the_matching_baseline(compared):
    found = {
        (c.row.settings["family"], c.row.settings["sampler"], c.metric): c for c in differences(read_table(compared))
    }
    exact = found["vqvae", "exact", "unconditioned"]
    assert exact.difference.mean == pytest.approx(-4.04)
    assert exact.difference.n == 5
    assert exact.p_holm < 0.05 <= found["vqvae", "uniform", "unconditioned"].p_holm
    alone = found["gaussian_vae", "uniform", "unconditioned"]
    assert (alone.baseline, alone.difference) == (None, None)
    assert "no row of method none" in alone.why_not


def test_the_best_is_marked_only_where_significant(compared, plan):
    table = read_table(compared)
    (exact,) = [row for row in table.rows if row.settings["sampler"] == "exact"]
    assert best_keys(table, "unconditioned") == {exact.key}
    assert any("exact 5/5 1.000000 ± 4.0e-03 * " in line for line in squeezed(compared))
    (uniform,) = [r for r in table.rows if r.settings["sampler"] == "uniform" and r.settings["family"] == "vqvae"]
    for fold in range(5):
        uniform.folds[fold]["unconditioned_per_pixel"] = 1.0 + fold / 100
    assert best_keys(table, "unconditioned") == set()  # two rows are equally good
    uniform.folds.clear()
    assert best_keys(table, "unconditioned") == set()  # a row without folds may still become the best


def test_only_shows_rows_as_the_whole_table_does(compared):
    """Marks, corrected p-values and baselines are those of the whole table."""
    whole = squeezed(compared)
    (line,) = [line for line in whole if "exact 5/5" in line]
    label = "vqvae 1 multi_decoder, exact"
    for only in (label, "multi decoder, exact", "*exact", read_table(compared).rows[1].key):
        text = squeezed(compared, only=(only,))
        assert line.removeprefix("multi_decoder ") in [t.removeprefix("vqvae multi_decoder ") for t in text]
        assert not any("uniform" in line for line in text)
        assert "--only: 1 of 4 rows; marks and p-values are those of all rows" in text
    differences_of = [line for line in squeezed(compared, kinds=("differences",)) if "exact" in line]
    alone = squeezed(compared, kinds=("differences",), only=(label,))
    rows = [line for line in alone if line.startswith(("unconditioned", "latent"))]
    assert [line.split()[-9:] for line in rows] == [line.split()[-9:] for line in differences_of]
    assert len(lines(compared, only=(label, "uniform"), kinds=("statistics",))) > len(
        lines(compared, only=(label,), kinds=("statistics",))
    )


def test_an_incomplete_row_is_never_the_best(compared):
    table = read_table(compared)
    (exact,) = [row for row in table.rows if row.settings["sampler"] == "exact"]
    del exact.folds[4]
    assert best_keys(table, "unconditioned") == set()


def test_spreads_and_units(swept):
    assert any(" 0.020000 ± 0.014142 " in line for line in squeezed(swept, number_format=NumberFormat("sd")))
    # t(1) = 12.706; sd x sqrt(1/2 + 1/1)
    assert any(" 0.020000 ± 0.220078 " in line for line in squeezed(swept, number_format=NumberFormat("ci95")))
    assert any(" 5.1200 ± 6.6e+00 " in line for line in squeezed(swept, number_format=NumberFormat(scale="per_image")))


def test_the_requested_columns_are_shown(swept):
    text = squeezed(swept, columns=("method", "seed", "seconds", "unconditioned"))
    assert "method seed seconds unconditioned" in text
    assert "none 3 - 0.020000 ± 1.0e-04" in text


def test_others_metrics_can_be_columns(read_grid, ledger):
    """The ledger alone describes a plug-in family and its metrics."""
    with FAMILIES.temporarily(FAMILIES["autoencoder"]):  # afterwards, the plug-in is not registered
        grid = read_grid("name: made\nfolds.n_splits: 2\ngrid: [{family: 'toy_family:SMALL'}]")
        ledger.write_grid(grid)
        for unit in Plan(grid, frozenset(), frozenset()).units:
            ledger.write(unit, results(0.5) | {"mean_size": 1.0 + unit.fold, "largest": 3.0})
    text = squeezed(ledger, columns=("folds", "largest", "mean_size"))
    assert "folds largest mean size" in text
    assert "2/2 3.00 ± 0.0e+00 1.5000 ± 2.5e-01" in text
    for kind in contents.KINDS:
        with pytest.raises(ReportError, match="no column mean_sice; did you mean mean_size"):
            lines(ledger, kinds=(kind,), columns=("mean_sice",))


def test_captions_name_only_what_is_shown(compared):
    """Families without a row, or with hidden rows, and metrics without a column have no caption."""

    def captions(**asked):
        return [line for line in lines(compared, **asked) if line.startswith("latent loss: ")]

    vq, gaussian = "codebook and commitment loss per element (vqvae)", "KL in nats per image (gaussian_vae)"
    assert captions() == [f"latent loss: {gaussian}, {vq}"]
    assert captions(only=("vqvae 1 none",)) == [f"latent loss: {vq}"]
    assert captions(columns=("method", "unconditioned")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "mehtod"], "did you mean method"),
        (["--show", "clams"], "did you mean claims"),
        (["--show", "table,claims", "--format", "csv"], "one table"),
        (["other"], "only tiny"),
        (["--only", "vqvae 1 nonne"], "--only vqvae 1 nonne: no such row; did you mean vqvae 1 none"),
        (["--only", "zzz"], "--only zzz: no such row; did you mean vqvae 1 "),
        (["--export", "x.xlsx"], "x.xlsx"),
    ],
)
def test_bad_input_is_one_line(swept, arguments, message):
    done = called(swept, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_show_may_be_given_several_times(swept):
    """No sheet that was asked for is left out, and none stands twice."""
    done = called(swept, "--show", "statistics,table", "--show", "differences", "--show", "table", "--format", "json")
    assert [sheet["name"] for sheet in json.loads(done.stdout)] == ["statistics", "table", "differences"]


def called(swept, *arguments):
    """Return how the command ended on a sweep's results."""
    import typer

    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [*arguments, "--results", swept.storage.root.rpartition("/")[0]])


def test_every_sheet_in_every_format(compared, tmp_path):
    for format in ("text", "markdown", "latex", "html", "json"):
        shown = "\n".join(lines(compared, kinds=contents.KINDS, format=format))
        assert "exact" in shown
    names = [sheet["name"] for sheet in json.loads(shown)]
    assert tuple(names) == contents.KINDS
    assert lines(compared, format="csv")[0].startswith('"key","dataset","family"')


def test_machines_get_full_precision(compared):
    (sheet,) = json.loads("\n".join(lines(compared, format="json")))
    row = next(row for row in sheet["rows"] if row["sampler"] == "exact")
    assert row["unconditioned_mean"] == pytest.approx(1.0, abs=1e-12)
    assert row["unconditioned_variance"] == pytest.approx(0.004)
    assert (row["unconditioned_median"], row["unconditioned_min"], row["unconditioned_max"]) == (1.0, 0.9, 1.1)
    assert (row["folds"], row["folds_wanted"], row["conditioned_mean"]) == (5, 5, None)


def test_rows_of_earlier_grids_on_request(swept, read_grid):
    swept.write_grid(read_grid("name: tiny\ngrid: [{}]"))
    assert len(read_table(swept).rows) == 1
    assert len(read_table(swept, all_rows=True).rows) == 2


def test_a_foreign_rows_text_is_shown_as_text(swept, plan):
    """Tampered texts of unit files, and of a failure's reason, are escaped in every format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in swept.storage.names("units"):
        path = swept.storage.path(f"units/{name}")
        table = pq.read_table(path)
        for column in ("method", "sampler"):
            at = table.schema.get_field_index(column)
            table = table.set_column(at, table.schema.field(at), pa.array(["<script>=cmd()\x1b[2J\\input{x}"]))
        pq.write_table(table, path)
    swept.storage.remove("grid.yaml")
    swept.write_failed(plan.rows[1][0], "<script>=cmd()\x1b[2J\\input{x}")
    text = "\n".join(lines(swept))
    assert "\x1b" not in text
    assert "<script>" not in "\n".join(lines(swept, format="html"))
    assert "\\input{" not in "\n".join(lines(swept, format="latex"))


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("sweep", "pages"),
    [
        ("digits", ["README.md", "results/digits/report/table.md"]),
        ("mnist10k", ["results/mnist10k/report/table.md"]),
        ("controls", ["results/controls/report/table.md"]),
    ],
)
def test_pages_show_what_the_committed_ledgers_say(sweep, pages):
    """The tables of committed pages and of the README are the report's, not typed by hand."""
    shown = contents.report(str(ROOT / "results"), sweep, ReportRequest(format="markdown"))
    table = shown[shown.index("| family") :]
    assert table.count("5/5") == {"controls": 20}.get(sweep, 18)
    for page in pages:
        assert table in (ROOT / page).read_text()
