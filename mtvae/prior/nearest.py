"""Nearest training images: whether samples repeat what trained the model."""

import torch
from torch import Tensor

from mtvae.evaluation import BATCH_SIZE, to_pixels


@torch.no_grad()
def nearest(images: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each image its distance to the nearest training image, and that one's index.

    Args:
        images: (N,C,H,H) in [0,1].
        training: uint8 (M,C,H,H).

    Returns: (N,) root mean square over pixels and channels, and (N,) int64.
    """
    flat = images.flatten(1)
    best = torch.full((len(flat),), torch.inf, device=flat.device)
    where = torch.zeros(len(flat), dtype=torch.long, device=flat.device)
    for i, batch in enumerate(training.split(BATCH_SIZE)):
        squares, places = torch.cdist(flat, to_pixels(batch).flatten(1)).square().min(1)
        closer = squares < best
        best = torch.where(closer, squares, best)
        where = torch.where(closer, places + i * BATCH_SIZE, where)
    return (best / flat.shape[1]).sqrt(), where
