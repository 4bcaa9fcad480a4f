"""What the thesis claims of its results, as comparisons of rows that a table can decide."""

from dataclasses import dataclass
from typing import Literal

from sweeps.analysis.columns import KEY_COLUMNS, METHOD_COLUMNS
from sweeps.report.thesis.pairs import (
    Comparisons,
    against_baseline,
    between,
    deeper,
    fluctuation,
    gains,
    generalisation_gap,
    outputs,
    score,
    size_of,
    trend,
)

Direction = Literal["lower", "higher", "little", "slightly higher", "much lower"]


@dataclass(frozen=True)
class Claim:
    """A statement about `b` against `a` in every comparison of a table.

    Attributes:
        section: of the thesis.
        direction: what `b` is against `a`. "little": it differs by at most 10 % of `a`; "slightly higher": it is at
            most 10 % higher; "much lower": it is lower by more than 10 %.
        needs_control: it credits the condition with a change of a VQ-VAE, whose conditioned decoder also has a
            head that the baseline lacks; without a comparison with `head_only` it cannot hold.
        any_depth: it compares rows of other depths than the thesis's configurations.
    """

    section: str
    text: str
    direction: Direction
    comparisons: Comparisons
    needs_control: bool = False
    any_depth: bool = False


SOFT_ADAPT = {name for name in KEY_COLUMNS if name.startswith("soft_adapt")}
SAMPLER = {"sampler"} | {name for name in KEY_COLUMNS if name.startswith("conditioning.")}

G, VQ, MULTI, SINGLE = "gaussian_vae", "vqvae", "multi_decoder", "single_decoder"
_ERROR, _LATENT = score("unconditioned"), score("latent_loss")
_G_MULTI, _G_SINGLE = {"family": G, "method": MULTI}, {"family": G, "method": SINGLE}
_VQ_MULTI, _VQ_SINGLE = {"family": VQ, "method": MULTI}, {"family": VQ, "method": SINGLE}
_OFF, _ON = {"soft_adapt.variant": None}, {"soft_adapt.variant": "loss_weighted"}
_EXACT, _UNIFORM, _GAUSSIAN = {"sampler": "exact"}, {"sampler": "uniform"}, {"sampler": "gaussian"}
_REPEATS = {"conditioning.replacement": (None, True)}, {"conditioning.replacement": False}
_HALF_KL = {"family": G, "method": "none", "loss.latent_weight": 0.5}

