"""`--confirm`: the best of a search and its default on new splits and seeds."""

import json
import shutil

import pytest
from searching import SEARCH, Killed, suggestions_of, toy

from sweeps.analysis.results import read_table
from sweeps.analysis.search_results import parts_of
from sweeps.config import grid
from sweeps.ledger import rows
from sweeps.ledger.confirmations import read_confirmations
from sweeps.ledger.ledger import open_ledger
from sweeps.run import searching
from sweeps.run.__main__ import with_number
from sweeps.run.command import command
from sweeps.run.confirming import confirm_seed
from sweeps.run.options import Options
from sweeps.run.train import Components

SEED = 8
TEXT = (
    SEARCH.replace("configurations: 6", "configurations: 5").replace("seed: 3", f"seed: {SEED}")
    + "  sampler: random\n  racing: forgiving\n"
)


class Sweep:
    """A sweep in a folder, and the command on it."""

    def __init__(self, folder, text=TEXT):
        self.results, self.file = str(folder / "results"), folder / "grid.yaml"
        self.file.write_text(text)

    def run(self, overrides=(), run_unit=toy, **options):
        chosen = Options(self.results, inline=True, **options)
        return command(str(self.file), overrides, chosen, Components(run_unit=run_unit))

    @property
    def ledger(self):
        return open_ledger(self.results, "searched")

    @property
    def confirmed(self):
        found, why = read_confirmations(self.ledger.storage)
        assert why == ""
        return found

    def told(self):
        """Return what a further ask would learn from."""
        sweep = grid.load(str(self.file))
        archive = searching.open_archive(self.ledger, sweep)
        return [(asked.number, asked.key) for asked in archive.rows]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run a raced search of five configurations, and return its folder."""
    folder = tmp_path_factory.mktemp("finished")
    Sweep(folder).run()
    return folder


@pytest.fixture
def sweep(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return Sweep(tmp_path / "copy")


def test_the_best_and_the_default_are_trained(sweep, capsys):
    """Their settings are the same but for the seed, which derives from the sweep's; a race does not stop them."""
    before, told = sweep.ledger.units(), sweep.told()
    assert sweep.run(confirm=1) == 0
    out = capsys.readouterr().out
    assert "confirmed on new splits and seeds: default 0." in out
    new = {key for key, _ in sweep.ledger.units() - before}
    assert {c.key for c in sweep.confirmed} == new
    assert len(new) == 2
    assert len(sweep.ledger.units() - before) == 3 * len(new)
    shown, _ = rows.read(sweep.ledger.storage)
    by_key = {row["key"]: row for row in shown}
    for confirmed in sweep.confirmed:
        own, other = by_key[confirmed.key], by_key[confirmed.of]
        assert {name for name in own if own[name] != other[name]} == {"key", "order", "seed"}
        assert own["seed"] == confirm_seed(SEED)
    assert sweep.told() == told


def test_a_repeat_trains_nothing(sweep):
    sweep.run(confirm=1)
    units = sweep.ledger.units()
    assert sweep.run(confirm=1) == 0
    assert sweep.ledger.units() == units


