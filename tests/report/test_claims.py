"""What a report concludes of the thesis's claims."""

import math
from pathlib import Path

import numpy as np
import pytest
from made_tables import as_published, table_of

from mtvae.config import FAMILIES
from sweeps.analysis.results import Table, read_table
from sweeps.analysis.statistics import Sample, difference
from sweeps.analysis.table_row import TableRow
from sweeps.ledger.ledger import open_ledger
from sweeps.report.thesis import claims, pairs
from sweeps.report.thesis.claims import CLAIMS
from sweeps.report.thesis.claims_sheet import COLUMNS, claims_sheet
from sweeps.report.thesis.pairs import Pair, architecture, fluctuation, like_the_thesis
from sweeps.report.thesis.published import published_rows
from sweeps.report.thesis.verdicts import judge

EXPECTED_PAIRS = {  # of grid_thesis.yaml; e.g. 2 Gaussian configurations x 2 samplers x SoftAdapt off and on = 8
    "Gaussian: the multi decoder lowers the unconditioned reconstruction": 8,
    "Gaussian: exact and uniform sampling differ little in reconstruction": 4,
    "VQ: the multi decoder lowers the VQ loss": 12,
    "VQ: the multi decoder's conditioned output beats its unconditioned one": 12,
    "VQ: the single decoder's conditioned output beats its unconditioned one": 12,
    "Multi decoder: the condition's share of improvement is smaller in VQ than in Gaussian VAEs": 8,
    "VQ: SoftAdapt changes the multi decoder's reconstruction little": 6,
    "Gaussian: the single decoder's KL is lower with uniform than with gaussian sampling": 4,
    "VQ: the single decoder's unconditioned reconstruction falls with the exponent": 6,
    "VQ: with a high enough exponent the single decoder lowers the VQ loss": 6,
    "VQ: both methods improve the unconditioned reconstruction": 12 + 12,
    "VQ: the single decoder's VQ loss is lower than the multi decoder's": 3 * 4 * 2,
    "The single decoder has hardly more parameters than the baseline": 5 * 4,
}

NOT_IN_THAT_GRID = {  # claims about rows, or columns, that grid_thesis.yaml and these tables lack
    "Gaussian: the multi decoder narrows the gap between test fold and training set",
    "VQ: the multi decoder narrows the gap between test fold and training set",
    "Gaussian: deeper networks use fewer latent units (posterior collapse)",
    "Gaussian: so it does against a plain VAE whose KL weighs half, as its own does",
    "VQ: with SoftAdapt the multi decoder's validation loss fluctuates less within a training",
    "VQ: so it does where both reveal the same number of pixels, so that only their places differ",
    "Gaussian: gaussian sampling reconstructs better where no pixel is drawn twice",
}


def all_metrics(settings, fold):
    """Return the published means, with a conditioned output of the multi decoder that is a tenth better."""
    unconditioned, conditioned, latent = as_published(settings, fold)
    has_condition = settings["method"] != "none"
    return unconditioned, conditioned or (unconditioned * 0.9 if has_condition else None), latent


def test_claims_pair_the_rows_that_they_name():
    table = table_of("grid_thesis.yaml", all_metrics)
    found = {claim.text: len(list(claim.comparisons(table.rows))) for claim in CLAIMS}
    assert {text for text, n in found.items() if not n} == NOT_IN_THAT_GRID
    assert {text: found[text] for text in EXPECTED_PAIRS} == EXPECTED_PAIRS


def test_what_the_published_numbers_say():
    """By eye, all Gaussian multi decoder rows lie 3 to 40 standard deviations below their baselines.

    Uniform sampling's KL lies 10 above gaussian's, against the text. The second decoder's output was never published.
    """
    table = table_of("grid_thesis.yaml", all_metrics)
    words = {record["claim"]: record["published_verdict"] for record in claims_sheet("x", table).records}
    assert words["Gaussian: the multi decoder lowers the unconditioned reconstruction"] == "holds"
    assert words["Gaussian: the multi decoder raises the KL"] == "holds"
    assert words["Gaussian: the multi decoder's rise of the KL is slight"] == "does not hold"
    contrary = "Gaussian: the single decoder's KL is lower with uniform than with gaussian sampling"
    assert words[contrary] == "does not hold"
    assert words["Gaussian: the KL rises with the exponent"] == "not measured"
    assert words["VQ: the multi decoder's conditioned output beats its unconditioned one"] == "not measured"


