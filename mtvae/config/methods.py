"""How a model decodes (3.1 to 3.3): which decoders it has, and which of their outputs are trained and judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from mtvae.config.metrics import CONDITIONED, UNCONDITIONED, Metric
from mtvae.config.registry import Choice, Registry

SamplerName = Literal["exact", "uniform", "gaussian"]


@dataclass(frozen=True)
class Method:
    """A way to decode one z.

    Attributes:
        plain: it has a decoder that never sees a pixel.
        samplers: the samplers that its conditioned decoder takes, the default first; empty: it has none.
        power_law: the sampler draws the number of pixels, down to none, by `exponent`; else the count is fixed.
        head: its plain decoder has the head of a conditioned one, without the columns of the condition: the control of
            what a condition changes (families with a `conditioned_head`).
        judged_by: the output whose error decides whether a fold collapsed.
        footnote: of the unconditioned output in a table; empty: none.
    """

    name: str
    plain: bool
    samplers: tuple[SamplerName, ...] = ()
    power_law: bool = False
    head: bool = False
    judged_by: Metric = UNCONDITIONED
    footnote: str = ""

    def describe(self) -> dict[str, Any]:
        """What a report must know of it: a description for the ledger, which `Method.described` reads."""
        return {
            "name": self.name,
            "plain": self.plain,
            "samplers": list(self.samplers),
            "power_law": self.power_law,
            "footnote": self.footnote,
        }

    @classmethod
    def described(cls, name: str, samplers: Sequence[SamplerName] = ("uniform",), **more: Any) -> "Method":
        """A method as far as a report needs it; one that nothing describes is no baseline."""
        return cls(name, **({"plain": False} | more), samplers=tuple(samplers))

    @cached_property
    def conditioned(self) -> bool:
        """Whether some decoder takes a condition."""
        return bool(self.samplers)

    @cached_property
    def fixed_count(self) -> bool:
        """Whether a conditioned decoder sees the same number of pixels of every image."""
        return self.conditioned and not self.power_law

    @cached_property
    def both(self) -> bool:
        """Whether two decoders are trained on one z."""
        return self.plain and self.conditioned

    @property
    def baseline(self) -> bool:
        """Whether the other methods are compared with it: nothing is conditioned, and its network is the plain one."""
        return not self.conditioned and not self.head

    @cached_property
    def outputs(self) -> tuple[Metric, ...]:
        """The outputs that are trained, in the order of the loss (3.2.2)."""
        return (UNCONDITIONED,) * self.plain + (CONDITIONED,) * self.conditioned

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The names of the training loss's reconstruction terms, one per output."""
        return tuple(metric.term for metric in self.outputs if metric.term)


METHODS = Registry(Method)
"""In the order of the thesis's table."""

METHODS.register(Method("none", plain=True))
METHODS.register(Method("head_only", plain=True, head=True))
METHODS.register(
    Method(
        "conditioned",
        plain=False,
        samplers=("uniform", "exact"),
        judged_by=CONDITIONED,  # what it makes of the zero condition was never trained
        footnote="the zero condition, on which method conditioned was never trained",
    )
)
METHODS.register(Method("multi_decoder", plain=True, samplers=("uniform", "exact")))
METHODS.register(Method("single_decoder", plain=False, samplers=("uniform", "gaussian"), power_law=True))

MethodName = Annotated[str, Choice(METHODS)]