def test_a_larger_number_adds_the_next_best(finished, tmp_path):
    """What was confirmed stays, and is not trained again. The default may be among the best."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    sweep = Sweep(folder, TEXT.replace("racing: forgiving", "racing: none"))
    sweep.run()
    assert sweep.run(confirm=1) == 0
    first = sweep.confirmed
    assert sweep.run(confirm=3) == 0
    more = sweep.confirmed
    assert more[: len(first)] == first
    (part,) = parts_of(read_table(sweep.ledger))
    best = [result.key for result in part.ranked]
    assert {c.of for c in first} == {best[0], part.default.key}
    assert {c.of for c in more} == {*best[:3], part.default.key}
    assert len(more) > len(first)


def test_a_killed_confirmation_resumes(sweep, capsys):
    """The same command trains what is left, and `--status` says what that is."""
    left = 2

    def dying(unit, *rest):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return toy(unit, *rest)

    with pytest.raises(Killed):
        sweep.run(run_unit=dying, confirm=1)
    begun = sweep.confirmed
    capsys.readouterr()
    sweep.run(status=True)
    n = 3 * len(begun)
    assert f"on new splits and seeds: 2 of {n} units done" in capsys.readouterr().out
    assert sweep.run(confirm=1) == 0
    assert sweep.confirmed == begun
    assert len({u for u in sweep.ledger.units() if u[0] in {c.key for c in begun}}) == n


def test_a_wider_search_keeps_them_apart(sweep, capsys):
    """They are neither suggestions nor rows that the search learns from, and the table still leaves them out."""
    sweep.run(confirm=1)
    keys = {c.key for c in sweep.confirmed}
    sweep.run(["search.configurations=7"])
    assert len(suggestions_of(sweep.ledger)) == 7
    assert not keys & {key for _, key in sweep.told()}
    shown, _ = rows.read(sweep.ledger.storage)
    assert keys <= {row["key"] for row in shown}
    out = capsys.readouterr().out
    assert "rows are not told" not in out
    assert "of other grids" not in out


def test_a_dry_run_writes_nothing(sweep, capsys):
    before = sorted(path for path in sweep.file.parent.rglob("*"))
    assert sweep.run(confirm=2, dry_run=True) == 0
    assert f"seed: {confirm_seed(SEED)}" in capsys.readouterr().out
    assert sorted(path for path in sweep.file.parent.rglob("*")) == before


def test_an_open_search_is_said(sweep, capsys):
    assert sweep.run(["search.configurations=6"], confirm=1, dry_run=True) == 0
    assert capsys.readouterr().err == "the search is not at its end: the best so far are confirmed\n"
    assert sweep.run(confirm=1, dry_run=True) == 0
    assert capsys.readouterr().err == ""


def test_it_needs_a_complete_search(tmp_path, capsys):
    """One line, exit code 2, and nothing is written."""
    assert Sweep(tmp_path).run(confirm=1) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["--confirm: no configuration of the search has all its folds yet; run it without --confirm"]
    assert not (tmp_path / "results").exists()


def test_no_configuration_keeps_the_constraints(tmp_path, capsys):
    """The line says how many are complete, and what they miss."""
    text = SEARCH.replace("configurations: 6", "configurations: 2")
    text += "  constraints: {collapsed: '<= -1', best_epoch: '<= 1'}\n"
    sweep = Sweep(tmp_path, text)
    sweep.run()
    capsys.readouterr()
    assert sweep.run(confirm=1) == 2
    assert capsys.readouterr().err.splitlines() == [
        "--confirm: the search has 2 configurations with all folds, but none keeps the constraints; missed: "
        "2 collapsed <= -1"
    ]


def test_a_sweep_without_search_is_refused(tmp_path, capsys):
    text = "name: searched\ndata: {dataset: digits}\nracing: forgiving\ngrid: [{method: none}]\n"
    assert Sweep(tmp_path, text).run(confirm=1) == 2
    assert capsys.readouterr().err.splitlines() == [
        "--confirm trains the best of a search again, and sweep searched has no search; "
        "--set seed=NUMBER trains its rows on new splits"
    ]


def test_each_value_is_confirmed(tmp_path, capsys):
    text = SEARCH.replace("configurations: 6", "configurations: 2") + "  sampler: random\n  each: method\n"
    sweep = Sweep(tmp_path, text)
    sweep.run()
    assert sweep.run(confirm=1) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("confirmed on new splits"))
    assert "method multi_decoder: default" in line
    assert "method single_decoder: default" in line


BITS = """
name: bits
data: {dataset: digits, limit: 40}
folds: {n_splits: 2}
training: {epochs: 1, batch_size: 16}
base: {family: gaussian_vae, prior.kind: normal, generation.samples: 4}
search:
  configurations: 2
  metric: bits_per_image
  space: {training.lr: {low: 1e-4, high: 1e-2, log: true}}
"""


def test_a_search_for_bits_is_confirmed(tmp_path, capsys):
    """The priors of confirmed models are in no table, as their models are in none; their bits are told."""
    (tmp_path / "bits.yaml").write_text(BITS)
    for options in ({}, {"confirm": 1}):
        assert command(str(tmp_path / "bits.yaml"), [], Options(str(tmp_path / "results"), inline=True, **options)) == 0
    assert "confirmed on new splits and seeds: default " in capsys.readouterr().out
    table = read_table(open_ledger(str(tmp_path / "results"), "bits"))
    assert len(table.confirmed) == 2 and all(row.sample("bits_per_image") for row in table.confirmed)
    assert len(table.rows) == len(table.later["prior"].rows) == 2


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["grid.yaml", "--confirm"], ["grid.yaml", "--confirm=1"]),
        (["--confirm", "grid.yaml"], ["--confirm=1", "grid.yaml"]),
        (["grid.yaml", "--confirm", "3", "--inline"], ["grid.yaml", "--confirm", "3", "--inline"]),
        (["grid.yaml", "--confirm", "--inline"], ["grid.yaml", "--confirm=1", "--inline"]),
        (["grid.yaml", "--confirm=2"], ["grid.yaml", "--confirm=2"]),
    ],
)
def test_confirm_needs_no_number(given, read):
    assert with_number(given) == read


def test_the_record_holds_key_and_seed(sweep):
    """A later version may add entries, and reads this one."""
    sweep.run(confirm=1)
    held = json.loads(sweep.ledger.storage.read("confirm.json"))
    assert {name for entry in held["confirmations"] for name in entry} == {"of", "key", "seed"}
