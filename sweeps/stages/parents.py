"""The trained model that a later stage builds on: the kept one, or the same training once more."""

from dataclasses import replace

from mtvae.model import Model
from sweeps.config.stages import TRAINING
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import Row
from sweeps.stages import training
from sweeps.stages.base import Inputs, Train, finite


def model_of(inputs: Inputs, train: Train) -> tuple[Model, float | None]:
    """Return the model of the training that the unit requires.

    A model that was not kept, or whose file is damaged, is trained again and kept. The record of its training stays.
    On the kind of processor that trained it first its scores are the same to the last digit.

    Returns:
        The model in evaluation mode. The largest difference between a score of the new model and its record; None if
        the model was kept.
    """
    try:
        return inputs.parent_model(), None
    except (FileNotFoundError, kept_models.DamagedModel) as error:
        why = why_lost(error)
    unit = inputs.unit
    key, fold = unit.training_id
    parent = replace(unit, key=key, fold=fold, stage=TRAINING, requires=(), settings=unit.settings.without_later)
    again = replace(inputs, unit=parent)
    inputs.notes.append(f"its model is trained again ({why})")
    fit = train(lambda: training.prepare(again))
    scores = finite(training.score(again, fit))
    recorded = Ledger(inputs.storage).record(parent) if inputs.storage is not None else None
    difference = _largest_difference(scores, recorded or {})
    if difference:
        inputs.notes.append(f"the model trained again differs from its record by up to {difference:.3g}")
    if inputs.storage is not None:
        kept_models.save(inputs.storage, parent, fit.model)
    return fit.model.eval(), difference


def why_lost(error: Exception) -> str:
    """Return in words why a kept file cannot be used."""
    return "it was not kept" if isinstance(error, FileNotFoundError) else str(error)


def _largest_difference(scores: Row, recorded: Row) -> float:
    """Return the largest difference of the scores that both have."""
    numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
    both = [name for name in numbers if isinstance(recorded.get(name), float)]
    return max((abs(numbers[name] - recorded[name]) for name in both), default=0.0)
