"""Which device a unit computes on, and when its memory ran out."""

import platform

import torch

from sweeps.plan.unit import PlacementError
from sweeps.text import number_text


def pick_device(gpus: float) -> str:
    """The device of a unit that was given a share `gpus` of a GPU; "cpu" where it was given none.

    Raises:
        PlacementError: a share was given, but torch sees no GPU.
    """
    if gpus <= 0:
        return "cpu"
    if not torch.cuda.is_available():
        raise PlacementError(f"resources.gpus is {number_text(gpus)}, but torch sees no GPU on {platform.node()}")
    return "cuda"


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that a device, or this machine, has too little memory."""
    cpu = "can't allocate memory"  # in the RuntimeError of torch's allocator for the CPU
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or cpu in str(error)
