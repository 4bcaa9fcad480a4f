"""The options of the command line."""

import os
from dataclasses import dataclass
from typing import Literal

from sweeps.plan.patterns import ChoiceError
from sweeps.text import UNSET

MOST_PER_GPU = 100


@dataclass(frozen=True)
class Options:
    """The options of the command line, as their help in `__main__` describes them."""

    results: str = "results"
    workers: int | None = None
    inline: bool = False
    address: str | None = None
    dry_run: bool = False
    status: bool = False
    retry: bool = False
    tensorboard: str | None = None
    redo: str | None = None
    only: str | None = None
    shard: str | None = None
    wait: float = 0.0
    per_gpu: str | None = None
    accept_images: bool = False
    export_study: str | None = None
    confirm: int | None = None
    quiet: bool = False
    verbose: bool = False
    probe: bool = False

    @property
    def in_process(self) -> bool:
        """Whether units train in this process, without Ray."""
        return self.inline or self.only is not None

    @property
    def verbosity(self) -> int:
        """How much is printed, from -1 (only failures) to 1."""
        return int(self.verbose) - int(self.quiet)

    @property
    def at_a_time(self) -> int:
        """How many units train at the same time."""
        return 1 if self.in_process else self.workers or len(os.sched_getaffinity(0))

    def check(self) -> None:
        """Check the options. Raises ChoiceError if they cannot be combined, or have no value."""
        self.units_per_gpu()
        named = {"results": self.results, "tensorboard": self.tensorboard, "export-study": self.export_study}
        for name, folder in named.items():
            if folder == "":
                raise ChoiceError(f"--{name} {UNSET}")
        if self.status and (self.redo or self.only):
            raise ChoiceError("--status shows all rows and trains nothing: leave out --redo and --only")
        if self.quiet and self.verbose:
            raise ChoiceError("--quiet prints less and --verbose more: leave out one of them")
        if self.status and (self.retry or self.dry_run or self.probe):
            raise ChoiceError("--status trains nothing and is no plan: leave out --retry, --dry-run and --probe")
        if self.dry_run and self.probe:
            raise ChoiceError("--dry-run trains nothing, --probe trains a few steps: leave out one of them")
        others = self.dry_run or self.status or self.redo or self.only or self.retry or self.confirm or self.probe
        if self.export_study and others:
            raise ChoiceError("--export-study writes a file and trains nothing: leave out the other options")
        if self.only and self.shard:
            raise ChoiceError("--only is one unit, --shard a part of all: leave out one of them")
        if self.only and (self.workers or self.address):
            raise ChoiceError("--only trains in this process: leave out --workers and --address")
        if self.per_gpu and self.in_process:
            raise ChoiceError("--per-gpu shares a GPU among workers: leave out --inline and --only")

    def units_per_gpu(self) -> int | Literal["auto"] | None:
        """Return `--per-gpu` as a number or "auto". Raises ChoiceError if it is neither."""
        if self.per_gpu is None or self.per_gpu == "auto":
            return self.per_gpu  # type: ignore[return-value]
        if self.per_gpu.isascii() and self.per_gpu.isdigit() and 1 <= int(self.per_gpu) <= MOST_PER_GPU:
            return int(self.per_gpu)
        raise ChoiceError(f"--per-gpu is {self.per_gpu!r}, not a number from 1 to {MOST_PER_GPU} or auto")