@pytest.mark.parametrize(
    "change", [{"dataset": "folder"}, {"family": "other"}, {"model.hidden": [8, 8, 8, 8]}, {"schedule.switch_epoch": 9}]
)
def test_other_sweeps_are_not_judged(change):
    table = table_of("grid_thesis.yaml", all_metrics)
    for row in table.rows:
        row.settings |= change
    sheet = claims_sheet("x", table)
    assert not sheet.rows and len(sheet.notes) == 1


def test_sizes_of_the_configurations_are_like_the_thesis():
    assert all(like_the_thesis(row) for row in published_rows())
    assert all(like_the_thesis(row) for row in table_of("grid_digits.yaml", all_metrics).rows)
    (row, *_) = table_of("grid_digits.yaml", all_metrics).rows
    row.settings["model.embeddings"] = 64
    assert not like_the_thesis(row)


def folds(*values):
    return Sample.of_folds(dict(enumerate(values)), dict.fromkeys(range(len(values))), len(values))


def claim(direction, *comparisons, needs_control=False):
    return claims.Claim("1", "made", direction, lambda rows: iter(comparisons), needs_control)


def word(direction, *samples, **more):
    """Return the verdict of a claim whose comparisons are these pairs of samples."""
    return judge(claim(direction, *[((Pair(a, b),),) for a, b in samples], **more), []).word


LOW, HIGH = folds(1.0, 1.1, 0.9, 1.0, 1.05), folds(2.0, 2.1, 1.95, 2.0, 2.0)
NEAR, WILD = folds(1.01, 1.12, 0.9, 1.01, 1.06), folds(0.2, 2.4, 0.7, 1.6, 0.1)


@pytest.mark.parametrize(
    ("direction", "a", "b", "expected"),
    [
        ("lower", HIGH, LOW, "holds"),
        ("lower", LOW, HIGH, "does not hold"),
        ("higher", LOW, HIGH, "holds"),
        ("lower", LOW, WILD, "cannot be told"),
        ("lower", LOW, folds(1.0), "cannot be told"),
        ("little", LOW, NEAR, "holds"),
        ("little", LOW, HIGH, "does not hold"),
        ("little", HIGH, LOW, "does not hold"),
        ("little", LOW, WILD, "cannot be told"),
        ("slightly higher", LOW, NEAR, "holds"),
        ("slightly higher", HIGH, LOW, "holds"),
        ("slightly higher", LOW, HIGH, "does not hold"),
        ("much lower", HIGH, LOW, "holds"),
        ("much lower", LOW, NEAR, "does not hold"),
    ],
)
def test_verdicts_on_made_pairs(direction, a, b, expected):
    assert word(direction, (a, b)) == expected


def test_every_comparison_is_needed():
    assert word("lower") == "not measured"
    assert word("lower", (HIGH, LOW), (HIGH, LOW)) == "holds"
    assert word("lower", (HIGH, LOW), (LOW, WILD)) == "cannot be told"
    assert word("lower", (HIGH, LOW), (LOW, HIGH)) == "does not hold"


def test_a_conjunction_is_not_corrected_inside():
    """Ten comparisons at p = 0.03 each show the claim; Holm's correction would ask for 0.005."""
    marginal = folds(1.0, 1.0, 1.0, 1.0, 1.0), folds(0.92, 0.97, 0.975, 0.94, 0.945)
    assert 0.02 < difference(*marginal).p < 0.05
    assert word("lower", *[marginal] * 10) == "holds"
    assert word("higher", *[marginal] * 10) == "does not hold"  # by Simes: all of them show the contrary
    flat = folds(1.0, 1.1, 0.9, 1.0, 1.0), folds(1.1, 1.0, 0.9, 1.0, 1.0)
    assert word("higher", marginal, *[flat] * 9) == "cannot be told"


