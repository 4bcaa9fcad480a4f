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
    """Allow or forbid TF32 (10 bits of mantissa) for fp32 products and convolutions on a GPU, inside this context.

    torch's own default differs between the two. The settings of before are restored afterwards.
    """
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
    """Return the context of a forward pass. With bf16, layers that multiply do so in it; the backward pass follows."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
