"""Which device a unit computes on, and whether an error means that memory ran out."""

import platform

import torch

from sweeps.plan.unit import PlacementError
from sweeps.text import number_text


def pick_device(gpus: float) -> str:
    """Return the device for a unit with a share `gpus` of a GPU: "cuda", or "cpu" if the share is 0.

    Raises:
        PlacementError: a share was given, but torch sees no GPU.
    """
    if gpus <= 0:
        return "cpu"
    if not torch.cuda.is_available():
        raise PlacementError(f"resources.gpus is {number_text(gpus)}, but torch sees no GPU on {platform.node()}")
    return "cuda"


def out_of_memory(error: Exception) -> bool:
    """Return whether an error means that a device, or this machine, has too little memory."""
    cpu = "can't allocate memory"  # in the RuntimeError of torch's allocator for the CPU
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or cpu in str(error)