def test_one_alternative_suffices():
    none_works = ((Pair(HIGH, WILD),), (Pair(HIGH, WILD),))
    assert judge(claim("lower", ((Pair(HIGH, WILD),), (Pair(HIGH, LOW),))), []).word == "holds"
    assert judge(claim("lower", none_works), []).word == "cannot be told"
    assert judge(claim("lower", ((Pair(LOW, HIGH),), (Pair(LOW, HIGH),))), []).word == "does not hold"


def test_credit_to_the_condition_needs_a_control():
    baseline, control = Pair(HIGH, LOW), Pair(HIGH, LOW, control=True)
    assert judge(claim("lower", ((baseline,),), needs_control=True), []).word == "no control"
    assert judge(claim("lower", ((baseline, control),), needs_control=True), []).word == "holds"
    as_good = Pair(LOW, NEAR, control=True)
    assert judge(claim("lower", ((baseline, as_good),), needs_control=True), []).word == "cannot be told"
    assert judge(claim("lower", ((Pair(LOW, HIGH),),), needs_control=True), []).word == "does not hold"


def test_head_only_rows_are_the_control():
    """Of a sweep with such rows, every VQ claim about conditioning compares with both."""
    table = table_of("grid_digits.yaml", all_metrics)
    for row in [row for row in table.rows if row.settings["method"] == "none"]:
        copy = TableRow(row.key + "h", row.settings | {"method": pairs.HEAD_ONLY}, dict(row.folds))
        table.rows.append(copy)
    chosen = next(c for c in CLAIMS if c.text == "VQ: the multi decoder lowers the VQ loss")
    found = list(chosen.comparisons(table.rows))
    assert [[pair.control for pair in alternative] for (alternative,) in found] == [[False, True]] * 4


def test_no_control_names_the_rows_to_add():
    """Of digits as run: the single decoder's VQ loss is half the baseline's, and a head alone does as much."""
    sheet = claims_sheet("x", table_of("grid_digits.yaml", halved_for_single))
    text = "VQ: with a high enough exponent the single decoder lowers the VQ loss"
    assert {r["claim"]: r["ours_verdict"] for r in sheet.records}[text] == "no control"
    assert any("add rows of method head_only: family vqvae, configuration 1" in note for note in sheet.notes)


def halved_for_single(settings, fold):
    latent = (0.5 if settings["method"] == "single_decoder" else 1) * (1 + fold / 100)
    return 1 + fold / 100, 1 + fold / 100, latent


def test_shares_differ_by_points_and_thin_bases_absolutely():
    by_share = judge(claim("lower", ((Pair(LOW, HIGH, share=True),),)), []).change
    assert by_share.of_shares and by_share.relative is None
    thin = judge(claim("lower", ((Pair(folds(0.1, -0.2, 0.3, 0.1, -0.1), HIGH),),)), []).change
    assert thin.relative is None and thin.absolute == pytest.approx(2.01 - 0.04)
    assert judge(claim("lower", ((Pair(HIGH, LOW),),)), []).change.relative == pytest.approx(1.01 / 2.01 - 1)


def test_a_trend_is_the_slope_over_all_exponents():
    """Against numpy's fit of every fold; the middle exponent counts."""
    rng = np.random.default_rng(3)
    exponents, values = (20.0, 40.0, 60.0), rng.normal(1, 0.1, (5, 3))
    rows = []
    for i, exponent in enumerate(exponents):
        settings = {"family": "vqvae", "method": "single_decoder", "exponent": exponent, "folds.n_splits": 5}
        row = TableRow(str(i), settings)
        row.folds = {f: {"split_hash": f, "unconditioned_per_pixel": values[f, i]} for f in range(5)}
        rows.append(row)
    ((((pair,),)),) = pairs.trend("vqvae", pairs.score("unconditioned"))(rows)
    slopes = [np.polyfit(exponents, values[f], 1)[0] for f in range(5)]
    found = difference(pair.a, pair.b)
    assert found.mean == pytest.approx(40 * np.mean(slopes))
    assert found.error == pytest.approx(40 * np.std(slopes, ddof=1) * math.sqrt(1 / 5 + 1 / 4))


