"""What makes a training's digits repeat, apart from its seeds: in one place, around every unit wherever it runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mtvae.runtime.precision import tf32_allowed

CUBLAS_WORKSPACE = ":4096:8"  # 8 buffers of 4 MiB: one of the two that NVIDIA documents as reproducible


@contextmanager
def reproducible(deterministic: bool = False) -> Iterator[None]:
    """One thread inside, and what was set before comes back after.

    One thread because sums are taken in an order that depends on the number of threads, and because workers share a
    machine by processes. fp32 is fp32 on a GPU too, where torch would convolve in TF32. Seeds are no part of it: every
    draw has its own generator.

    Args:
        deterministic: only algorithms that repeat bitwise on one kind of GPU; an operation that has none is an error. A
            CPU with one thread repeats without it.

    cuBLAS's workspace is asked for in any case: torch reads it once per process, at the first product on a GPU, and a
    worker may train a unit without `deterministic` before one with. A user's own value wins.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    only_deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(deterministic)
    try:
        with tf32_allowed(tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(only_deterministic, warn_only=warn_only)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the block, and restore them afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield
