"""Pictures of what a conditioned decoder sees: original, mask and masked image, for every sampler (thesis, fig. 3.6).

    python benchmarks/condition_pictures.py OUT.png [KEY.PATH=VALUE ...]        e.g. data.dataset=mnist data.root=DIR

Three lines of eight images each for: exact; uniform; uniform, power law 20; gaussian, power law 20. Drawn with the same
code and seeds as a training would draw them.
"""

import sys

import torch
from torchvision.utils import make_grid, save_image

from mtvae.conditioning import ConditionSampler
from mtvae.config import Conditioning
from mtvae.evaluation import to_pixels
from sweeps import grid, seeds, yamlfile
from sweeps.data import load, shape

KINDS = (
    Conditioning(sampler="exact"),
    Conditioning(sampler="uniform"),
    Conditioning(sampler="uniform", exponent=20.0),
    Conditioning(sampler="gaussian", exponent=20.0),
)
IMAGES, ENLARGED = 8, 3


def main(out: str, *overrides: str) -> None:
    settings = grid.read(yamlfile.parse("name: pictures\ngrid: [{}]"), "pictures", overrides).rows[0]
    x = to_pixels(torch.tensor(load(settings.source)[: 40 * IMAGES : 40]))
    channels, side = shape(settings.data)
    lines = []
    for kind in KINDS:
        sampler = ConditionSampler(kind, side)
        generator = torch.Generator().manual_seed(seeds.of_fold(settings.seed, 0)["sampler"])
        condition = sampler(x, generator)
        mask = condition[:, -1:].expand(-1, channels, -1, -1)
        lines += [x, mask, condition[:, :-1]]
        print(f"{sampler.describe()}: {condition[:, -1].sum((1, 2)).int().tolist()} pixels")
    enlarged = torch.cat(lines).repeat_interleave(ENLARGED, 2).repeat_interleave(ENLARGED, 3)
    save_image(make_grid(enlarged, nrow=IMAGES, padding=2, pad_value=0.5), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
