"""Reads the blocks `search:`, `base:` and `racing:` of a grid file, and reports all problems, each with its line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from sweeps.config.grid_reader import SHORTHAND, GridReader, SourcedValue
from sweeps.config.objective_reader import ObjectiveKeys, read_constraints, read_objective
from sweeps.config.own_sizes import all_paths, is_setting
from sweeps.config.problems import short_yaml, truncate, type_name, unknown_setting_message
from sweeps.config.search import Choices, Dimension, Racing, RacingRule, SamplerKind, Search
from sweeps.config.settings import DEFAULTS, Settings
from sweeps.config.space_reader import Entry, check_space, read_dimensions, read_entries
from sweeps.text import nearest

SEARCH, BASE, RACING = ("search",), ("base",), ("racing",)
SPACE, CONSTRAINTS = ("search", "space"), ("search", "constraints")


class _SearchKeys(ObjectiveKeys):
    """The keys of `search:` that hold one value."""

    configurations: Annotated[int, Field(gt=0, le=10**6)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    each: str | None = None
    sampler: SamplerKind = "tpe"
    racing: RacingRule = "none"


class _RacingKeys(ObjectiveKeys):
    """The keys of `racing:`."""

    rule: RacingRule


_SEARCH_VALUES = sorted(_SearchKeys.model_fields, key=lambda key: key in ObjectiveKeys.model_fields)
_SEARCH_KEYS = [*_SEARCH_VALUES, "space", "constraints"]
_RACING_KEYS = sorted(_RacingKeys.model_fields, key=lambda key: key in ObjectiveKeys.model_fields)


@dataclass(frozen=True)
class Edit:
    """A `--set` of a key of one of these blocks: the key's dotted path, its new value, and the option."""

    path: str
    value: Any
    where: str


