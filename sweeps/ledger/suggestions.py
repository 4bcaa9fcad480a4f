"""Suggestions of a search and marks of stopped configurations, one small JSON file each.

DIR/<sweep>/search/<number>.json    a suggestion, written before it is trained; numbers count from 1 in ask order
DIR/<sweep>/stopped/<key>.json      why a race stopped the configuration whose training has this key

A reader ignores unknown entries of a file, and fills in missing ones, so that other versions can read it.
"""

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mtvae.config.setting import NO_VALUE
from sweeps.config.own_sizes import is_setting
from sweeps.config.rules import resolve
from sweeps.config.settings import SETTING_INFO, Settings, Value
from sweeps.ledger.storage import Storage
from sweeps.ledger.temporary import has_ended, process_here, temporary_name
from sweeps.text import error_line

SEARCH = "search"
STOPPED = "stopped"
_NUMBER = re.compile(r"(\d{1,9})\.json")
_KEY = re.compile(r"([0-9a-f]{12})\.json")


DriverState = Literal["ours", "running", "ended", "elsewhere"]


@dataclass(frozen=True)
class Suggestion:
    """A configuration that a search asked for.

    Attributes:
        number: its place in the order of the asks, from 1. Refused suggestions have a number too.
        params: the searched settings that apply, by dotted path.
        settings: every setting of the configuration by dotted path; empty if the rules of the settings refuse it.
        key: the key of its training; "" if it was refused.
        seed: the sweep's seed, from which the sampler's seed was derived.
        attempt: how many proposals of this ask were known already, which is part of the sampler's seed.
        each: the value of the setting for which the search is done separately; None without one.
        refused: why it is not trained, as one line; "" if it is.
        driver: the process that asked for it, as a `temporary_name`.
    """

    number: int
    params: Mapping[str, Value]
    settings: Mapping[str, Value] = field(default_factory=dict)
    key: str = ""
    seed: int = 0
    attempt: int = 0
    each: Value = None
    refused: str = ""
    driver: str = field(default_factory=lambda: temporary_name("driver"), compare=False)

    @property
    def driver_state(self) -> DriverState:
        """Whether the process that asked for it is this one, runs on this host, has ended, or is on another host."""
        pid = process_here(self.driver)
        if pid is None:
            return "elsewhere"
        return "ours" if pid == os.getpid() else "ended" if has_ended(pid) else "running"


@dataclass(frozen=True)
class Stopped:
    """A configuration that a race stopped.

    Attributes:
        key: the key of its training.
        reason: one line.
        folds: how many folds were done when it was stopped.
    """

    key: str
    reason: str
    folds: int


def settings_of_file(flat: Mapping[str, Value]) -> Settings:
    """Return the configuration that a suggestion's file holds.

    A setting that the file's version did not have has its neutral value.

    Raises:
        ValueError: a setting is unknown to this version, or this version's rules refuse the configuration.
    """
    if unknown := [path for path, value in flat.items() if not is_setting(path) and value is not None]:
        raise ValueError(f"another version's setting: {', '.join(unknown)}")
    neutral = {path: info.neutral for path, info in SETTING_INFO.items() if info.neutral is not NO_VALUE}
    return resolve(neutral | {path: value for path, value in flat.items() if is_setting(path)}, frozenset())


def create(storage: Storage, suggestion: Suggestion) -> bool:
    """Write a suggestion's file unless its number is taken. Return whether this call wrote it.

    Of several drivers on one local folder exactly one gets a number. On an object store two drivers that ask in the
    same instant may both get it (`Storage.create`): the later file stays, and the units of the other suggestion are
    done without belonging to the search.

    Raises:
        StorageError: the folder is not writable.
    """
    data = json.dumps(asdict(suggestion), indent=1, allow_nan=False) + "\n"
    return storage.create(_name(suggestion.number), data.encode())


def numbers(storage: Storage) -> list[int]:
    """Return the numbers of all suggestions in ascending order, of damaged ones too: their numbers stay taken."""
    return sorted(int(match[1]) for name in storage.names(SEARCH) if (match := _NUMBER.fullmatch(name)))


def read_all(storage: Storage, known: Collection[int] = ()) -> tuple[list[Suggestion], list[tuple[str, str]]]:
    """Return the suggestions in ask order, without those of `known` numbers, and the files that cannot be read.

    A damaged file keeps its number. It is left out, and all others count.

    Returns:
        The suggestions, and (name, why) of each damaged file.

    Raises:
        StorageError: the machine cannot read the folder or a file now.
    """
    found: list[Suggestion] = []
    damaged: list[tuple[str, str]] = []
    for number in numbers(storage):
        if number in known or (data := storage.try_read(_name(number))) is None:
            continue
        try:
            found.append(_decode(number, data))
        except ValueError as error:
            damaged.append((_name(number), error_line(error)[:200]))
    return found, damaged


def _name(number: int) -> str:
    return f"{SEARCH}/{number}.json"


def _decode(number: int, data: bytes) -> Suggestion:
    """Return the suggestion in a file. Raise ValueError if the file is damaged."""
    values = json_object(data)
    if not isinstance(values.get("params"), dict) or not isinstance(values.get("settings"), dict):
        raise ValueError("it holds no suggestion")
    for name in ("params", "settings"):
        values[name] = {path: from_json(value) for path, value in values[name].items()}
    known = {name: values[name] for name in Suggestion.__dataclass_fields__ if name in values}
    return Suggestion(**known | {"number": number, "driver": str(values.get("driver", ""))})


def from_json(value: Any) -> Value:
    """Return a setting's value: JSON has lists where settings have tuples."""
    return tuple(map(from_json, value)) if isinstance(value, list) else value


def json_object(data: bytes) -> dict[str, Any]:
    """Decode a JSON object. Raise ValueError for anything else."""
    values = json.loads(data)
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")
    return values


def write_stopped(storage: Storage, key: str, reason: str, folds: int) -> None:
    """Mark a configuration as stopped by a race, after `folds` done folds. An earlier mark is replaced."""
    text = json.dumps({"key": key, "reason": reason, "folds": folds}, indent=1) + "\n"
    storage.write(f"{STOPPED}/{key}.json", text.encode())


def read_stopped(storage: Storage) -> dict[str, Stopped]:
    """Return all marks of stopped configurations, by key.

    The file's name is the mark. A damaged file still stops its configuration, and its reason says that it is damaged.
    """
    return {match[1]: _stopped(storage, match[1]) for n in storage.names(STOPPED) if (match := _KEY.fullmatch(n))}


def _stopped(storage: Storage, key: str) -> Stopped:
    try:
        values = json_object(storage.try_read(f"{STOPPED}/{key}.json") or b"")
        return Stopped(key, str(values["reason"]), int(values["folds"]))
    except (ValueError, KeyError, TypeError):
        return Stopped(key, "its mark is damaged", 0)


def remove_stopped(storage: Storage, key: str) -> None:
    """Remove the mark of a configuration, which may have none."""
    storage.remove(f"{STOPPED}/{key}.json")