CLAIMS = (
    Claim("1.2, 5.1", "Gaussian: the multi decoder narrows the gap between test fold and training set", "lower",
          against_baseline(G, [MULTI], generalisation_gap)),
    Claim("1.2, 5.1", "VQ: the multi decoder narrows the gap between test fold and training set", "lower",
          against_baseline(VQ, [MULTI], generalisation_gap), needs_control=True),
    Claim("3.4.2, 5.3", "Gaussian: deeper networks use fewer latent units (posterior collapse)", "lower",
          deeper(G, score("active_units")), any_depth=True),
    Claim("4.1.1", "Gaussian: the multi decoder lowers the unconditioned reconstruction", "lower",
          against_baseline(G, [MULTI], _ERROR)),
    Claim("4.1.1", "Gaussian: so it does against a plain VAE whose KL weighs half, as its own does", "lower",
          between(_HALF_KL, _G_MULTI | _OFF, METHOD_COLUMNS | {"loss.latent_weight"}, _ERROR)),
    Claim("4.1.1", "Gaussian: the multi decoder raises the KL", "higher", against_baseline(G, [MULTI], _LATENT)),
    Claim("4.1.1", "Gaussian: the multi decoder's rise of the KL is slight", "slightly higher",
          against_baseline(G, [MULTI], _LATENT)),
    Claim("4.1.1", "Gaussian: the multi decoder's conditioned output beats its unconditioned one", "lower",
          outputs(G, MULTI)),
    Claim("4.1.1", "Gaussian: exact and uniform sampling differ little in reconstruction", "little",
          between(_G_MULTI | _EXACT, _G_MULTI | _UNIFORM, SAMPLER, _ERROR)),
    Claim("4.1.2", "VQ: the multi decoder lowers the unconditioned reconstruction", "lower",
          against_baseline(VQ, [MULTI], _ERROR), needs_control=True),
    Claim("4.1.2", "VQ: the multi decoder lowers the VQ loss", "lower",
          against_baseline(VQ, [MULTI], _LATENT), needs_control=True),
    Claim("4.1.2", "VQ: the multi decoder's conditioned output beats its unconditioned one", "lower",
          outputs(VQ, MULTI)),
    Claim("4.1.2", "Multi decoder: the condition's share of improvement is smaller in VQ than in Gaussian VAEs",
          "lower", gains),
    Claim("4.1.2", "VQ: SoftAdapt changes the multi decoder's reconstruction little", "little",
          between(_VQ_MULTI | _OFF, _VQ_MULTI | _ON, SOFT_ADAPT, _ERROR)),
    Claim("4.1.2", "VQ: with SoftAdapt the multi decoder's validation loss fluctuates less within a training", "lower",
          between(_VQ_MULTI | _OFF, _VQ_MULTI | _ON, SOFT_ADAPT, fluctuation)),
    Claim("4.1.2", "VQ: the multi decoder reconstructs better with uniform than with exact sampling", "lower",
          between(_VQ_MULTI | _EXACT, _VQ_MULTI | _UNIFORM, SAMPLER, _ERROR)),
    Claim("5.1.2", "VQ: so it does where both reveal the same number of pixels, so that only their places differ",
          "lower", between(_VQ_MULTI | _EXACT, _VQ_MULTI | _UNIFORM, SAMPLER, _ERROR, same_pixels=True)),
    Claim("4.2.1", "Gaussian: the single decoder lowers the KL", "lower", against_baseline(G, [SINGLE], _LATENT)),
    Claim("4.2.1", "Gaussian: the single decoder lowers the KL substantially", "much lower",
          against_baseline(G, [SINGLE], _LATENT)),
    Claim("4.2.1", "Gaussian: the single decoder raises the unconditioned reconstruction", "higher",
          against_baseline(G, [SINGLE], _ERROR)),
    Claim("4.2.1", "Gaussian: the single decoder's rise of the unconditioned reconstruction is slight",
          "slightly higher", against_baseline(G, [SINGLE], _ERROR)),
    Claim("4.2.1", "Gaussian: the single decoder's KL is lower with uniform than with gaussian sampling", "lower",
          between(_G_SINGLE | _GAUSSIAN, _G_SINGLE | _UNIFORM, SAMPLER, _LATENT)),
    Claim("4.2.1", "Gaussian: the unconditioned reconstruction falls with the exponent", "lower", trend(G, _ERROR)),
    Claim("4.2.1", "Gaussian: the KL rises with the exponent", "higher", trend(G, _LATENT)),
    Claim("4.2.2", "VQ: with a high enough exponent the single decoder lowers the VQ loss", "lower",
          against_baseline(VQ, [SINGLE], _LATENT, some_exponent=True), needs_control=True),
    Claim("4.2.2", "VQ: with a high enough exponent the single decoder lowers the VQ loss substantially", "much lower",
          against_baseline(VQ, [SINGLE], _LATENT, some_exponent=True), needs_control=True),
    Claim("4.2.2", "VQ: with a high enough exponent the single decoder improves the unconditioned reconstruction",
          "lower", against_baseline(VQ, [SINGLE], _ERROR, some_exponent=True), needs_control=True),
    Claim("4.2.2", "VQ: the single decoder's unconditioned reconstruction falls with the exponent", "lower",
          trend(VQ, _ERROR)),
    Claim("4.2.2, 5.2.2", "VQ: the single decoder reconstructs better with gaussian than with uniform sampling",
          "lower", between(_VQ_SINGLE | _UNIFORM, _VQ_SINGLE | _GAUSSIAN, SAMPLER, _ERROR)),
    Claim("3.3", "Gaussian: the single decoder's conditioned output beats its unconditioned one", "lower",
          outputs(G, SINGLE)),
    Claim("3.3", "VQ: the single decoder's conditioned output beats its unconditioned one", "lower",
          outputs(VQ, SINGLE)),
    Claim("5.1", "The multi decoder's second decoder costs parameters: it has more than the baseline", "higher",
          between({"method": "none"} | _OFF, {"method": MULTI}, METHOD_COLUMNS, size_of("parameters"))),
    Claim("5.2", "The single decoder has fewer parameters than the multi decoder", "lower",
          between({"method": MULTI} | _OFF, {"method": SINGLE}, METHOD_COLUMNS, size_of("parameters"))),
    Claim("5.2", "The single decoder needs fewer operations than the multi decoder", "lower",
          between({"method": MULTI} | _OFF, {"method": SINGLE}, METHOD_COLUMNS, size_of("flops"))),
    Claim("5.3", "The single decoder has hardly more parameters than the baseline", "slightly higher",
          between({"method": "none"} | _OFF, {"method": SINGLE}, METHOD_COLUMNS, size_of("parameters"))),
    Claim("5.3", "The single decoder needs hardly more operations than the baseline", "slightly higher",
          between({"method": "none"} | _OFF, {"method": SINGLE}, METHOD_COLUMNS, size_of("flops"))),
    Claim("5.2.1", "Gaussian: the single decoder reconstructs better with uniform than with gaussian sampling", "lower",
          between(_G_SINGLE | _GAUSSIAN, _G_SINGLE | _UNIFORM, SAMPLER, _ERROR)),
    Claim("5.2.1", "Gaussian: gaussian sampling reconstructs better where no pixel is drawn twice", "lower",
          between(_G_SINGLE | _GAUSSIAN | _REPEATS[0], _G_SINGLE | _GAUSSIAN | _REPEATS[1], SAMPLER, _ERROR)),
    Claim("5.3", "VQ: both methods improve the unconditioned reconstruction", "lower",
          against_baseline(VQ, [MULTI, SINGLE], _ERROR), needs_control=True),
    Claim("5.3", "VQ: the single decoder's VQ loss is lower than the multi decoder's", "lower",
          between(_VQ_MULTI | _OFF, _VQ_SINGLE, METHOD_COLUMNS, _LATENT)),
    Claim("5.3", "VQ: the multi decoder reconstructs better than the single decoder", "lower",
          between(_VQ_SINGLE, _VQ_MULTI | _OFF, METHOD_COLUMNS, _ERROR)),
)  # fmt: skip
"""In the order of the text. "Reconstruction" without more is the unconditioned one, as the text means it. Sections
5.2.1 and 5.2.2 explain the samplers' difference in opposite ways; both stand, each beside its rows."""
