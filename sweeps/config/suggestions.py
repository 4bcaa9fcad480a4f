"""Suggestions for unknown settings: a synonym, the right section, a misspelling, or that there is no such setting.

A suggestion must not lead to another valid sweep. So all settings that a name may mean are listed, and nothing is
suggested for a name that is far from all of them.
"""

from functools import lru_cache

from sweeps.config.own_sizes import all_paths, info_of
from sweeps.config.settings import SECTIONS
from sweeps.text import did_you_mean, misspelt, plain

ABSENT = {
    "dropout": "no model has dropout, only a prior (prior.dropout); training.weight_decay regularises",
    "optimizer": "every model is trained with AdamW (training.lr, training.weight_decay)",
    "momentum": "every model is trained with AdamW, which takes no momentum here",
    "scheduler": "the learning rate is constant (training.lr)",
    "warmup": "the learning rate is constant (training.lr)",
    "gradient_clipping": "gradients are not clipped",
    "early_stopping": "every unit trains training.epochs epochs, and its best epoch is kept",
    "augmentation": "images are not augmented",
}
"""What there is instead of settings that other tools have and this project lacks."""
_OTHER_NAMES = {
    "dropout_rate": "dropout", "optimiser": "optimizer", "optim": "optimizer", "lr_scheduler": "scheduler",
    "lr_schedule": "scheduler", "warmup_steps": "warmup", "grad_clip": "gradient_clipping",
    "clip_grad_norm": "gradient_clipping", "max_grad_norm": "gradient_clipping", "patience": "early_stopping",
    "augment": "augmentation",
}  # fmt: skip
_TOP = ("name", "grid", "base", "search", "racing")


def suggest_setting(key: str) -> str:
    """Return the end of a sentence about an unknown setting: what it may mean, what there is instead, or nothing."""
    section, _, leaf = key.rpartition(".")
    absent = {plain(name): why for name, why in ABSENT.items()}
    absent |= {plain(other): ABSENT[name] for other, name in _OTHER_NAMES.items()}
    why = f": {absent[plain(leaf)]}" if plain(leaf) in absent else ""
    found = possible_settings(key)
    in_section = section and any(path.startswith(f"{section.casefold()}.") for path in found)
    return did_you_mean(found) if found and (in_section or not why) else why


def possible_settings(key: str) -> list[str]:
    """Return the settings, or the one group, that an unknown name may mean. The case and `_`, `-` do not count."""
    return _possible(key, tuple(all_paths()))


Paths = tuple[str, ...]
"""All settings. A plug-in that is imported adds to them, so that cached answers hold for the same paths only."""


@lru_cache(maxsize=1000)  # a mistake may be in every block of a file
def _possible(key: str, paths: Paths) -> list[str]:
    section, _, leaf = key.rpartition(".")
    exact = [path for path in paths if plain(path) == plain(key)]
    exact = exact or _in_section(section, _by_name(paths).get(plain(leaf), []))
    exact = exact or [group for group in SECTIONS if plain(group) == plain(key)]
    return exact or _misspelt(section, leaf, paths)


def _misspelt(section: str, leaf: str, paths: Paths) -> list[str]:
    """Return the settings of which a name is a misspelling."""
    if not section:
        by_name = _by_name(paths)
        names = misspelt(leaf, [*by_name, *SECTIONS, *_TOP])
        return list(dict.fromkeys(path for name in names for path in by_name.get(name, [name])))
    found = [group for group in SECTIONS if plain(group) == plain(section)] or misspelt(section, SECTIONS)
    leaves = [path.partition(".")[2] for path in paths if path.partition(".")[0] in found]
    same = [name for name in leaves if plain(name) == plain(leaf)] or misspelt(leaf, leaves)
    return [path for path in paths for name in same if path in [f"{group}.{name}" for group in found]]


def _in_section(section: str, paths: list[str]) -> list[str]:
    """Return the paths of the written section or of the one that it misspells, or all of them if none is in it."""
    meant = [section.casefold()] if section.casefold() in SECTIONS or not section else misspelt(section, SECTIONS)
    return [path for path in paths if path.partition(".")[0] in meant and "." in path] or paths


@lru_cache(maxsize=8)
def _by_name(paths: Paths) -> dict[str, list[str]]:
    """Return the settings that each plain name may mean: the ends of their paths, and their synonyms."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for name in {plain(name): None for name in (path.rpartition(".")[2], *info_of(path).synonyms)}:
            found.setdefault(name, []).append(path)
    return found
