"""`docker/slurm.sh` calls Slurm's commands, Ray and the driver as it should; fakes of them record their calls.

The script was never run on a real Slurm.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "slurm.sh"

NOTE = 'echo "$(basename "$0") $*" >> "$FAKES/calls"\n'
NOTE_FOLDER = 'echo "tmp ${RAY_TMPDIR:-}" >> "$FAKES/calls"\n'
FAKES = {
    "scontrol": NOTE + 'if [ "$1" = show ]; then echo node1; echo node2; echo node3; fi\n',
    # Drops its own options, and runs the rest of its command line here.
    "srun": NOTE + 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n',
    "ray": NOTE + NOTE_FOLDER + 'case "$*" in *--block*) trap "exit 0" TERM; while :; do sleep 0.1; done ;; esac\n',
    "hostname": "echo 10.0.0.1 fe80::1\n",
    # The driver ends with DRIVER_CODE at once if that is set, or else with 75 when it is told to stop.
    "python": NOTE + 'trap "sleep 0.5; exit 75" TERM\ntouch "$FAKES/driving"\n'
    '[ -n "${DRIVER_CODE:-}" ] && exit "$DRIVER_CODE"\nwhile :; do sleep 0.1; done\n',
}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")


@pytest.fixture
def slurm(tmp_path):
    """Return a function that starts the script as Slurm would, one for a fake's calls so far, and a file.

    The file appears when the driver runs.
    """
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}")
        (tmp_path / name).chmod(0o755)
    started = []

    def start(*arguments, **environment):
        basic = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "node[1-3]"}
        basic |= {"SLURM_CPUS_PER_TASK": "4", "FAKES": str(tmp_path)}
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        run = subprocess.Popen(
            ["bash", SCRIPT, *arguments], env=os.environ | basic | environment | {"PATH": path}, start_new_session=True
        )
        started.append(run)
        return run

    def calls(command):
        lines = (tmp_path / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(f"{command} ")]

    yield start, calls, tmp_path / "driving"
    for run in started:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("code", [0, 1, 2, 75])
def test_a_driver_ending_by_itself_is_not_requeued(slurm, code):
    """The job has the driver's exit code, even if that is 75."""
    start, calls, _ = slurm
    assert start("g.yaml", DRIVER_CODE=str(code)).wait(30) == code
    assert calls("python") == ["python -m sweeps.run g.yaml --workers 4"]
    assert calls("scontrol") == []


def test_a_job_at_its_time_limit_is_requeued(slurm):
    """USR1, which Slurm sends before the time limit, stops the driver with 75 and requeues the job."""
    start, calls, driving = slurm
    run = start("g.yaml", "--results", "/shared/a b")
    wait_for(driving)
    run.send_signal(signal.SIGUSR1)
    assert run.wait(30) == 75
    assert calls("scontrol") == ["scontrol requeue 7"]


def test_a_cancelled_job_is_not_requeued(slurm):
    """TERM, which `scancel` sends, stops the driver with 75 and requeues nothing."""
    start, calls, driving = slurm
    run = start("g.yaml")
    wait_for(driving)
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 75
    assert calls("scontrol") == []


def test_an_array_gives_every_task_its_shard(slurm):
    """Tasks 3, 5 and 7 of an array train the shards 1/3, 2/3 and 3/3."""
    start, calls, _ = slurm
    for task in (3, 5, 7):  # --array=3-7:2
        array = {"SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_STEP": "2"}
        array |= {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "3"}
        assert start("g.yaml", DRIVER_CODE="0", **array).wait(30) == 0
    shards = [line.split("--shard ")[1].split()[0] for line in calls("python")]
    assert shards == ["1/3", "2/3", "3/3"]


def test_an_array_task_requeues_itself_alone(slurm):
    start, calls, driving = slurm
    array = {"SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_ID": "2"}
    run = start("g.yaml", SLURM_ARRAY_TASK_COUNT="4", **array)
    wait_for(driving)
    run.send_signal(signal.SIGUSR1)
    assert run.wait(30) == 75
    assert calls("scontrol") == ["scontrol requeue 9_2"]


def test_many_nodes_form_one_ray_cluster(slurm):
    """The first node gets Ray's head and the driver, the others get workers; the token exists before they listen."""
    start, calls, driving = slurm
    run = start("g.yaml", SLURM_JOB_NUM_NODES="3")
    wait_for(driving)
    time.sleep(0.5)
    heads = [line for line in calls("srun") if "--head" in line]
    workers = [line for line in calls("srun") if "ray start --address 10.0.0.1:6379" in line]
    assert [line.split("--nodelist=")[1].split()[0] for line in heads] == ["node1"]
    assert sorted(line.split("--nodelist=")[1].split()[0] for line in workers) == ["node2", "node3"]
    assert calls("python") == ["python -m sweeps.run g.yaml --address 10.0.0.1:6379 --workers 12"]
    assert calls("ray")[0].startswith("ray get-auth-token --generate")
    run.send_signal(signal.SIGUSR1)
    assert run.wait(30) == 75
    assert calls("scontrol")[-1] == "scontrol requeue 7"


@pytest.mark.parametrize(("folder", "rays"), [("/tmp", ""), ("/scratch/" + "x" * 40, f"/tmp/sweeps-{os.getuid()}")])
def test_nodes_get_a_folder_short_enough_for_sockets(slurm, folder, rays):
    """Ray uses another folder than TMPDIR if that path is too long for its sockets."""
    start, calls, driving = slurm
    run = start("g.yaml", SLURM_JOB_NUM_NODES="3", TMPDIR=folder)
    wait_for(driving)
    time.sleep(0.5)
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 75
    assert {line.removeprefix("tmp ") for line in calls("tmp")} - {"", rays} == set()
    assert calls("tmp")[-1] == f"tmp {rays}"
