"""How this process's memory is kept between training steps."""

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # glibc's malloc.h
KEPT = 2**30  # bytes that may lie free before some go back to the kernel


@cache
def keep_freed_memory() -> bool:
    """Asks glibc to keep what tensors free for the next ones, in this process, for good. By default it gives much of it
    back at once, and the kernel clears every page anew: 4 % of a step of the smallest VQ-VAE in fp32, and 8 % of one of
    the Gaussian VAE with a single decoder, whose largest gradient has 79 MB (benchmarks/speed.md). Large tensors have
    mappings of their own by default, which are never kept: with none allowed they come from the heap as well.

    Returns whether there is such an allocator: other systems, and another malloc in its place, go without.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT) and mallopt(_MMAP_MAX, 0))
