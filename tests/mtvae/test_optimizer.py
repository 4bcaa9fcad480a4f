"""Our AdamW equals torch's own class, and a worker with it does not load torch's compiler."""

import subprocess
import sys

import pytest
import torch
from committed_losses import fit, kinds, settings_of

from mtvae.optimizer import AdamW


def model():
    """Return a model whose convolutions' weights are channels last, as `build` makes them."""
    return fit(settings_of(dict(kinds())["vqvae multi_decoder"])).model


def train(model, optimizer, steps, after=lambda: None):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(
                memory_format=torch.channels_last if parameter.dim() == 4 else torch.contiguous_format
            )
        optimizer.step()
        after()


def test_our_adamw_equals_torchs_bitwise():
    ours, theirs = model(), model()
    train(ours, AdamW(ours.parameters(), 1e-3, 0.05), 5)
    train(theirs, torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=0.05, fused=True), 5)
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_step_without_a_gradient_is_an_error():
    m = model()
    with pytest.raises(AssertionError):
        AdamW(m.parameters(), 1e-3, 0.0).step()


TRAINS = """
import sys
import numpy as np
from sweeps.config import grid
from sweeps.data.datasets import Loaded
from sweeps.data.splits import FoldDraw
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.worker import run_unit

unit = Plan(grid.load(sys.argv[1]), frozenset(), frozenset()).units[0]
images = np.zeros((60, 1, 16, 16), np.uint8)  # a data set is read by another process
folds = {FoldDraw.of(unit.settings.folds, unit.settings.seed): np.arange(60) % 2}  # they come with the images
assert run_unit.run_unit(unit, Loaded(images, folds=folds), open_ledger(sys.argv[2], "tiny"), "cpu", {}) == "done"
print(*[name for name in ("torch._dynamo", "sympy", "sklearn") if name in sys.modules])
"""


def test_a_worker_imports_no_heavy_extras(tiny_file, tmp_path):
    """A worker imports neither torch's compiler, sympy nor scikit-learn: 310 MB of the 1 GB that it may take."""
    command = [sys.executable, "-c", TRAINS, str(tiny_file), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
