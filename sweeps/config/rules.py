"""Which settings fit together: fills in defaults, drops settings that do not apply, and refuses contradictions."""

from collections.abc import Mapping
from functools import lru_cache

from pydantic import ValidationError

from mtvae.config import FAMILIES, METHODS, Sizes, kinds_of, own_sizes, resolve_sizes
from sweeps.config.own_sizes import SECTION
from sweeps.config.settings import DEFAULTS, SETTING_INFO, Settings, Value, unflatten
from sweeps.data.datasets import DATASETS, Data, DataError, Source, declared, image_count, shape, test_half_count, title
from sweeps.data.sampling import WITHOUT_CLASSES
from sweeps.data.splits import HALVES, Folds, fold_sizes

Problems = list[tuple[str, str]]
"""Pairs: the setting to change, and why."""


class IncompatibleSettings(ValueError):
    """Settings that contradict each other."""

    def __init__(self, problems: Problems):
        super().__init__("; ".join(f"{path}: {why}" for path, why in problems))
        self.problems = problems


_CONDITIONAL = [(path, info, info.applies) for path, info in SETTING_INFO.items() if info.applies is not None]
"""The settings that apply only to some configurations, in their order."""


_DECIDING = {
    *("family", "method", "configuration", "sampler", "data", "folds", "model", "conditioning", "soft_adapt", "prior")
}
"""The settings and sections that the rules below read."""


def decides(path: str) -> bool:
    """Whether the value of a setting or group decides if other settings fit it."""
    return path.partition(".")[0] in _DECIDING and (path not in SETTING_INFO or SETTING_INFO[path].in_key)


def resolve(flat: dict[str, Value], set_for_row: frozenset[str]) -> Settings:
    """Return settings in which every default is filled in, and None stands for settings that do not apply.

    Args:
        flat: values by dotted path, each valid on its own.
        set_for_row: paths that were set for this row itself; a path among them that does not apply is an error. Shared
            settings that do not apply to this row are dropped.

    Raises:
        IncompatibleSettings: settings contradict each other; the error holds every problem found.
    """
    values = DEFAULTS | flat
    problems = _fill_in_conditional(values, set_for_row)
    if missing := _check_root(values):
        raise IncompatibleSettings([*problems, *missing])  # the other rules look at the images
    problems += _fill_in_sample(values, set_for_row)
    problems += _check_method(values)
    problems += _fill_in_sizes(values, set_for_row)
    problems += _check_conditioning(values)
    problems += _check_soft_adapt(values)
    problems += _check_schedule(values)
    problems += _check_prior(values)
    if values["prior.kind"] is not None and "keep_models" not in flat:
        values["keep_models"] = "all"
    problems += _check_image_counts(values)
    problems += _check_labels(values)
    if problems:
        raise IncompatibleSettings(problems)
    settings = unflatten(values)
    if FAMILIES[settings.family].check and (fault := FAMILIES[settings.family].fault(settings.architecture)):
        raise IncompatibleSettings([("family", fault)])
    return settings


def fill_in(flat: Mapping[str, Value]) -> dict[str, Value]:
    """Return values as `resolve` fills them in, for settings that need not fit together yet.

    A search asks with it which settings apply before it has proposed all of them.
    """
    values = {**DEFAULTS, **flat}
    _fill_in_conditional(values, frozenset())
    _fill_in_sample(values, frozenset())
    _fill_in_sizes(values, frozenset())
    return values


def _fill_in_conditional(values: dict[str, Value], set_for_row: frozenset[str]) -> Problems:
    """Fill in the settings that apply only to some configurations, and return those that were set and do not apply."""
    problems: Problems = []
    for path, info, applies in _CONDITIONAL:
        if not applies(values):
            if path in set_for_row and values[path] is not None:
                problems.append((path, info.why_not.format_map(values)))
            values[path] = None
        elif values[path] is None:
            values[path] = info.default(values)
    return problems


