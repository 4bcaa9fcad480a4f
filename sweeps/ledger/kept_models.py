"""Kept models: `models/<key>-fold<k>.safetensors`, the best weights with the settings that rebuild the network.

The model of a training that switches to the plain model (`schedule.switch_epoch`) is a plain one.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from mtvae.model import Model, build
from mtvae.own_model import Network
from mtvae.prior.fitting import AnyPrior, build_prior
from sweeps.config.settings import SETTING_INFO, Settings, flatten, unflatten
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import json_settings
from sweeps.plan.unit import Unit
from sweeps.text import error_line


class DamagedModel(ValueError):
    """A kept file cannot be loaded; the message says which and why."""


def is_kept(unit: Unit) -> bool:
    """Return whether the setting `keep_models` asks for this unit's model."""
    return unit.settings.keep_models == "all" or (unit.settings.keep_models == "fold0" and unit.fold == 0)


def save(storage: Storage, unit: Unit, module: nn.Module, classes: Sequence[str] = ()) -> None:
    """Write a module's weights, on the CPU and contiguous, with the unit's settings as the file's metadata.

    Args:
        classes: the names of the classes that condition a prior, in the order of their numbers.
    """
    tensors = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
    metadata = {"settings": json.dumps(json_settings(unit.settings)), "fold": str(unit.fold)}
    if classes:
        metadata["classes"] = json.dumps(list(classes))
    if isinstance(module, Model | Network) and module.architecture.classes:
        # a folder, which tells the number of classes, may not be where the model is loaded
        metadata["class_count"] = str(module.architecture.classes)
    storage.write(f"models/{unit.name}.safetensors", save_tensors(tensors, metadata))


def load(storage: Storage, name: str, device: str = "cpu", wanted: Settings | None = None) -> tuple[Settings, Model]:
    """Load the kept model of the unit `name` (`<key>-fold<k>`), in evaluation mode.

    Args:
        wanted: the settings that it must have, as far as they are part of its key; its images may have another name.

    Raises:
        FileNotFoundError: no model is kept under that name.
        DamagedModel: the file is not a model of its settings, of this fold, or of the wanted settings.
    """
    with _read(storage, name) as (settings, tensors, metadata):
        if wanted is not None and (other := _different(settings, wanted)):
            raise ValueError(f"it is a model of another {other}")
        classes = int(metadata.get("class_count", "0"))
        architecture = settings.final_architecture.model_copy(update={"classes": classes})
        model = build(architecture, torch.Generator(), device)
        model.load_state_dict(tensors)
    return settings, model.eval()


def load_prior(storage: Storage, name: str, device: str = "cpu") -> tuple[Settings, AnyPrior, tuple[str, ...]]:
    """Load the prior that the unit `name` fitted, in evaluation mode, with the names of its classes.

    Raises:
        FileNotFoundError, DamagedModel: as `load`.
    """
    with _read(storage, name) as (settings, tensors, metadata):
        classes = tuple(json.loads(metadata.get("classes", "[]")))
        prior = build_prior(settings.prior, settings.architecture, len(classes))
        prior.load_state_dict(tensors)
    return settings, prior.to(device).eval(), classes


def _different(found: Settings, wanted: Settings) -> str | None:
    """Return the first setting of the key in which a model's settings differ from the wanted ones; None if none does.

    A setting that only one of them has does not count: an earlier version may have written the file.
    """
    there, here = flatten(found), flatten(wanted)
    paths = [path for path, info in SETTING_INFO.items() if info.in_key and not info.stage and path[:5] != "data."]
    both = [path for path in paths if there.get(path) is not None and here.get(path) is not None]
    return next((path for path in both if there[path] != here[path]), None)


@contextmanager
def _read(storage: Storage, name: str) -> Iterator[tuple[Settings, dict[str, torch.Tensor], dict[str, str]]]:
    """Read a kept file's settings, tensors and metadata, and turn errors of the body into `DamagedModel`."""
    data = storage.read(f"models/{name}.safetensors")
    try:
        # The file begins with its header's length (8 bytes) and the JSON header; `save` wrote its __metadata__.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        flat: dict[str, Any] = json.loads(header["settings"])
        if header["fold"] != name.rpartition("-fold")[2]:
            raise ValueError(f"it is of fold {header['fold']}")
        settings = unflatten({path: tuple(v) if isinstance(v, list) else v for path, v in flat.items()})
        yield settings, load_tensors(data), header
    except Exception as error:  # JSON, pydantic, safetensors and torch raise errors of many classes
        if isinstance(error, MemoryError):
            raise
        why = error_line(error)[:200] or type(error).__name__
        raise DamagedModel(f"models/{name}.safetensors is damaged ({why})") from error
