"""In what arithmetic a GPU or a CPU multiplies: `Training.precision`.

The weights, the optimizer's moments, the losses and the codebook's distances are fp32 in any case.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mtvae.config import Precision


@contextmanager
def tf32_allowed(tf32: bool) -> Iterator[None]:
    """Products and convolutions of fp32 numbers on a GPU: in TF32 (10 bits of mantissa) inside, or not. torch's own
    default differs between the two. What was set before comes back after."""
    knobs: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [knob.allow_tf32 for knob in knobs]
    for knob in knobs:
        knob.allow_tf32 = tf32
    try:
        yield
    finally:
        for knob, value in zip(knobs, before, strict=True):
            knob.allow_tf32 = value


def forward_pass(precision: Precision, device: torch.device) -> torch.autocast:
    """Around a forward pass: with bf16, layers that multiply do so in it; the backward pass follows them."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
