"""Print, as Markdown, whether the thesis's directions hold on real MNIST. The ledger is that of `directions.yaml`.

python benchmarks/directions.py [RESULTS] > benchmarks/directions.md
"""

import sys
from collections import defaultdict

from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.schema import Row

CLAIMS = (  # family, method, metric, sign of its difference to the baseline, the thesis's words and section
    (
        "gaussian_vae",
        "multi_decoder",
        "unconditioned_per_image",
        -1,
        "multi decoder lowers unconditioned reconstruction (5.1.1)",
    ),
    ("gaussian_vae", "multi_decoder", "latent_loss", +1, "multi decoder raises the KL (5.1.1)"),
    (
        "gaussian_vae",
        "single_decoder",
        "unconditioned_per_image",
        +1,
        "single decoder raises unconditioned reconstruction (5.2.1)",
    ),
    ("gaussian_vae", "single_decoder", "latent_loss", -1, "single decoder lowers the KL (5.2.1)"),
    ("vqvae", "single_decoder", "latent_loss", -1, "single decoder lowers the VQ loss (5.2.2)"),
)


Cell = tuple[str, str, int, int]  # family, method, epochs, seed


def differences(cells: dict[Cell, list[Row]], cell: Cell, metric: str) -> list[float]:
    """Return, for each fold, the method minus the baseline of the same family, epochs and seed."""
    family, _, epochs, seed = cell
    baseline = cells[family, "none", epochs, seed]
    return [ours[metric] - theirs[metric] for ours, theirs in zip(cells[cell], baseline, strict=True)]


def claim_line(cells: dict[Cell, list[Row]], family: str, method: str, metric: str, sign: int, words: str) -> str:
    """Return a claim's line: the differences of every seed, how many folds agree with the thesis, and the verdict."""
    texts, agreements = [], []
    for cell in sorted(cell for cell in cells if cell[:2] == (family, method)):
        found = differences(cells, cell, metric)
        agreements += [difference * sign > 0 for difference in found]
        agree = sum(agreements[-len(found) :])
        texts.append(f"{sum(found) / len(found):+.4g} ({agree}/{len(found)})")
    verdict = "holds" if all(agreements) else "not stable" if any(agreements) else "does not hold"
    return f"| {family}: {words} | " + " | ".join(texts) + f" | {verdict} |"


def mean_line(cell: Cell, units: list[Row]) -> str:
    """Return a line of the means over one configuration's folds."""
    family, method, epochs, seed = cell
    scale = "per_pixel" if family == "vqvae" else "per_image"
    means = []
    for metric in (f"unconditioned_{scale}", f"conditioned_{scale}", "latent_loss"):
        values = [row[metric] for row in units if row[metric] is not None]
        means.append(f"{sum(values) / len(values):.4g}" if values else "-")
    collapsed = sum(row["collapsed"] for row in units)
    return f"| {family} | {method} | {epochs} | {seed} | " + " | ".join(means) + f" | {collapsed} |"


def main(results: str = "results") -> None:
    ledger = open_ledger(results, "directions")
    rows, damaged = ledger.read()
    assert not damaged, damaged
    rows = [row for row in rows if row["key"] in (ledger.keys() or ())]  # rows of the latest grid
    cells: dict[Cell, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["fold"]):
        cells[row["family"], row["method"], row["training.epochs"], row["seed"]].append(row)
    seeds = sorted({seed for *_, seed in cells})
    one = rows[0]
    commits = ", ".join(sorted({str(row["git_commit"])[:7] + "*" * bool(row["git_dirty"]) for row in rows}))
    print("# The thesis's directions on real MNIST\n")
    print(
        f"`benchmarks/directions.yaml`: the first {one['data.limit']:,} images, {one['folds.n_splits']} folds, "
        f"{len(seeds)} seeds, configuration 1, sampler uniform, exponent 40; {len(rows)} units. A cell holds the mean "
        "over the folds of (method minus the baseline of as many epochs), and in brackets how many folds agree with "
        f"the thesis. `benchmarks/directions.py` prints this page, here from units of commit {commits} (*: with local "
        "changes), on CPU.\n"
    )
    print("| claim | " + " | ".join(f"seed {seed}" for seed in seeds) + " | verdict |")
    print("|---|" + "---|" * (len(seeds) + 1))
    for claim in CLAIMS:
        print(claim_line(cells, *claim))
    print("\nThe means over the folds behind it:\n")
    print("| family | method | epochs | seed | unconditioned | conditioned | latent loss | collapsed |")
    print("|---|---|---|---|---|---|---|---|")
    for cell, units in sorted(cells.items()):
        print(mean_line(cell, units))


if __name__ == "__main__":
    main(*sys.argv[1:])
