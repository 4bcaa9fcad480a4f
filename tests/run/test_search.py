"""The command for a grid file with a search: what it prints, its exit codes, and the files that it writes."""

import pytest
from searching import SEARCH, read, slow_toy, suggestions_of, toy

from sweeps.backends.stop import Stop
from sweeps.ledger import rows
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.suggestions import read_all
from sweeps.plan.unit import Outcome
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components
from sweeps.text import value_text


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text(SEARCH.replace("configurations: 6", "configurations: 3"))
    return path


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def search(file, results):
    """Return a function that runs the command on the search, and returns its exit code."""

    def search(*overrides, run_unit=toy, **options):
        given = Options(str(results), inline="workers" not in options, **options)
        return command(str(file), overrides, given, Components(run_unit=run_unit))

    return search


def ledger_of(results):
    return open_ledger(results, "searched")


def test_a_search_ends_with_a_table(search, results, capsys):
    assert search() == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("3/3") == 3
    ledger = ledger_of(results)
    keys = [key for _, _, key, _ in suggestions_of(ledger)]
    assert [row["key"] for row in rows.read(ledger.storage)[0]] == keys
    assert ledger.storage.names("") == ["grid.yaml", "rows.parquet", "search.json"]
    assert search() == 0  # nothing is left, so nothing is read or started
    assert "done:" not in capsys.readouterr().out


def test_a_row_shows_what_is_searched(search, results, capsys):
    """A setting is shown though an earlier one tells the few rows apart already. It fits into 80 columns."""
    assert search() == 0
    table = [line[:80] for line in capsys.readouterr().out.splitlines() if " 3/3 " in line]
    found, _ = read_all(ledger_of(results).storage)
    assert len(table) == len(found) == 3
    for suggestion in found:
        latent, rate = suggestion.params["model.latent"], value_text(suggestion.params["training.lr"])
        assert sum(f"model.latent {latent}, training.lr {rate} " in line for line in table) == 1


def test_a_dry_run_says_what_is_searched(search, results, capsys):
    assert search(dry_run=True) == 0
    out = capsys.readouterr().out
    for expected in (
        "search (tpe) of 3 configurations, for the lowest unconditioned_per_pixel on the test folds",
        "  method: multi_decoder or single_decoder",
        "  exponent: from 10 to 80 in steps of 5",
        "  training.lr: from 0.0001 to 0.1, log",
        "  model.latent: from 4 to 64, log, whole numbers",
        "0 of 3 configurations suggested, 0 refused, 3 left",
        "default configuration: gaussian_vae 1 multi_decoder",
        "range of the space: ",
        "in the largest worker",
        "the search adds up to 9 units",
    ):
        assert expected in out
    assert not results.exists()
    assert search() == 0
    capsys.readouterr()
    assert search(dry_run=True) == 0
    out = capsys.readouterr().out
    assert "3 of 3 configurations suggested, 0 refused, 0 left" in out
    assert "9 units: 9 done, 0 failed, 0 to train" in out


def test_a_stopped_search_says_how_far_it_is(search, results, capsys):
    """The stop comes in the second configuration. The status says the same, and the same command goes on."""
    done = []

    def stop_in_the_second(unit, loaded, context, on_progress, should_stop):
        if len(done) == 4:
            stop.request()
            return Outcome.STOPPED
        done.append(unit)
        return toy(unit, loaded, context, on_progress, should_stop)

    class Requested(Stop):
        def __init__(self):
            super().__init__()
            nonlocal stop
            stop = self

    stop = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.run.train.Stop", Requested)
        assert search(run_unit=stop_in_the_second) == 75
    assert "4 of 6 units done, 1 of 3 configurations of the search; the same" in capsys.readouterr().err
    assert search(status=True) == 0
    out, err = capsys.readouterr()
    assert "search: 2 of 3 configurations suggested, 0 refused, 1 left" in out
    assert "  1/3  " in out
    assert "1 of 3 configurations of the search" in err
    assert search() == 0
    assert len(suggestions_of(ledger_of(results))) == 3


def test_options_of_units_name_suggestions(search, results, capsys):
    """`--only` and `--redo` take labels of suggestions; neither asks for a further one."""
    assert search() == 0
    capsys.readouterr()
    assert search(status=True) == 0
    label = capsys.readouterr().out.splitlines()[-1].split("  ")[2]
    assert search(redo=label) == 0
    assert capsys.readouterr().out.count("done: ") == 3
    ledger = ledger_of(results)
    name = ledger.storage.names("units")[0]
    ledger.storage.remove(f"units/{name}")
    assert search("search.configurations=5", only=name.removesuffix(".parquet")) == 0
    assert capsys.readouterr().out.count("done: ") == 1
    assert len(suggestions_of(ledger)) == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"shard": "1/2"}, "--shard cannot divide a search"),
        ({"export_study": ""}, "--export-study is empty"),
        ({"export_study": "a", "status": True}, "--export-study writes a file and trains nothing"),
    ],
    ids=str,
)
def test_what_a_search_refuses_is_one_line(search, results, capsys, options, expected):
    assert search(**options) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert len(err.splitlines()) == 1
    assert not results.exists()


def test_only_a_search_has_a_study(tiny_file, results, tmp_path, capsys):
    assert command(str(tiny_file), [], Options(str(results), export_study=str(tmp_path / "study"))) == 2
    assert "sweep tiny has none" in capsys.readouterr().err


def test_a_study_is_exported(search, results, tmp_path, capsys):
    """It holds every configuration with its mean."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    assert search() == 0
    capsys.readouterr()
    path = tmp_path / "study.log"
    assert search(export_study=str(path)) == 0
    assert capsys.readouterr().out == f"{path}: 3 configurations, for optuna-dashboard\n"
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    (study,) = [optuna.load_study(study_name=s.study_name, storage=storage) for s in storage.get_all_studies()]
    scores = [record["unconditioned_per_pixel"] for record in ledger_of(results).read()[0]]
    assert sum(trial.value for trial in study.trials) == pytest.approx(sum(scores) / 3)
    assert search(export_study=str(tmp_path / "none" / "study.log")) == 2
    assert "cannot write " in capsys.readouterr().err


@pytest.mark.slow
def test_ray_runs_a_search_on_two_workers(search, results, ray_session, capsys):
    """Nothing is lost, asked or told twice, and the folds of a configuration are trained in parallel."""
    assert search("search.configurations=6", run_unit=slow_toy, workers=2) == 0
    ledger = ledger_of(results)
    found = suggestions_of(ledger)
    assert [number for number, *_ in found] == [1, 2, 3, 4, 5, 6]
    assert len({key for _, _, key, _ in found}) == 6
    assert len(ledger.units() | ledger.units("failed")) == 18
    assert len(ledger.storage.names("notes")) == 18
    assert "[18/18] " in capsys.readouterr().out
    assert read().search.configurations == 6
