"""What a report says of a search: notes, sheet, records, figures."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.scale import LogScale
from searching import SEARCH, read

from sweeps.analysis.optimism import corrected_best
from sweeps.analysis.results import read_table
from sweeps.analysis.search_results import parts_of, search_results
from sweeps.config.search import Constraint
from sweeps.ledger.confirmations import Confirmation, read_confirmations, write_confirmations
from sweeps.ledger.search_file import SEARCH_FILE, read_description
from sweeps.ledger.suggestions import Suggestion, create, write_stopped
from sweeps.plan.identity import key_of, units_of
from sweeps.report.contents import ReportRequest, report
from sweeps.report.figures.search_figures import search_figures
from sweeps.report.tables.formats import FORMATS
from sweeps.report.tables.search_notes import search_notes
from sweeps.run.confirming import describe
from sweeps.run.searching import open_archive, write_grid
from sweeps.search.asked import parts_of as searches_of
from sweeps.search.space import settings_of

LR = [0.001, 0.002, 0.004, 0.0005, 0.0003]
SCORES = [[3.0, 3.2, 3.1], [2.0, 2.6, 2.0], [2.3, 2.1, 2.25], [2.4, 2.5, 2.6], [9.0, 9.0, 9.0]]


def made(ledger, text=SEARCH, done=(3, 3, 3, 3, 3), scores=SCORES, each=(None,)):
    """Write suggestions with these scores, per pixel, and what a run writes for reports; return the grid."""
    sweep = read(text)
    for i, (rate, values, n) in enumerate(zip(LR, scores, done, strict=True)):
        value = each[i % len(each)]
        (part,) = [s for s in searches_of(sweep.search) if value in (None, s.base.get("method"))]
        params = {"training.lr": rate, "model.latent": 16} | ({} if value else {"method": "multi_decoder"})
        if value == "single_decoder":
            params["exponent"] = 40
        settings = settings_of(part, params)
        create(ledger.storage, Suggestion(i + 1, params, key=key_of(settings), each=value))
        fill(ledger, settings, values[:n])
    create(ledger.storage, Suggestion(6, {"method": "multi_decoder"}, refused="too large", each=each[0]))
    return write(ledger, sweep)


def fill(ledger, settings, values):
    for unit, value in zip(units_of(settings), values, strict=False):
        ledger.write(
            unit,
            {
                "unconditioned_per_pixel": value,
                "unconditioned_per_image": 256 * value,
                "collapsed": value > 8,
                "split_hash": f"{settings.seed} {unit.fold}",
                "seconds": 36.0,
            },
        )


def write(ledger, sweep):
    """Write what a run writes for reports, and return the grid with its suggestions."""
    archive = open_archive(ledger, sweep)
    write_grid(ledger, sweep, archive)
    return archive.with_suggestions(sweep)


def notes(ledger):
    return search_notes(read_table(ledger))


def shown(ledger, kind, format="text"):
    folder, _, name = ledger.storage.root.rpartition("/")
    return report(folder, name, ReportRequest((kind,), format))


def test_notes_name_best_correction_and_default(ledger):
    """Fold 1 would have chosen another configuration than folds 0 and 2, so the corrected mean is worse."""
    made(ledger)
    best, corrected, default = notes(ledger)
    found = corrected_best(np.array(SCORES))
    assert found.chosen == (2, 1, 2)
    assert best.startswith(
        "search: best unconditioned per pixel of 5 complete configurations: 2.200000 (suggestion 2, gaussian_vae 1"
    )
    low, high = found.corrected - found.half_width, found.corrected + found.half_width
    assert corrected == (
        f"search: corrected for having been chosen: {found.corrected:.6f} (95 %: {low:.6f} to {high:.6f}); "
        "tpe adapts to all folds, so still somewhat too good"
    )
    assert default == "search: default configuration 3.100000; 6 suggestions: 5 complete, 1 refused"
    assert notes(ledger)[0] in shown(ledger, "table")


def test_a_random_search_has_no_clause(ledger):
    made(ledger, SEARCH + "  sampler: random\n")
    assert notes(ledger)[1].endswith(")")


def test_states_of_suggestions_are_counted(ledger):
    """Only complete configurations within the constraints can be the best."""
    sweep = made(ledger, SEARCH + "  racing: forgiving\n", done=(3, 2, 3, 1, 3))
    units = [units_of(row) for row in sweep.rows]
    write_stopped(ledger.storage, units[1][0].key, "worse", 2)
    ledger.write_failed(units[3][1], "no memory")
    best, _, counts = notes(ledger)
    assert "of 3 complete configurations: 2.216667 (suggestion 3," in best
    assert counts.endswith("6 suggestions: 3 complete, 1 stopped, 1 failed, 1 refused")
    reasons = {r.number: (r.state, r.reason) for r in search_results(read_table(ledger))}
    assert reasons[2] == ("stopped", "worse")
    assert reasons[4] == ("failed", "fold 1: no memory")
    assert reasons[6] == ("refused", "too large")


def test_the_best_keeps_the_constraints(ledger):
    """The default configuration and the last one miss a bound on a measured number."""
    sweep = made(ledger, SEARCH + "  constraints: {unconditioned: '>= 2.21', collapsed: '<= 0'}\n")
    assert sweep.search is not None
    assert "of 3 complete configurations within the constraints: 2.216667 (suggestion 3," in notes(ledger)[0]
    assert "2 of the complete ones outside the constraints" in notes(ledger)[2]
    (part,) = parts_of(read_table(ledger))
    assert [result.number for result in part.ranked] == [3, 4, 1]


def test_each_value_has_a_line(ledger):
    each = ("multi_decoder", "single_decoder")
    made(ledger, SEARCH + "  each: method\n", each=each)
    first, second, counts = notes(ledger)
    assert first.startswith("search, method multi_decoder: best of 3 2.216667 (suggestion 3), corrected ")
    assert first.endswith("default 3.100000")
    assert second.startswith("search, method single_decoder: best of 2 2.200000 (suggestion 2), corrected ")
    assert counts.startswith("search: 6 suggestions: 5 complete, 1 refused; tpe adapts")


def test_a_grid_row_may_be_the_best(ledger):
    """It lies in the space. A row that differs elsewhere is not compared."""
    text = SEARCH.replace("base: {family: gaussian_vae, configuration: 1}", "family: gaussian_vae")
    text += "grid: [{method: multi_decoder, training.lr: 0.003, training.epochs: [1, 2]}]\n"
    sweep = made(ledger, text)
    for row in sweep.rows[:2]:
        fill(ledger, row, [1.0, 1.1, 1.2])
    assert "of 6 complete configurations: 1.100000 (a row of the grid, " in notes(ledger)[0]
    assert notes(ledger)[2].endswith("; 1 row of the grid known to it")
    records = json.loads(shown(ledger, "table", "json"))[0]["rows"]
    assert sorted(r["suggestion"] or 0 for r in records) == [0, 0, 1, 2, 3, 4, 5]


def test_a_sweep_without_a_search_says_nothing(ledger, tiny, plan):
    ledger.write_grid(tiny)
    ledger.write(plan.units[0], {"unconditioned_per_pixel": 1.0, "collapsed": False})
    assert notes(ledger) == []
    assert "this sweep has no search" in shown(ledger, "search")
    assert "suggestion" not in json.loads(shown(ledger, "table", "json"))[0]["rows"][0]
    assert search_figures(read_table(ledger)) == ({}, [])


def test_a_grid_without_its_search_forgets_it(ledger):
    """The rows of the latest run's grid are shown, and its search, if it has one."""
    sweep = made(ledger)
    assert ledger.storage.exists(SEARCH_FILE)
    write_grid(ledger, replace(sweep, search=None), None)
    assert not ledger.storage.exists(SEARCH_FILE)
    assert notes(ledger) == []


