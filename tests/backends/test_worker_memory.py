"""Memory that tensors free stays with a process that trains, by the environment that it is started with."""

import contextlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweeps.backends.malloc import MALLOC, malloc_settings, restart_with_malloc_settings

FAULTS = """
import resource
import torch

def step():  # allocate and free some tensors at a time, as a training step does
    held = [torch.ones({size} * 2**18) for _ in range(60 // {size})]  # of `size` MiB each

for _ in range({warm}):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(size, warm, settings):
    """Return how many pages the kernel gives in twenty steps, of 60 MiB in tensors of `size` MiB, after `warm` steps.

    glibc's thresholds are fixed at their first values: they would otherwise rise by chance.
    """
    command = [sys.executable, "-c", FAULTS.format(size=size, warm=warm)]
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"} | settings
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout)


@pytest.mark.parametrize(("size", "warm"), [(3, 3), (60, 10)])  # glibc's own threshold never rises above 32
def test_steps_take_no_new_pages(size, warm):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    assert faults(size, warm, {}) > 10_000
    assert faults(size, warm, MALLOC) < 1_000


def test_a_users_own_value_wins(monkeypatch):
    for name in MALLOC:
        monkeypatch.delenv(name, raising=False)
    assert malloc_settings() == MALLOC
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "65536")
    assert malloc_settings() == {name: MALLOC[name] for name in ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_")}


IN_A_TRIAL = """
import sys
from sweeps.backends.ray_tune import session
from sweeps.config import grid
from sweeps.plan.plan import Plan

session.start(Plan(grid.load(sys.argv[1]), frozenset(), frozenset()).units, 1, None)


def in_a_thread():  # as Tune runs a trial
    from sweeps.backends.malloc import MALLOC
    import os
    import resource
    import threading
    import torch
    from mtvae.conditioning import ConditionSampler
    from mtvae.runtime.determinism import reproducible
    from mtvae.model import build
    from mtvae.training import Fit, TrainingSet
    from sweeps.config.rules import resolve
    from sweeps.data import seeds

    pages = []

    def trial():
        given = {"family": "gaussian_vae", "method": "single_decoder", "data.dataset": "mnist"}
        s = resolve(given | {"training.epochs": 1, "training.batch_size": 32}, frozenset())
        images = torch.randint(0, 256, (12 * 32 + 1, 1, 28, 28), dtype=torch.uint8)
        data = TrainingSet(images, torch.arange(12 * 32), torch.tensor([12 * 32]))
        model = build(s.architecture, torch.Generator().manual_seed(0))
        sampler = ConditionSampler(s.condition_sampler, 28)
        fit = Fit(model, data, s.loss, s.training, sampler, seeds.of_fold(0, 0))
        with reproducible():
            fit.epoch(lambda: pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt))

    thread = threading.Thread(target=trial)
    thread.start()
    thread.join()
    return *(os.environ[name] for name in MALLOC), *pages


print(*session.ray.get(session.ray.remote(in_a_thread).remote()))
session.ray.shutdown()
"""


@pytest.mark.slow
def test_steps_in_a_trial_take_no_new_pages(tiny_file):
    """A trial is a thread. The model's largest gradient has 79 MB, 19,400 pages, which stay with the process.

    The user's own value of a variable, which changes nothing here, reaches the worker.
    """
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    env = {name: value for name, value in os.environ.items() if name not in MALLOC}
    env["MALLOC_TRIM_THRESHOLD_"] = str(2**31 - 1)
    done = subprocess.run([sys.executable, "-c", IN_A_TRIAL, str(tiny_file)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    arenas, threshold, mappings, *pages = map(int, done.stdout.split())
    assert (arenas, threshold, mappings) == (1, 2**31 - 1, 0)
    assert len(pages) == 12
    assert pages[-1] - pages[5] < 3 * 19_400  # in six steps


def test_an_inline_command_has_the_settings_from_its_start(tiny_file, tmp_path):
    """The first environment of the process that was started has them, with the user's own value."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    env = {name: value for name, value in os.environ.items() if name not in MALLOC} | {"MALLOC_ARENA_MAX": "2"}
    command = [sys.executable, "-m", "sweeps.run", str(tiny_file), "--inline", "--results", str(tmp_path)]
    seen: set[str] = set()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                first = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
                seen |= {variable for variable in first if variable.startswith("MALLOC_")}
            time.sleep(0.05)
        assert "tiny" in process.stdout.read()
    assert process.returncode == 0
    own = MALLOC | {"MALLOC_ARENA_MAX": "2"}
    assert seen == {f"{name}={value}" for name, value in own.items()}


def test_a_command_restarts_itself_once(monkeypatch):
    """With all of the settings in the environment there is nothing to restart for."""
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2"))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "sweeps.run", "a.yaml", "--inline"])
    for name in MALLOC:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-c", "a program of somebody else's", "--inline"])
    restart_with_malloc_settings()
    assert not started
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "sweeps.run", "a.yaml", "--inline"])
    restart_with_malloc_settings()
    ((program, arguments, environment),) = started
    assert (program, arguments) == (sys.executable, [sys.executable, "-m", "sweeps.run", "a.yaml", "--inline"])
    assert MALLOC.items() <= environment.items()
    for name, value in MALLOC.items():
        monkeypatch.setenv(name, value)
    restart_with_malloc_settings()
    assert len(started) == 1
