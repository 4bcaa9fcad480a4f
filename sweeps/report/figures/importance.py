"""How much each searched setting matters for the best scores, by Optuna's PED-ANOVA."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sweeps.analysis.search_results import Result
from sweeps.config.search import Choices, Dimension
from sweeps.config.settings import Value
from sweeps.text import value_text

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

LEAST = 20
"""Complete configurations that an importance needs: PED-ANOVA looks at the best tenth of them, here at least two."""


def importance(
    results: Sequence[Result], space: Mapping[str, Dimension], minimize: bool
) -> tuple[dict[str, float], list[str]]:
    """Return the importance of the settings that all complete configurations have, and the settings left out.

    The importances add up to 1. The settings that only some configurations have are left out, because they have no
    value in the others. None are returned for fewer than `LEAST` complete configurations, or where no setting varies.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    complete = [result for result in results if result.state == "complete"]
    shared = [path for path in space if all(path in result.params for result in complete)]
    varied = [path for path in shared if len({value_text(result.params[path]) for result in complete}) > 1]
    if len(complete) < LEAST or not varied:
        return {}, []
    distributions = {path: _distribution(space[path], [r.params[path] for r in complete]) for path in varied}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the evaluator is experimental, and that steps miss an upper bound
            study = optuna.create_study(direction="minimize" if minimize else "maximize")
            for result in complete:
                params = {path: _stored(space[path], result.params[path]) for path in varied}
                study.add_trial(create_trial(value=result.mean, params=params, distributions=distributions))
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=varied)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return found, [path for path in space if path not in shared]


def _stored(dimension: Dimension, value: Value) -> Value:
    return value_text(value) if isinstance(dimension, Choices) else value


def _distribution(dimension: Dimension, values: Sequence[Value]) -> "BaseDistribution":
    """Return the distribution of a setting: its choices, or its range, which holds all values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choices):
        return CategoricalDistribution([value_text(value) for value in dimension.values])
    if dimension.integer:
        return IntDistribution(int(dimension.low), int(dimension.high), dimension.log, int(dimension.step or 1))
    return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)