@pytest.mark.parametrize("format", FORMATS)
def test_the_sheet_lists_suggestions_in_order(ledger, format):
    made(ledger)
    text = shown(ledger, "search", format)
    if format == "json":
        rows = json.loads(text)[0]["rows"]
        assert [(r["suggestion"], r["state"], r["folds"]) for r in rows] == [
            *[(n, "complete", 3) for n in range(1, 6)],
            (6, "refused", 0),
        ]
        assert (rows[1]["training.lr"], rows[1]["score"]) == (0.002, pytest.approx(2.2))
    elif format == "text":
        lines = [line.split() for line in text.splitlines() if line[:1].isdigit()]
        assert lines[1] == ["2", "multi_decoder", "-", "16", "0.002", "2.200000", "*", "3/3", "complete"]
        assert lines[5] == ["6", "multi_decoder", "-", "-", "-", "-", "-", "refused"]
    else:
        assert "refused" in text and "multi" in text


def test_validation_scores_come_from_the_history(ledger):
    """They are in the loss's scale, per image in this family."""
    sweep = read(SEARCH + "  score_on: validation\n")
    (part,) = searches_of(sweep.search)
    params = {"training.lr": 0.001, "model.latent": 16, "method": "multi_decoder"}
    settings = settings_of(part, params)
    create(ledger.storage, Suggestion(1, params, key=key_of(settings)))
    for unit in units_of(settings):
        scores = {"unconditioned_per_pixel": 1.0, "unconditioned_per_image": 256.0, "collapsed": False}
        history = [{"epoch": 1, "selection_unconditioned": 512.0}, {"epoch": 2, "selection_unconditioned": 9.0}]
        ledger.write(unit, scores | {"history": history, "best_epoch": 1})
    write(ledger, sweep)
    assert notes(ledger)[0].startswith("search: best unconditioned per pixel on the validation sets of 1 complete")
    assert ": 2.000000 (suggestion 1" in notes(ledger)[0]