def with_edits(reader: GridReader, top: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    """Return the top of a document with the edits to its blocks, except for those to `search.space`."""
    changed: dict[str, Any] = dict(top)
    for edit in edits:
        at = _place(edit.path)
        if edit.path.partition(".")[0] == "base":
            setting = edit.path.partition(".")[2] or "SETTING"
            reader.problem(edit.where, f"base is set in its file; --set {setting}=... changes a setting everywhere")
        elif at is None:
            known = [f"search.{key}" for key in (*_SEARCH_VALUES, "space.SETTING", "constraints.NAME")]
            known += [f"racing.{key}" for key in _RACING_KEYS]
            whole = edit.path in ("search", "search.space", "search.constraints")
            hint = "" if whole else nearest(edit.path, known, 0.7)
            hint = hint or f", only {', '.join(known)}"
            reader.problem(edit.where, f"--set changes no {truncate(edit.path, 60)}{hint}")
        elif at[0] == "search" and "search" not in top:
            reader.problem(edit.where, "this file has no search")
        elif at[0] == "racing" and "search" in top:
            reader.problem(edit.where, "with a search, --set search.racing=... sets the rule of its race")
        elif at[:2] != SPACE:
            if "racing" in changed:
                changed["racing"] = _racing_block(changed["racing"])
            changed = _with_value(changed, at, edit.value)
            reader.replaced[at] = edit.where
    return changed


def _place(path: str) -> tuple[str, ...] | None:
    """Return where the document has what a `--set` changes; None if it cannot be changed."""
    head, _, rest = path.partition(".")
    key, _, name = rest.partition(".")
    if head == "racing" and (not rest or rest in _RacingKeys.model_fields):
        return (head, rest) if rest else (head,)
    if head == "search" and rest in _SearchKeys.model_fields:
        return head, rest
    return (head, key, name) if (head, key) in (SPACE, CONSTRAINTS) and name else None


def _with_value(values: Any, path: tuple[str, ...], value: Any) -> Any:
    """Return nested mappings with another value at a path, or unchanged if a value on the way is no mapping."""
    if not path:
        return value
    if not isinstance(values, dict):
        return values
    return {**values, path[0]: _with_value(values.get(path[0], {}), path[1:], value)}


def _racing_block(value: Any) -> Any:
    """Return the block that a rule alone stands for: `racing: forgiving`."""
    return {"rule": value} if isinstance(value, str) else value


def _edit_space(reader: GridReader, entries: dict[str, Entry], edits: Sequence[Edit]) -> None:
    """Replace what the edits to `search.space` change: a setting's values, or one key of its range."""
    for edit in edits:
        name = edit.path.removeprefix("search.space.")
        if name == edit.path or not name:
            continue
        setting, _, key = name.rpartition(".")
        name, setting = SHORTHAND.get(name, name), SHORTHAND.get(setting, setting)
        if is_setting(name):
            entry = entries[name] = Entry(edit.value, (*SPACE, name))
            reader.replaced[entry.at] = edit.where
        elif not is_setting(setting):
            reader.problem(edit.where, unknown_setting_message(name))
        elif setting not in entries or not isinstance(entries[setting].value, dict):
            reader.problem(edit.where, f"{setting} has no range in this file, so it has no {key}")
        else:
            entry = entries[setting]
            entries[setting] = replace(entry, value={**entry.value, key: edit.value})
            reader.replaced[(*entry.at, key)] = edit.where


def read_search(
    reader: GridReader,
    top: Mapping[str, Any],
    shared: Mapping[str, SourcedValue],
    replaced: Mapping[str, SourcedValue],
    edits: Sequence[Edit],
) -> tuple[Search | None, Racing | None]:
    """Return the search and its race, or None for each after adding all problems.

    Args:
        top: the document with its edits.
        shared: the sweep's shared settings, by path.
        replaced: the settings of `--set`, by path.
        edits: the edits to the blocks; those to the space are made here.
    """
    block, where = top["search"], reader.where(SEARCH)
    if "racing" in top:
        reader.problem(reader.where(RACING), "with a search, racing is a key of search, and is compared by its metric")
    before = len(reader.problems)
    own = _read_base(reader, top)
    if not isinstance(block, dict):
        reader.problem(where, f"search must be a mapping of {', '.join(_SEARCH_KEYS)}, not {type_name(block)}")
        return None, None
    space, places = _read_space(reader, block, edits)
    if "grid" not in top:
        own |= replaced
    _check_searched_once(reader, space, {} if "grid" in top else shared, own, replaced)
    base = {path: given for path, given in {**shared, **own, **replaced}.items() if path not in space}
    usable = len(reader.problems) == before and bool(space)
    some = check_space(reader, base, own, space, places | {"": where}) if usable else []
    reader.check_keys(block, _SEARCH_KEYS, "search", SEARCH)
    keys = reader.read_keys(_SearchKeys, block, "search", SEARCH)
    keys["each"] = SHORTHAND.get(keys["each"], keys["each"])
    if block.get("configurations") is None and block.get("hours") is None:
        reader.problem(where, "search needs a limit: configurations, hours, or both")
    objective = read_objective(reader, keys, "search", SEARCH, some, keys["each"] == "family")
    constraints = read_constraints(reader, block.get("constraints", {}), CONSTRAINTS, some)
    _check_each(reader, keys["each"], space)
    if len(reader.problems) > before or objective is None:
        return None, None
    values = {path: base[path].value for path in all_paths() if path in base}
    limits = {name: keys[name] for name in ("configurations", "hours", "each", "sampler")}
    seed = (DEFAULTS | values)["seed"]
    search = Search(values, space, objective, constraints=constraints, seed=seed, **limits)
    return search, Racing(keys["racing"], objective)


def _read_base(reader: GridReader, top: Mapping[str, Any]) -> dict[str, SourcedValue]:
    """Return the settings of `base:` by path."""
    if "base" not in top:
        return {}
    if not isinstance(top["base"], dict):
        reader.problem(reader.where(BASE), f"base must be a mapping of settings, not {type_name(top['base'])}")
        return {}
    given = reader.read_settings(top["base"], BASE, several=False)
    return {path: values[0] for path, values in given.items() if values}


def _read_space(
    reader: GridReader, block: Mapping[str, Any], edits: Sequence[Edit]
) -> tuple[dict[str, Dimension], dict[str, str]]:
    """Return the searched settings, and where each stands."""
    space = block.get("space")
    if not isinstance(space, dict) or not space:
        text = "search.space is missing or empty: it must be a mapping of settings to lists of values or ranges"
        reader.problem(reader.where(SPACE), text)
        return {}, {}
    entries = read_entries(reader, space, SPACE)
    _edit_space(reader, entries, edits)
    return read_dimensions(reader, entries), {path: reader.where(entry.at) for path, entry in entries.items()}


def _check_searched_once(
    reader: GridReader,
    space: Mapping[str, Dimension],
    shared: Mapping[str, SourcedValue],
    own: Mapping[str, SourcedValue],
    replaced: Mapping[str, SourcedValue],
) -> None:
    """Add a problem for each searched setting that has a value of its own too."""
    for path in space:
        if path in replaced:
            text = f"{path} is searched; --set search.space.{path}=[...] changes what it may be"
            reader.problem(replaced[path].where, text)
        for given in (values[path] for values in (shared, own) if path in values and path not in replaced):
            reader.problem(given.where, f"{path} is searched, so it cannot be set here too")


def _check_each(reader: GridReader, each: str | None, space: Mapping[str, Dimension]) -> None:
    if each is not None and not isinstance(space.get(each), Choices):
        lists = [path for path, dimension in space.items() if isinstance(dimension, Choices)]
        text = f"search.each is {short_yaml(each)}; it must be a searched setting with a list of values"
        reader.problem(reader.where((*SEARCH, "each")), text + (f" ({', '.join(lists)})" if lists else ""))


def read_racing(reader: GridReader, top: Mapping[str, Any], rows: Sequence[Settings]) -> Racing | None:
    """Return the race of a grid without a search; None after adding all problems."""
    block = _racing_block(top["racing"])
    if not isinstance(block, dict):
        text = f"racing must be a mapping of {', '.join(_RACING_KEYS)}, not {type_name(block)}"
        reader.problem(reader.where(RACING), text)
        return None
    reader.check_keys(block, _RACING_KEYS, "racing", RACING)
    keys = reader.read_keys(_RacingKeys, block, "racing", RACING)
    objective = read_objective(reader, keys, "racing", RACING, rows, False)
    return Racing(keys["rule"], objective) if objective is not None else None