def test_fluctuation_is_within_a_training():
    """Of a loss that falls steadily it is nearly none; of one that jumps by a tenth it is known."""
    steady, jumping = np.exp(-0.1 * np.arange(20)), np.where(np.arange(20) % 2, 1.1, 1.0)
    row = TableRow("k", {"folds.n_splits": 2, "family": "vqvae"})
    row.folds = {f: {"history": [{"selection_total": v} for v in values]} for f, values in enumerate((steady, jumping))}
    found = fluctuation(row).by_fold
    changes = np.diff(np.log(jumping[10:]))
    assert found[0] == pytest.approx(0, abs=1e-9)
    assert found[1] == pytest.approx(np.std(changes, ddof=1))
    assert fluctuation(published_rows()[0]) is None


def test_sizes_are_counted_without_training():
    """The single decoder has 15 to 18 times the parameters of a small VQ baseline on MNIST, and that is not a test."""
    by = {(r.settings["family"], r.settings["configuration"], r.settings["method"]): r for r in published_rows()}
    counts = {key: pairs.size_of("parameters")(row).mean for key, row in by.items()}
    assert 15 < counts["vqvae", 1, "single_decoder"] / counts["vqvae", 1, "none"] < 18
    sheet = claims_sheet("x", table_of("grid_thesis.yaml", all_metrics))
    record = next(r for r in sheet.records if r["claim"].startswith("The single decoder has hardly more"))
    assert (record["ours_verdict"], record["ours_p"]) == ("does not hold", None)


def test_architectures_are_those_of_the_rows():
    for row in table_of("grid_digits.yaml", all_metrics).rows:
        found = architecture(row)
        assert (found.channels, found.side) == (1, 16)
        assert found.sizes == FAMILIES[found.family].configurations[1]


def test_marks_survive_holm_over_the_sheet():
    sheet = claims_sheet("x", table_of("grid_thesis.yaml", all_metrics))
    tested = [r for r in sheet.records if r["ours_p"] is not None]
    assert any(f"over the {len(tested)} claims" in note for note in sheet.notes)
    marked = {r["claim"] for r in sheet.records if r["ours_survives_holm"]}
    assert marked and all(r["ours_p"] < 0.05 for r in sheet.records if r["claim"] in marked)
    assert {
        row[5].text.endswith("*") for row, r in zip(sheet.rows, sheet.records, strict=True) if r["claim"] in marked
    } == {True}


def test_what_was_detectable_stands_where_nothing_can_be_told():
    sheet = claims_sheet("x", table_of("grid_digits.yaml", lambda s, fold: (1 + fold % 2, 1.0, 1.0 + fold % 3)))
    unclear = [row for row in sheet.rows if row[5].text == "cannot be told"]
    assert unclear and all(row[8].text != "-" for row in unclear)


def test_an_empty_table_has_no_sheet_of_claims():
    assert claims_sheet("x", Table([], [])).rows == []


def test_committed_controls_decide_claims_on_the_condition():
    """A real ledger with `head_only` rows has a verdict on every claim whose rows and columns it holds."""
    root = Path(__file__).parents[2] / "results"
    table = read_table(open_ledger(root, "controls"), extra_columns=COLUMNS)
    ours = {claim.text: judge(claim, table.rows) for claim in CLAIMS}
    assert "no control" not in {verdict.word for verdict in ours.values()}
    gap = ours["Gaussian: the multi decoder narrows the gap between test fold and training set"]
    assert gap.word != "not measured"
    assert ours["VQ: with a high enough exponent the single decoder lowers the VQ loss"].word == "cannot be told"
