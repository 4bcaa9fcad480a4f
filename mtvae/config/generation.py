"""The settings of samples from a prior, without and with given pixels (2.3, 5.1). They change no prior."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from mtvae.config.section import Count, Section
from mtvae.config.setting import Setting, Values, constant

STAGE = "samples"
"""The stage that alone reads these settings."""


def _has_prior(values: Values) -> bool:
    return values["prior.kind"] is not None


def _of_samples(default: Any) -> Setting:
    return _setting(default=constant(default), default_text=str(default))


_setting = partial(
    Setting, stage=STAGE, applies=_has_prior, why_not="only a row with a prior has samples", where="rows with a prior"
)


class Generation(Section):
    """How many samples are drawn and held against images."""

    samples: Annotated[Count | None, _of_samples(200)] = Field(
        None, description="images that are drawn from the prior, and held against their nearest training images"
    )
    draws: Annotated[Annotated[int, Field(ge=2, le=1000)] | None, _of_samples(16)] = Field(
        None, description="draws of z for each test image whose pixels are given"
    )
    images: Annotated[Count | None, _of_samples(100)] = Field(
        None, description="test images whose pixels are given, the first of the fold; fewer if it has fewer"
    )
    counts: Annotated[
        Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None,
        _setting(default=constant((0, 9, 18, 36, 72)), default_text="[0, 9, 18, 36, 72]"),
    ] = Field(
        None,
        description="how many pixels are given, fewer than an image has; sampler exact takes those that are squares",
    )