def _check_root(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the place of the user's own images. A folder that is not here is no problem."""
    data = _data(values)
    if not (own := DATASETS[data.dataset].own):
        return []
    if data.root is None:
        return [("data.root", f"data.dataset {data.dataset} needs it: {own}, such as ~/images")]
    try:
        shape(data)
    except DataError as error:
        return [("data.root", str(error))]
    return []


def _fill_in_sample(values: dict[str, Value], set_for_row: frozenset[str]) -> Problems:
    """Fill in `data.part` and `data.sample`, and return what is wrong with them.

    Where all images are taken, `first` takes them, so that the key does not depend on the sample that was asked for.
    """
    part, sample = values["data.part"], values["data.sample"]
    values |= {"data.part": None, "data.sample": None}
    whole = declared(_data(values | {"data.limit": None}))
    problems = []
    if part == "train" and not (whole and whole.parts):
        if "data.part" in set_for_row and whole:
            problems.append(("data.part", "there are no folders train and test with all images in data.root"))
        part = None
    half = values["folds.selection"] in HALVES and whole is not None and whole.parts
    values["data.part"] = part or ("train" if half else "all")
    available = declared(_data(values | {"data.limit": None}))
    limit, samples = values["data.limit"], whole.samples if whole else WITHOUT_CLASSES
    why = "without data.limit all images are taken" if limit is None else ""
    if sample not in (None, "first", *samples):
        why = why or f"data.dataset {values['data.dataset']} takes {' or '.join(samples)} here"
        why += ", because it has no classes" if "random" in samples else ""
    if sample not in (None, "first") and why:
        if "data.sample" in set_for_row:
            problems.append(("data.sample", why))
        sample = None
    all_taken = limit is None or (available is not None and limit >= available.images)
    values["data.sample"] = "first" if all_taken else sample or samples[-1]
    return problems


def _check_method(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the method for the family."""
    family, method = values["family"], values["method"]
    if FAMILIES[family].own and not METHODS[method].baseline:
        return [("method", f"family {family} has no decoder that takes a condition, so it takes only method none")]
    if METHODS[method].head and not FAMILIES[family].conditioned_head:
        why = "whose plain decoder has the head of a conditioned one already"
        return [("method", f"{method} is the same as none in family {family}, {why}")]
    return []


def _fill_in_sizes(values: dict[str, Value], set_for_row: frozenset[str]) -> Problems:
    """Fill in the `model.*` values, and return what is wrong with them."""
    family, number = values["family"], values["configuration"]
    configurations = FAMILIES[family].configurations
    if number not in configurations:
        known = ", ".join(map(str, configurations))
        return [("configuration", f"family {family} has no configuration {number}, only {known}")]
    problems = []
    has = type(configurations[number]).model_fields
    own = [path for path in values if path.startswith(SECTION) and path.removeprefix(SECTION) not in Sizes.model_fields]
    given = {path.removeprefix(SECTION): values.pop(path) for path in own}
    given |= {name: values[f"model.{name}"] for name in Sizes.model_fields}
    for name in [name for name in given if name not in has]:
        if f"model.{name}" in set_for_row and given[name] is not None:
            problems.append((f"model.{name}", f"family {family} has no such size"))
        given[name] = None
    try:
        sizes = resolve_sizes(family, number, Sizes(**{name: v for name, v in given.items() if v is not None}))
    except ValidationError as error:
        return [(f"model.{'.'.join(map(str, e['loc'][:1]))}", _sentence(e["msg"])) for e in error.errors()]
    _, side = shape(_data(values))
    n = len(getattr(sizes, "hidden", ()))
    if FAMILIES[family].halves and side % 2**n:
        why = f"{n} widths halve the side {n} times, but the side, {side}, is not divisible by {2**n}"
        problems.append(("model.hidden", why))
    names = dict.fromkeys([*Sizes.model_fields, *own_sizes(FAMILIES[family])])
    values |= {f"model.{name}": getattr(sizes, name, None) for name in names}
    return problems


def _sentence(message: str) -> str:
    """Return pydantic's message in the words of a grid's problems."""
    return message.replace("Input should be", "it must be").replace("a valid ", "a ").removeprefix("Value error, ")


def _check_labels(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the images of a model that needs labels."""
    family, description = values["family"], declared(_data(values))
    if FAMILIES[family].needs_labels and description is not None and not description.classes:
        return [("family", f"its model needs labels, and {title(_data(values))} has none")]
    return []


def _check_conditioning(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the choice of the pixels that condition."""
    method, sampler, (_, side) = values["method"], values["sampler"], shape(_data(values))
    problems = []
    if sampler is not None and sampler not in METHODS[method].samplers:
        problems.append(("sampler", f"method {method} takes {' or '.join(METHODS[method].samplers)}"))
    positions, count = values["conditioning.positions"], values["conditioning.count"]
    if positions is not None and (max(positions) >= side or len(set(positions)) < len(positions)):
        problems.append(("conditioning.positions", f"positions must be different and below the side, {side}"))
    if count is not None and count > side**2 and not values["conditioning.replacement"]:
        problems.append(("conditioning.count", f"an image has only {side**2} pixels"))
    return problems


def _check_soft_adapt(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the window of losses from which SoftAdapt estimates slopes."""
    every, order = values["soft_adapt.every"], values["soft_adapt.accuracy_order"]
    if every is not None and every <= order:
        return [("soft_adapt.every", f"a slope of accuracy order {order} needs the losses of {order + 1} steps")]
    return []


def _check_schedule(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the epoch after which a training goes on as the plain model."""
    switch, epochs = values["schedule.switch_epoch"], values["training.epochs"]
    if switch is not None and switch >= epochs:
        return [("schedule.switch_epoch", f"no epoch would follow the switch: training.epochs is {epochs:,}")]
    return []


def _check_prior(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the prior for the family."""
    family, kind, kernel = values["family"], values["prior.kind"], values["prior.kernel"]
    problems = []
    if kind is not None and kind not in (fitting := kinds_of(family)):
        takes = f"takes {', '.join(fitting[:-1])} or {fitting[-1]}" if fitting else "says nothing of its latent space"
        problems.append(("prior.kind", f"family {family} {takes}"))
    description = declared(_data(values))
    if values["prior.labels"] and description is not None and not description.classes:
        problems.append(("prior.labels", f"{title(_data(values))} has no classes"))
    if kernel is not None and kernel % 2 == 0:
        problems.append(("prior.kernel", "it must be odd, so that it has a centre"))
    return problems


def _data(values: dict[str, Value]) -> Data:
    return _cached_data(*(values[f"data.{name}"] for name in Data.model_fields))


@lru_cache(maxsize=1024, typed=True)  # the rows of a grid share few; typed, because 1 == True
def _cached_data(*values: Value) -> Data:
    return Data(**dict(zip(Data.model_fields, values, strict=True)))


def _check_image_counts(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the number of images for these folds."""
    data = _data(values)
    folds = Folds(**{name: values[f"folds.{name}"] for name in Folds.model_fields})
    description = declared(data)
    if description is None:
        return []  # the folder is not on this machine, so its images cannot be counted
    if data.limit is not None and data.limit > description.images:
        return [("data.limit", f"{title(data)} has {description.images:,} images, not {data.limit:,}")]
    n, half = image_count(data), test_half_count(Source.of(data, folds.selection))
    if folds.selection in HALVES and not half:
        folder = " (folders train and test)" if DATASETS[data.dataset].resizes else ""
        return [("folds.selection", f"{title(data)} has no official test part{folder}")]
    if n < folds.n_splits:
        return [("folds.n_splits", f"{n:,} images cannot be split into {folds.n_splits} folds")]
    smallest = fold_sizes(n, folds, 0, half)  # KFold puts the larger folds first, so fold 0 trains on the fewest images
    if smallest.train < 2 or smallest.selection < 1:
        left = f"{smallest.train} for the training set and {smallest.selection} for the validation set"
        return [("folds.selection", f"of {n:,} images it leaves {left}")]
    return []