def test_a_damaged_description_is_one_line(ledger):
    made(ledger)
    for text in (b"{", b"[]", b'{"objective": 3, "space": {}}', b'{"objective": {"metric": "x"}, "space": {}}'):
        ledger.storage.write(SEARCH_FILE, text)
        table = shown(ledger, "table")
        assert table.count("not read: search.json (") == 1
        assert "search: best" not in table


def test_unknown_entries_are_ignored(ledger):
    made(ledger)
    before, why = read_description(ledger.storage)
    values = json.loads(ledger.storage.read(SEARCH_FILE))
    values["later"] = values["objective"]["later"] = values["space"]["training.lr"]["later"] = 1
    ledger.storage.write(SEARCH_FILE, json.dumps(values).encode())
    assert why == ""
    assert read_description(ledger.storage) == (before, "")


def test_the_description_is_the_search(ledger):
    """It survives the file: tuples, ranges, constraints and the default's key."""
    text = SEARCH.replace("method: [multi", "model.hidden: [[4, 4], [8, 16]]\n    method: [multi")
    sweep = read(text + "  constraints: {parameters: '<= 5e6', collapsed: '<= 0'}\n")
    archive = open_archive(ledger, sweep)
    write_grid(ledger, sweep, archive)
    found, _ = read_description(ledger.storage)
    assert found == describe(sweep, archive)
    assert found.space == sweep.search.space
    assert found.constraints == (Constraint("collapsed", "<=", 0.0, known=False),)
    assert [known.key for known in found.defaults] == [key_of(settings) for _, settings in archive.defaults()]


class TestConfirmed:
    """Configurations on new splits and seeds."""

    @pytest.fixture
    def confirmed(self, ledger):
        """Confirm the default and suggestions 2 and 3."""
        sweep = made(ledger)
        again = [row.model_copy(update={"seed": 77}) for row in sweep.rows[:3]]
        for settings, values in zip(again, ([3.0, 3.1, 3.2], [2.5, 2.7, 2.6], [2.4, 2.55, 2.45]), strict=True):
            fill(ledger, settings, values)
        found = [Confirmation(key_of(a), key_of(b), 77) for a, b in zip(sweep.rows, again, strict=False)]
        write_confirmations(ledger.storage, found)
        write(ledger, read(SEARCH))
        return ledger

    def test_notes_have_means_and_the_test(self, confirmed):
        line = notes(confirmed)[3]
        head = "confirmed on new splits and seeds: default 3.100000, suggestion 2 2.600000 (-0.500000, 95 % "
        assert line.startswith(head)
        assert ", suggestion 3 2.466667 (-0.633333, 95 % " in line
        assert line.count(", p ") == 2

    def test_they_are_no_rows_of_the_table(self, confirmed):
        """Neither labels nor the search's ranking change."""
        table = read_table(confirmed)
        assert len(table.rows) == 5
        assert len(table.confirmed) == 3
        assert "seed" not in table.columns
        assert "not shown" not in shown(confirmed, "table")
        assert notes(confirmed)[0].startswith("search: best unconditioned per pixel of 5 complete configurations: 2.2")
        assert len(read_table(confirmed, all_rows=True).rows) == 5

    def test_the_sheet_has_them(self, confirmed):
        rows = json.loads(shown(confirmed, "search", "json"))[0]["rows"]
        assert [r["confirmed"] for r in rows[:4]] == [pytest.approx(v) for v in (3.1, 2.6, 2.4666667)] + [None]
        assert rows[1]["confirmed_difference"] == pytest.approx(-0.5)
        assert rows[1]["confirmed_p"] <= rows[1]["confirmed_p_holm"] < 0.05

    def test_a_missing_fold_is_unfinished(self, confirmed):
        found, _ = read_confirmations(confirmed.storage)
        confirmed.storage.remove(f"units/{found[1].key}-fold2.parquet")
        assert "suggestion 2 unfinished (2 folds)" in notes(confirmed)[3]

    def test_a_damaged_file_is_one_line(self, confirmed):
        confirmed.storage.write("confirm.json", b"{}")
        assert shown(confirmed, "table").count("not read: confirm.json (") == 1


