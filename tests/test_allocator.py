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
    held = [torch.ones(3 * 2**18) for _ in range(20)]  # of 3 MiB

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    """Pages that the kernel had to give, in twenty steps of 60 MiB. The process begins with glibc's first thresholds,
    fixed, since otherwise it is chance how far they have risen."""
    command = [sys.executable, "-c", FAULTS.format(keep=keep)]
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout)


def test_steps_take_no_new_pages():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    assert faults(keep=False) > 10_000
    assert faults(keep=True) < 1_000
