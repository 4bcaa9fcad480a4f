"""Kept models: `models/<key>-fold<k>.safetensors`, the best weights with the settings that rebuild the network."""

import json
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from mtvae.model import Model, build
from sweeps.config.settings import Settings, unflatten
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import json_settings
from sweeps.plan.unit import Unit


def is_kept(unit: Unit) -> bool:
    """Return whether the setting `keep_models` asks for this unit's model."""
    return unit.settings.keep_models == "all" or (unit.settings.keep_models == "fold0" and unit.fold == 0)


def save(storage: Storage, unit: Unit, model: Model) -> None:
    """Write a model's weights, on the CPU and contiguous, with its settings as the file's metadata."""
    tensors = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = {"settings": json.dumps(json_settings(unit.settings)), "fold": str(unit.fold)}
    if model.architecture.classes:  # a folder, which tells the number of classes, may not be where the model is loaded
        metadata["classes"] = str(model.architecture.classes)
    storage.write(f"models/{unit.name}.safetensors", save_tensors(tensors, metadata))


def load(storage: Storage, name: str, device: str = "cpu") -> tuple[Settings, Model]:
    """Load the kept model of the unit `name` (`<key>-fold<k>`), in evaluation mode.

    Raises:
        FileNotFoundError: no model is kept under that name.
    """
    data = storage.read(f"models/{name}.safetensors")
    # A safetensors file begins with its header's length (8 bytes) and the JSON header; `save` wrote its __metadata__.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata: dict[str, str] = header["__metadata__"]
    flat: dict[str, Any] = json.loads(metadata["settings"])
    settings = unflatten({path: tuple(v) if isinstance(v, list) else v for path, v in flat.items()})
    architecture = settings.architecture.model_copy(update={"classes": int(metadata.get("classes", "0"))})
    model = build(architecture, torch.Generator(), device)
    model.load_state_dict(load_tensors(data))
    return settings, model.eval()
