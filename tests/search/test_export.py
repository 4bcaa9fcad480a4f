"""The journal that a search is exported to: Optuna reads it back, and optuna-dashboard opens it."""

import json
from dataclasses import replace
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from searches import small

from sweeps.config.search import Choices
from sweeps.search.study import Trial, export

SEARCH = small(space={**small().space, "model.hidden": Choices(((4, 4), (8, 16)))})
SHARED = {"method": "none", "model.latent": 8, "training.lr": 1e-3, "model.hidden": (8, 16)}
TRIALS = [
    Trial(None, SHARED, "complete", 0.25, constraints={"collapsed": -1.0}),
    Trial(1, {**SHARED, "method": "single_decoder", "exponent": 40.0}, "failed", reason="fold 2: no memory"),
    Trial(2, SHARED | {"model.latent": 9}, "pruned", steps={1: 0.5, 2: 0.75}, reason="worse than the incumbent"),
    Trial(3, SHARED | {"model.latent": 64}, "refused", constraints={"parameters": 5.0}, reason="too large"),
    Trial(4, SHARED | {"model.latent": 7}, "running"),
]


def storage(path):
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def test_optuna_reads_the_export_back(tmp_path):
    """States, values, points, running means, constraints, reasons and numbers are those of the search."""
    path = tmp_path / "study.journal"
    path.write_text("an older export")
    export(SEARCH, TRIALS, path)
    assert [file.name for file in tmp_path.iterdir()] == ["study.journal"]
    study = optuna.load_study(study_name="search", storage=storage(path))
    assert (study.direction.name, study.metric_names) == ("MINIMIZE", ["unconditioned_per_pixel"])
    trials = study.trials
    complete, failed, pruned, refused, running = trials
    assert [trial.state for trial in trials] == [
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.PRUNED,
        TrialState.PRUNED,
        TrialState.RUNNING,
    ]
    assert (complete.value, complete.constraints) == (0.25, {"collapsed": -1.0})
    assert complete.params == SHARED | {"model.hidden": "[8, 16]"}
    assert failed.params["exponent"] == 40.0 and "exponent" not in complete.params
    assert (pruned.intermediate_values, refused.constraints) == ({1: 0.5, 2: 0.75}, {"parameters": 5.0})
    assert [trial.user_attrs.get("number") for trial in trials] == [None, 1, 2, 3, 4]
    assert failed.user_attrs["reason"] == "fold 2: no memory"
    assert running.user_attrs["state"] == "running"


def test_an_export_that_fails_leaves_nothing(tmp_path):
    """The folder is missing, so nothing is written."""
    with pytest.raises(OSError):
        export(SEARCH, TRIALS, tmp_path / "missing" / "study.journal")
    assert list(tmp_path.iterdir()) == []


def test_a_maximized_metric_is_exported_as_such(tmp_path):
    export(replace(SEARCH, objective=replace(SEARCH.objective, minimize=False)), TRIALS, tmp_path / "study")
    study = optuna.load_study(study_name="search", storage=storage(tmp_path / "study"))
    assert study.direction.name == "MAXIMIZE"


def test_optuna_dashboard_opens_the_export(tmp_path):
    """The dashboard's server lists the study, and returns its trials through its interface."""
    dashboard = pytest.importorskip("optuna_dashboard")
    export(SEARCH, TRIALS, tmp_path / "study.journal")
    app = dashboard.wsgi(storage(tmp_path / "study.journal"))

    def get(path):
        environ = {"PATH_INFO": path, "QUERY_STRING": "after=0"}
        setup_testing_defaults(environ)
        statuses = []
        body = b"".join(app(environ, lambda status, headers, error=None: statuses.append(status)))
        assert statuses[0].startswith("200"), (statuses, body)
        return json.loads(body)

    (summary,) = get("/api/studies")["study_summaries"]
    assert summary["study_name"] == "search"
    study = get(f"/api/studies/{summary['study_id']}")
    assert [trial["state"] for trial in study["trials"]] == ["Complete", "Fail", "Pruned", "Pruned", "Running"]
    assert study["trials"][0]["values"] == [0.25]
    points = [{param["name"]: param["param_external_value"] for param in trial["params"]} for trial in study["trials"]]
    assert points[0] == {"method": "none", "model.latent": "8", "training.lr": "0.001", "model.hidden": "[8, 16]"}
    assert points[1]["exponent"] == "40.0"