class TestFigures:
    """Figures of a search."""

    @pytest.fixture
    def many(self, ledger):
        """Suggest 24 configurations, whose score depends on the learning rate alone."""
        sweep = read(SEARCH)
        (part,) = searches_of(sweep.search)
        for i in range(24):
            params = {"method": "single_decoder", "exponent": 10 + 5 * (i % 7), "model.latent": 4 + (7 * i) % 24}
            params["training.lr"] = 1e-4 * 1.3 ** ((5 * i) % 24)
            if i % 6 == 5:
                params = {name: value for name, value in params.items() if name != "exponent"}
                params["method"] = "multi_decoder"
            settings = settings_of(part, params)
            create(ledger.storage, Suggestion(i + 1, params, key=key_of(settings)))
            fill(ledger, settings, [1 + abs((5 * i) % 24 - 12) + 0.01 * fold for fold in range(3)])
        write(ledger, sweep)
        return read_table(ledger, extra_columns=["seconds"])

    def test_the_best_so_far_is_drawn(self, many):
        figures, reasons = search_figures(many)
        assert list(figures) == ["search-progress", "search-importance", "search-settings"]
        assert reasons == []
        for axes, end in zip(figures["search-progress"].axes, (24 * 3, 24 * 3 * 0.01), strict=True):
            dots, line = axes.lines
            assert len(dots.get_xdata()) == 24
            assert line.get_xdata()[-1] == pytest.approx(end)
            values = [1 + abs((5 * i) % 24 - 12) + 0.01 for i in range(24)]
            assert list(line.get_ydata()) == pytest.approx([min(values[: i + 1]) for i in range(24)])

    def test_the_important_setting_has_the_longest_bar(self, many):
        figures, _ = search_figures(many)
        (axes,) = figures["search-importance"].axes
        names = [label.get_text() for label in axes.get_yticklabels()]
        widths = dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True))
        assert max(widths, key=widths.get) == "training.lr"
        assert sum(widths.values()) == pytest.approx(1)
        assert "exponent" not in widths
        assert "only some configurations have them: exponent" in figures["search-importance"].get_supxlabel()

    def test_settings_have_the_scale_of_the_space(self, many):
        figures, _ = search_figures(many)
        panels = {axes.get_xlabel(): axes for axes in figures["search-settings"].axes}
        assert list(panels) == ["method", "exponent", "model.latent", "training.lr"]
        logarithmic = [name for name, axes in panels.items() if isinstance(axes.xaxis._scale, LogScale)]
        assert logarithmic == ["model.latent", "training.lr"]
        assert len(panels["exponent"].lines[0].get_xdata()) == 20
        assert "mathdefault" not in "".join(t.get_text() for t in panels["training.lr"].get_xticklabels())

    def test_few_configurations_have_no_importance(self, ledger):
        made(ledger)
        figures, reasons = search_figures(read_table(ledger, extra_columns=["seconds"]))
        assert list(figures) == ["search-progress", "search-settings"]
        assert reasons == ["no importance of the searched settings: fewer than 20 complete configurations"]
