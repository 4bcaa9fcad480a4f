"""The base class of every group of settings, and types that several groups share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(gt=0, le=2**31)]
Weight = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Base class of every group of settings: closed, frozen, strict, and with finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
