"""Do the thesis's directions hold on real MNIST? Reads the ledger of `directions.yaml`; prints Markdown.

python benchmarks/directions.py [RESULTS] > benchmarks/directions.md
"""

import sys
from collections import defaultdict

from sweeps.ledger import Row, open_ledger

CLAIMS = (  # family, method, metric, its sign against the baseline, the thesis's words and section
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


def main(results: str = "results") -> None:
    rows, damaged = open_ledger(results, "directions").read()
    assert not damaged, damaged
    cells: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["fold"]):
        cells[row["family"], row["method"], row["seed"]].append(row)
    seeds = sorted({seed for _, _, seed in cells})
    one = rows[0]
    print("# The thesis's directions on real MNIST\n")
    print(
        f"`benchmarks/directions.yaml`: the first {one['data.limit']:,} images, {one['folds.n_splits']} folds, "
        f"{len(seeds)} seeds, configuration 1, sampler uniform, exponent 40; {len(rows)} units. Cells: mean over the "
        "folds of (method minus baseline), and in brackets how many folds agree with the thesis. Made by "
        f"`benchmarks/directions.py` from a ledger of commit {str(one['git_commit'])[:7]}"
        f"{' (with local changes)' if one['git_dirty'] else ''}, on CPU.\n"
    )
    print("| claim | " + " | ".join(f"seed {seed}" for seed in seeds) + " | verdict |")
    print("|---|" + "---|" * (len(seeds) + 1))
    for family, method, metric, sign, words in CLAIMS:
        texts, agree = [], []
        for seed in seeds:
            pairs = zip(cells[family, method, seed], cells[family, "none", seed], strict=True)
            differences = [ours[metric] - baseline[metric] for ours, baseline in pairs]
            agreeing = sum(d * sign > 0 for d in differences)
            texts.append(f"{sum(differences) / len(differences):+.4g} ({agreeing}/{len(differences)})")
            agree.append(agreeing / len(differences))
        verdict = "holds" if min(agree) == 1 else "does not hold" if max(agree) == 0 else "not stable"
        print(f"| {family}: {words} | " + " | ".join(texts) + f" | {verdict} |")
    print("\nThe means over the folds behind it:\n")
    print("| family | method | epochs | seed | unconditioned | conditioned | latent loss | collapsed |")
    print("|---|---|---|---|---|---|---|---|")
    for (family, method, seed), units in sorted(cells.items()):
        unit = "per_pixel" if family == "vqvae" else "per_image"
        means = []
        for metric in (f"unconditioned_{unit}", f"conditioned_{unit}", "latent_loss"):
            values = [u[metric] for u in units if u[metric] is not None]
            means.append(f"{sum(values) / len(values):.4g}" if values else "-")
        collapsed = sum(u["collapsed"] for u in units)
        print(
            f"| {family} | {method} | {units[0]['training.epochs']} | {seed} | "
            + " | ".join(means)
            + f" | {collapsed} |"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
