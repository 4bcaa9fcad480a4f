"""Stand in for a CUDA graph on the CPU: keep a step's operations and the tensors that they ran on, and no Python code.

Like a graph, a replay reads and writes the memory of its recording and draws the next numbers of the same generators.
It does not see branches or numbers that Python chooses after the recording.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAIT = {"_local_scalar_dense", "nonzero", "bincount", "is_nonzero", "masked_select", "unique_dim", "_unique2", "equal"}
"""Operations that give the host a number or a size. On a GPU the host must wait for each of them."""


class Waited(AssertionError):
    """Raised when a step asks for a number."""


def name_of(operation: Any) -> str:
    return str(operation.overloadpacket.__name__)


class Tape(TorchDispatchMode):
    """Records the operations that run inside its context."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if name_of(operation) in WAIT:
            raise Waited(name_of(operation))
        out = operation(*args, **(kwargs or {}))
        self.operations.append((operation, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        with torch.no_grad():
            for operation, args, kwargs, out in self.operations:
                for new, old in zip(tree_leaves(operation(*args, **kwargs)), tree_leaves(out), strict=True):
                    if isinstance(new, torch.Tensor) and new.data_ptr() != old.data_ptr():  # no view, not in place
                        old.copy_(new)


def tape(step: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
    """Run and record a step as `mtvae.runtime.cuda_graph.cuda_graph` does, on the CPU. Return its replay."""
    recorded = Tape()
    with recorded:
        step()
    drawn = {kwargs["generator"]._cdata for _, _, kwargs, _ in recorded.operations if kwargs.get("generator")}
    assert drawn <= {generator._cdata for generator in generators}, "the step draws from a generator it does not name"
    return recorded.replay
