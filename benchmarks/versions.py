"""A training step and the memory of a process, against an older checkout of this project.

git worktree add --detach ../old 8fed788
python benchmarks/versions.py ../old --root DIR [--pairs 20] [--raw versions.json] > versions.md

DIR holds MNIST/raw. Each step time is the median of a process of its own, on batches of 128 made-up images of MNIST's
shape; the versions take turns. Both have the environment that workers and `--inline` commands start with. Memory is
what no other process shares (USS), at its highest in a real sweep of two units on 2,560 images.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import torch
import typer

HERE = Path(__file__).parents[1]
MODELS = "vqvae 1 none,vqvae 1 single_decoder,gaussian_vae 1 single_decoder"
WARM, STEPS, SECONDS, BATCH = 5, 15, 3.0, 128  # steps that are timed: so many, and for so many seconds
BARS = {"worker": 0.97, "inline": 0.92}  # a step is the same in both
MORE_MB = {"worker": 90, "inline": 200}
GRID = """
name: memory
data: {{dataset: mnist, root: {root}, limit: 2560}}
folds: {{n_splits: 2}}
training: {{epochs: 1}}
grid: [{{family: {family}, configuration: {configuration}, method: {method}}}]
"""
Values = dict[str, list[float]]


class _Enough(Exception):
    """The steps are done."""


def step(model: str) -> float:
    """Seconds of a training step of the version that Python finds, the median in this process."""
    from mtvae.conditioning import ConditionSampler
    from mtvae.model import build
    from mtvae.training import Fit, TrainingSet
    from sweeps.config.rules import resolve
    from sweeps.data import seeds

    with suppress(ImportError):  # until 8fed788 a process that trains set its malloc itself
        from mtvae.runtime.allocator import keep_freed_memory  # type: ignore[import-not-found]

        keep_freed_memory()
    torch.set_num_threads(1)
    family, configuration, method = model.split()
    given = {"family": family, "configuration": int(configuration), "method": method, "data.dataset": "mnist"}
    s = resolve(given, frozenset())
    images = torch.randint(0, 256, (400 * BATCH, 1, 28, 28), dtype=torch.uint8)
    data = TrainingSet(images, *torch.arange(len(images)).split([len(images) - BATCH, BATCH]))
    network = build(s.architecture, torch.Generator().manual_seed(0))
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, 28)
    fit = Fit(network, data, s.loss, s.training, sampler, seeds.of_fold(0, 0))
    ends = [time.perf_counter()]

    def after_step() -> None:
        ends.append(time.perf_counter())
        if len(ends) > WARM + STEPS and ends[-1] - ends[WARM] > SECONDS:
            raise _Enough

    with suppress(_Enough):
        fit.epoch(after_step)
    return median(after - before for before, after in zip(ends[WARM:], ends[WARM + 1 :], strict=False))


def python(version: Path, arguments: Sequence[str], settings: dict[str, str]) -> "subprocess.Popen[str]":
    """Start this Python on a version's code; of malloc's environment it has these settings alone."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    env |= {"PYTHONPATH": str(version)} | settings
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *arguments], cwd=version, env=env, **pipes)


def output_of(process: "subprocess.Popen[str]") -> str:
    out, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r}: {error[-2000:]}")
    return out


def turns(old: Path, model: str, pairs: int) -> Values:
    """Return the milliseconds of a step in each turn: of the old version, and of ours."""
    from sweeps.backends.malloc import MALLOC

    kinds: dict[str, tuple[Path, dict[str, str]]] = {"old": (old, {}), "new": (HERE, MALLOC)}
    found: Values = {name: [] for name in kinds}
    for i in range(pairs):
        for name in kinds if i % 2 == 0 else reversed(kinds):
            version, settings = kinds[name]
            found[name].append(1e3 * float(output_of(python(version, [__file__, "step", model], settings))))
        print(model, {name: round(values[-1], 1) for name, values in found.items()}, file=sys.stderr, flush=True)
    return found


def private(pid: int) -> int:
    """Bytes of a process that no other has; 0 where it is gone."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return 0


def family_of(pid: int) -> Iterator[int]:
    """Return a process and all that it started."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family_of(int(child))


