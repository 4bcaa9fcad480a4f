"""Memory that tensors free stays with the process."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from mtvae.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()

def step():  # some tensors at a time, as a training step holds and frees them
    held = [torch.ones({size} * 2**18) for _ in range(60 // {size})]  # of so many MiB

for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep, size):
    """Pages that the kernel had to give, in twenty steps of 60 MiB in tensors of `size` MiB. The process begins with
    glibc's first thresholds, fixed, since otherwise it is chance how far they have risen."""
    command = [sys.executable, "-c", FAULTS.format(keep=keep, size=size)]
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout)


@pytest.mark.parametrize("size", [3, 60])  # glibc's own threshold never rises above 32
def test_steps_take_no_new_pages(size):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    assert faults(keep=False, size=size) > 10_000
    assert faults(keep=True, size=size) < 1_000


IN_A_TRIAL = """
import resource
import sys
import threading
from sweeps import cluster, grid
from sweeps.plan import Plan

cluster._start(Plan(grid.load(sys.argv[1]), frozenset(), frozenset()).units, 1, None)


def in_a_thread():  # as Tune runs a trial; with pages of its own to show that the counting works
    import torch
    from mtvae.allocator import keep_freed_memory

    counts = []

    def trial():
        assert keep_freed_memory()
        for steps in (10, 20):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(steps):
                held = [torch.ones(3 * 2**18) for _ in range(20)]  # of 3 MiB
            counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

    thread = threading.Thread(target=trial)
    thread.start()
    thread.join()
    return counts


print(*cluster.ray.get(cluster.ray.remote(in_a_thread).remote()))
cluster.ray.shutdown()
"""


@pytest.mark.slow
def test_nor_do_those_of_a_trial_which_is_a_thread(tiny_file):
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run([sys.executable, "-c", IN_A_TRIAL, str(tiny_file)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    first, later = map(int, done.stdout.split())
    assert first > 10_000  # the heap's own first pages
    assert later < 1_000
