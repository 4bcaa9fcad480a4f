"""The stages of a configuration: what its units do, and which stage builds on which."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mtvae.config import Metric, Registry
from mtvae.config.generation import STAGE as SAMPLES
from mtvae.config.prior import STAGE as PRIOR
from mtvae.cost import Cost, prior_cost, training_bytes
from sweeps.config.settings import Settings
from sweeps.data.datasets import declared, image_count

TRAINING = "training"
"""The stage that every configuration has and that all other stages build on."""

STEP_PASSES = 3  # a training step is about three forward passes: one forward and two back


@dataclass(frozen=True)
class Stage:
    """One stage of a configuration.

    Attributes:
        run: `module:function` that carries the stage out (`sweeps.stages.base.Run`); the worker imports it.
        wanted: whether a configuration has the stage.
        reads: the groups of settings, and single settings, on which its key depends besides its parents' keys. The
            training stage's key depends on all settings.
        requires: the stages whose units of the same fold must be done first.
        metrics: what the stage measures, one column for each.
        epochs: passes over the training set; 0 for a stage that does not train.
        flops: floating-point operations for one image and epoch.
        batch_size: images in a training step.
        parameters: trainable parameters of the module that it keeps.
        memory: bytes that its training holds at its peak, without the images and the process itself.
    """

    name: str
    run: str
    wanted: Callable[[Settings], bool]
    reads: Sequence[str] = ()
    requires: tuple[str, ...] = (TRAINING,)
    metrics: tuple[Metric, ...] = ()
    epochs: Callable[[Settings], int] = field(default=lambda settings: 0)
    flops: Callable[[Settings], int] = field(default=lambda settings: 0)
    batch_size: Callable[[Settings], int] = field(default=lambda settings: settings.training.batch_size)
    parameters: Callable[[Settings], int] = field(default=lambda settings: 0)
    memory: Callable[[Settings], int] = field(default=lambda settings: 0)

    @property
    def parents(self) -> tuple[str, ...]:
        """The stages of the units that a unit of this stage requires: the training first; none for the training."""
        return () if self.name == TRAINING else tuple(dict.fromkeys([TRAINING, *self.requires]))


STAGES = Registry(Stage)
"""All stages; each comes after the stages that it requires."""


def _training_flops(settings: Settings) -> int:
    """Return the operations of an epoch's training steps for one image; their mean if a decoder ends at a switch."""
    epochs, switch = settings.training.epochs, settings.schedule.switch_epoch
    first = epochs if switch is None else switch
    return STEP_PASSES * (first * settings.cost.flops + (epochs - first) * settings.final_cost.flops) // epochs


def _in_a_batch(settings: Settings, batch_size: int) -> int:
    """Return how many images a step has at most: the images may be fewer than a batch."""
    return min(batch_size, image_count(settings.data))


STAGES.register(
    Stage(
        TRAINING,
        run="sweeps.stages.training:run",
        wanted=lambda settings: True,
        requires=(),
        epochs=lambda settings: settings.training.epochs,
        flops=_training_flops,
        parameters=lambda settings: settings.final_cost.parameters,
        memory=lambda settings: training_bytes(settings.cost, _in_a_batch(settings, settings.training.batch_size)),
    )
)


def _prior_cost(settings: Settings) -> Cost:
    """Return the cost of a configuration's prior, with the classes that condition it."""
    description = declared(settings.data) if settings.prior.labels else None
    return prior_cost(settings.architecture, settings.prior, 0 if description is None else description.classes)


def _prior_batch_size(settings: Settings) -> int:
    """Return how many images a PixelCNN's training step has; other priors have no steps."""
    return settings.prior.batch_size or settings.training.batch_size


STAGES.register(
    Stage(
        PRIOR,
        run="sweeps.stages.prior:run",
        wanted=lambda settings: settings.prior.kind is not None,
        reads=("prior",),
        metrics=(
            Metric("bits_per_code", "bits", "bits per code of the test fold", digits=3, direction="lower", term="code"),
            Metric(
                "bits_per_image",
                "bits: -log2 p(codes), or KL(q(z|x) || p(z)) by one draw of z per image",
                "bits of an image's latent space",
                digits=1,
                direction="lower",
                tabulated=True,
            ),
            Metric(
                "bound",
                "nats per image: log p(x|z) at decoder_variance, less the bits",
                "lower bound of log p(x) (eq. 2.4), nats per image",
                digits=1,
                direction="higher",
            ),
            Metric("decoder_variance", "squared error per pixel on the validation set", digits=6),
            Metric(
                "model_difference",
                "largest difference of a score of the model to its record, where it was not kept and trained again",
                digits=6,
            ),
        ),
        epochs=lambda settings: settings.prior.epochs or 0,
        flops=lambda settings: STEP_PASSES * _prior_cost(settings).flops,
        parameters=lambda settings: _prior_cost(settings).parameters,
        batch_size=_prior_batch_size,
        memory=lambda settings: training_bytes(
            _prior_cost(settings), _in_a_batch(settings, _prior_batch_size(settings))
        ),
    )
)

STAGES.register(
    Stage(
        SAMPLES,
        run="sweeps.stages.samples:run",
        wanted=lambda settings: settings.prior.kind is not None,
        reads=("generation",),
        requires=(PRIOR,),
        metrics=(
            Metric(
                "sample_perplexity", "codes in effective use in samples, 1 to K", "code perplexity of samples", digits=1
            ),
            Metric(
                "sample_distance",
                "root mean squared difference of pixels",
                "distance of a sample to its nearest training image",
                digits=4,
            ),
            Metric(
                "test_distance",
                "root mean squared difference of pixels",
                "the same distance of a test image",
                digits=4,
            ),
        ),
    )
)


def stages_of(settings: Settings) -> list[Stage]:
    """Return the stages that a configuration has."""
    return [stage for stage in STAGES if stage.wanted(settings)]
