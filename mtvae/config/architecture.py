"""All that shapes one model: family x method, the images' shape, and every size."""

from mtvae.config.families import FAMILIES, FamilyName
from mtvae.config.methods import METHODS, MethodName
from mtvae.config.section import Count, Section
from mtvae.config.sizes import Sizes


class Architecture(Section):
    """The shape of one model. `sizes` are those of its family."""

    family: FamilyName
    method: MethodName
    channels: Count
    side: Count
    sizes: Section

    @property
    def condition(self) -> int:
        """Numbers in a condition of one image: the masked image's and the mask's."""
        return (self.channels + 1) * self.side**2


def resolve_sizes(family: str, configuration: int, overrides: Sizes) -> Section:
    """The sizes of a numbered configuration with the given ones put in their place.

    Raises:
        KeyError: `family` has no such configuration.
        pydantic.ValidationError: an override names a size that `family` does not have.
    """
    base = FAMILIES[family].configurations[configuration]
    return type(base)(**base.model_dump() | overrides.model_dump(exclude_none=True))


def terms(family: str, method: str) -> tuple[str, ...]:
    """The names of the training loss's terms: one per output that the method trains, then those of the latent space."""
    return METHODS[method].terms + FAMILIES[family].terms
