"""Metrics. Schema, history, tables, digits, notes and figures derive from these declarations."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Scale = Literal["per_image", "per_pixel"]
Direction = Literal["lower", "higher"]

SCALES: dict[Scale, str] = {
    "per_pixel": "squared error, mean over pixels, channels and images",
    "per_image": "squared error, sum over pixels and channels, mean over images",
}
"""The scales of a reconstruction error, and their definitions."""

SCALE_DIGITS: dict[Scale, int] = {"per_image": 4, "per_pixel": 6}
"""Decimals of a reconstruction error. Sums over an image are of order 10, means over pixels of order 0.001."""

ERROR_AXIS: dict[Scale, str] = {"per_image": "squared error per image", "per_pixel": "squared error per pixel"}


@dataclass(frozen=True)
class Metric:
    """One number of a scored model.

    Attributes:
        name: the name of its column; a scaled metric has a column `<name>_<scale>` for each of `SCALES`.
        unit: the unit of measure, for the schema.
        caption: its description in the note below a table; empty for no note.
        digits: decimals in a table.
        direction: which values are better; None if neither.
        scaled: whether it is a reconstruction error, which is recorded per image and per pixel.
        term: the training loss's term that it scores; None if the loss has no such term.
        tabulated: whether tables have a column for it, if a row has the metric.
        axis: the label of a figure's axis; empty for the caption.
        validated: whether each epoch measures it on the validation set although it is no term.
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
    validated: bool = False

    @property
    def in_history(self) -> str | None:
        """Its name behind `selection_` in the history's columns; None if no epoch measures it on the validation set."""
        return self.term or (self.name if self.validated else None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the ledger that hold it."""
        return tuple(f"{self.name}_{scale}" for scale in SCALES) if self.scaled else (self.name,)

    def describe(self) -> dict[str, Any]:
        """Return a description for the ledger; `Metric(**description)` reads it."""
        return asdict(self)


UNCONDITIONED = Metric("unconditioned", direction="lower", scaled=True, term="unconditioned", tabulated=True)
CONDITIONED = Metric("conditioned", direction="lower", scaled=True, term="conditioned", tabulated=True)
TRAINING_UNCONDITIONED = Metric("training_unconditioned", direction="lower", scaled=True)
"""The best checkpoint's error on as many images of the training set as the test fold has."""

OF_OUTPUTS = (UNCONDITIONED, CONDITIONED, TRAINING_UNCONDITIONED)
"""The errors of a model's outputs. They belong to methods, whatever the family."""

CONDITION_PIXELS = Metric("condition_pixels", "pixels revealed per image, counted in the masks of the test fold")
