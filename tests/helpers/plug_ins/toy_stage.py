"""A plugged-in stage: it measures the kept model of the training that it requires."""

from dataclasses import replace

import torch

from mtvae.config import Metric
from mtvae.evaluation import to_pixels
from sweeps.config.stages import Stage


def run(inputs, train):
    """Measure the share of z that is positive, over the test fold."""
    model = inputs.parent_model()
    x = to_pixels(torch.tensor(inputs.images[inputs.split.test]))
    with torch.no_grad():
        z = model.encode(x, None).z
    inputs.notes.append(f"{z.numel()} numbers of z")
    return {"positive_share": (z > 0).float().mean().item()}


SHARE = Metric("positive_share", "share", "share of z above zero", digits=3, tabulated=True)


STAGE = Stage(
    "probe",
    run="toy_stage:run",
    wanted=lambda settings: settings.keep_models == "all",
    reads=("evaluation",),
    metrics=(SHARE,),
)
NOTHING = replace(STAGE, wanted=lambda settings: False)
