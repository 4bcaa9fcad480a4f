"""What is measured. Schema, history, tables, digits, notes and figures derive from these declarations."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Scale = Literal["per_image", "per_pixel"]
Direction = Literal["lower", "higher"]

SCALES: dict[Scale, str] = {
    "per_pixel": "squared error, mean over pixels, channels and images",
    "per_image": "squared error, sum over pixels and channels, mean over images",
}
"""The scales of a reconstruction error, and what each is."""

SCALE_DIGITS: dict[Scale, int] = {"per_image": 4, "per_pixel": 6}
"""Decimals of a reconstruction error: sums over an image are of order 10, means over pixels of order 0.001."""

ERROR_AXIS: dict[Scale, str] = {"per_image": "squared error per image", "per_pixel": "squared error per pixel"}


@dataclass(frozen=True)
class Metric:
    """One number of a scored model.

    Attributes:
        name: of its column; a scaled metric has a column `<name>_<scale>` for each of `SCALES`.
        unit: what it is measured in, for the schema.
        caption: what the note below a table says of it; empty: no note.
        digits: decimals in a table.
        direction: which values are better; None: neither.
        scaled: a reconstruction error, which is kept per image and per pixel.
        term: the training term that it is the score of; None: it is not trained on.
        tabulated: it has a column in the table where a row has it.
        axis: label of a figure's axis; empty: the caption.
    """

    name: str
    unit: str = ""
    caption: str = ""
    digits: int = 4
    direction: Direction | None = None
    scaled: bool = False
    term: str | None = None
    tabulated: bool = False
    axis: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The ledger's columns that hold it."""
        return tuple(f"{self.name}_{scale}" for scale in SCALES) if self.scaled else (self.name,)

    def describe(self) -> dict[str, Any]:
        """A description for the ledger; `Metric(**description)` reads it."""
        return asdict(self)


UNCONDITIONED = Metric("unconditioned", direction="lower", scaled=True, term="unconditioned", tabulated=True)
CONDITIONED = Metric("conditioned", direction="lower", scaled=True, term="conditioned", tabulated=True)
TRAINING_UNCONDITIONED = Metric("training_unconditioned", direction="lower", scaled=True)
"""The best checkpoint's error on as many images of the training set as the test fold has."""

CONDITION_PIXELS = Metric("condition_pixels", "pixels revealed per image, counted in the masks of the tabulated fold")