def memory(version: Path, model: str, root: str, inline: bool) -> float:
    """Megabytes that a sweep's worker, or its only process, holds for itself at its peak."""
    family, configuration, method = model.split()
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder) / "memory.yaml"
        grid.write_text(GRID.format(root=root, family=family, configuration=configuration, method=method))
        where = ["--inline"] if inline else ["--workers", "1"]
        process = python(version, ["-m", "sweeps.run", str(grid), "--results", folder, *where], {})
        peak = 0
        while process.poll() is None:
            for pid in [process.pid] if inline else family_of(process.pid):
                with suppress(OSError):
                    if inline or Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::"):
                        peak = max(peak, private(pid))
            time.sleep(0.2)
        output_of(process)
    return peak / 1e6


def lines(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = [head, ["---"] * len(head), *rows]
    return f"\n## {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table)


def of_steps(found: dict[str, Values]) -> str:
    """Make the table of step times: medians, and old / new of the same turn."""
    rows = []
    for model, values in found.items():
        ratios = [old / new for old, new in zip(values["old"], values["new"], strict=True)]
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        row = [model, f"{median(values['old']):.1f}", f"{median(values['new']):.1f}"]
        row += [f"{median(ratios):.3f}", f"{low:.3f} to {high:.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"]
        rows.append([*row, *("met" if median(ratios) >= bar else "missed" for bar in BARS.values())])
    bars = [f"{kind}, {bar:g}" for kind, bar in BARS.items()]
    head = ["", "old, ms", "new, ms", "old / new, median", "quartiles", "range", *bars]
    return lines("A training step", head, rows)


def of_memory(found: dict[str, dict[str, Values]]) -> str:
    """Make the table of private memory."""
    rows = []
    for model, kinds in found.items():
        for kind, values in kinds.items():
            old, new = median(values["old"]), median(values["new"])
            of_all = [f"{min(v):.0f} to {max(v):.0f}" for v in (values["old"], values["new"])]
            row = [f"{model}, {kind}", f"{old:.0f} ({of_all[0]})", f"{new:.0f} ({of_all[1]})", f"{new - old:+.0f}"]
            rows.append([*row, f"+{MORE_MB[kind]}", "met" if new - old <= MORE_MB[kind] else "missed"])
    return lines("Private memory at its peak", ["", "old, MB", "new, MB", "more, MB", "bar", ""], rows)


def main(
    old: Path,
    root: Annotated[str, typer.Option(help="the folder that holds MNIST/raw")],
    models: Annotated[str, typer.Option(help="family configuration method, with commas")] = MODELS,
    pairs: Annotated[int, typer.Option(min=1, help="turns of the step")] = 20,
    sweeps: Annotated[int, typer.Option(min=0, help="of each kind, for the memory; 0 measures none")] = 3,
    raw: Annotated[Path | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Print a page of Markdown."""
    from trainings import conditions

    how, old, root = conditions("cpu"), old.resolve(), str(Path(root).resolve())
    commit = output_of(subprocess.Popen(["git", "-C", str(old), "rev-parse", "--short", "HEAD"], stdout=-1, text=True))
    held: dict[str, dict[str, Values]] = {}
    for model in models.split(","):
        held[model] = {kind: {"old": [], "new": []} for kind in BARS}
        for _ in range(sweeps):
            for kind, values in held[model].items():
                for name, version in (("old", old), ("new", HERE)):
                    values[name].append(memory(version, model, root, kind == "inline"))
            print(model, held[model], file=sys.stderr, flush=True)
    timed = {model: turns(old, model, pairs) for model in models.split(",")}
    if raw is not None:
        raw.write_text(json.dumps({"how": how, "old": commit.strip(), "steps": timed, "memory": held}, indent=1) + "\n")
    print(
        f"# This version beside {commit.strip()}\n\n{how} {pairs} turns of a step, {sweeps} sweeps each for the memory."
    )
    print(of_steps(timed))
    if sweeps:
        print(of_memory(held))


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        print(step(sys.argv[2]))
    else:
        typer.run(main)
