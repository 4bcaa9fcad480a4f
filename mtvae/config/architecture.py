"""The shape of one model: its family, its method, the shape of the images, and all sizes of its networks."""

from mtvae.config.families import FAMILIES, FamilyName
from mtvae.config.methods import METHODS, MethodName
from mtvae.config.section import Count, Section
from mtvae.config.sizes import Sizes


class Architecture(Section):
    """The shape of one model. `sizes` is the sizes' section of its family; `classes` is 0 without known labels."""

    family: FamilyName
    method: MethodName
    channels: Count
    side: Count
    sizes: Section
    classes: int = 0

    @property
    def condition(self) -> int:
        """Numbers in a condition of one image: the masked image's and the mask's."""
        return (self.channels + 1) * self.side**2

    @property
    def plain(self) -> "Architecture":
        """The shape of the model that a conditioned decoder does not belong to: that of method `none`."""
        return self.model_copy(update={"method": "none"})


def resolve_sizes(family: str, configuration: int, overrides: Sizes) -> Section:
    """Return the sizes of a numbered configuration, some of them replaced by `overrides`.

    Raises:
        KeyError: `family` has no such configuration.
        pydantic.ValidationError: an override names a size that `family` does not have.
    """
    base = FAMILIES[family].configurations[configuration]
    return type(base)(**base.model_dump() | overrides.model_dump(exclude_none=True))


def terms(family: str, method: str) -> tuple[str, ...]:
    """Return the names of the loss's terms: one for each output that the method trains, then the latent space's."""
    return METHODS[method].terms * FAMILIES[family].decodes + FAMILIES[family].terms
