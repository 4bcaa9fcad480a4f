"""Numbers that a configuration is compared by: the metrics that it has, and how a grid file names them."""

from mtvae.config import (
    CONDITION_PIXELS,
    CONDITIONED,
    FAMILIES,
    METHODS,
    OF_OUTPUTS,
    SCALES,
    TRAINING_UNCONDITIONED,
    UNCONDITIONED,
    Metric,
    Scale,
)
from sweeps.config.settings import Settings
from sweeps.config.stages import STAGES, stages_of

KNOWN_BEFORE = ("parameters", "flops")
"""Numbers of the scored model's `Cost`, known without training: parameters, operations of one image's forward pass."""

OTHER_COLUMNS = ("collapsed", "best_epoch", "images_trained", "seconds", "peak_memory")
"""Columns of the ledger besides metrics that a search may bound. `collapsed` is the share of collapsed folds."""


def all_metrics() -> dict[str, Metric]:
    """Return the metrics of all families, methods and stages that are registered, by name."""
    metrics = [*OF_OUTPUTS, CONDITION_PIXELS]
    metrics += [metric for family in FAMILIES for metric in family.metrics]
    metrics += [metric for stage in STAGES for metric in stage.metrics]
    return {metric.name: metric for metric in metrics}


def metrics_of(settings: Settings) -> dict[str, Metric]:
    """Return the metrics that every fold of a configuration has, by name."""
    conditioned = METHODS[settings.final_method].conditioned
    metrics = [UNCONDITIONED, TRAINING_UNCONDITIONED] if FAMILIES[settings.family].reconstructs else []
    metrics += [CONDITIONED, CONDITION_PIXELS] if conditioned else []
    metrics += FAMILIES[settings.family].metrics
    metrics += [metric for stage in stages_of(settings) for metric in stage.metrics]
    return {metric.name: metric for metric in metrics}


def find_metric(name: str) -> tuple[Metric, Scale | None] | None:
    """Return the metric that a text names, and the scale that the text names too, if any; None for another text."""
    metrics = all_metrics()
    if name in metrics:
        return metrics[name], None
    for scale in SCALES:
        metric = metrics.get(name.removesuffix(f"_{scale}"))
        if metric is not None and metric.scaled:
            return metric, scale
    return None


def column_of(metric: Metric, scale: Scale | None) -> str:
    """Return a metric's column of the ledger. A metric with scales is read per pixel unless another scale is named."""
    return f"{metric.name}_{scale or 'per_pixel'}" if metric.scaled else metric.name
