"""A model as one file of another kind, by the ending of its name."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from hpsearch import strict_yaml
from hpsearch.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.model import Member, Model

PLACE = 'MODEL = json.loads("null")  # all that the network knows: put in when it is exported'


def exported(model: Model, ending: str) -> bytes:
    """The content of a file with this ending (KINDS). Raises ConfigError for another one, or a missing package."""
    if ending not in KINDS:
        raise ConfigError(f"{ending or 'no ending'}: a model is not written as that; {did_you_mean(ending, KINDS)}")
    return KINDS[ending](model)


def _one_safetensors(model: Model) -> bytes:
    """The weights, with the description as metadata `hpsearch` (YAML, as in model.yaml)."""
    about = {"format": "np", "hpsearch": strict_yaml.dump(model.describe())}
    return safetensors.numpy.save(model.tensors(), metadata=about)


def _numpy_file(model: Model) -> bytes:
    """standalone.py with the network in it."""
    source = files("hpsearch.export").joinpath("standalone.py").read_text(encoding="utf-8")
    text = json.dumps(description(model), separators=(",", ":"))
    return source.replace(PLACE, f"MODEL = json.loads({text!r})").encode()


def description(model: Model) -> dict[str, Any]:
    """What standalone.py wants to know, as plain data."""
    prepared, target = model.preparation.to_dict(), model.preparation.target
    return {
        "columns": prepared["columns"],
        "normalizers": {kind: normalizer.to_dict() for kind, normalizer in model.normalizers.items()},
        "networks": [_described(member) for member in model.members],
        "classes": list(target.classes),
        "mean": target.mean,
        "sd": target.sd,
    }


def _described(member: Member) -> dict[str, Any]:
    layers: list[dict[str, Any]] = [{} for _ in member.network.layers]
    for name, tensor in member.tensors().items():
        _, layer, part = name.split(".")
        data = base64.b64encode(np.ascontiguousarray(tensor, "<f4").tobytes()).decode()
        layers[int(layer)][part] = {"shape": list(tensor.shape), "data": data}
    hyperparameters = member.network.hyperparameters
    return {
        "layers": layers,
        "votes": member.votes,
        **{name: hyperparameters[name] for name in ("normalize", "activation", "output")},
    }


def _onnx(model: Model) -> bytes:
    try:
        from hpsearch.export.onnx_file import onnx_model  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(f"-o model.onnx: needs the package {error.name}: pip install 'hpsearch[onnx]'") from None
    return onnx_model(model)


KINDS: dict[str, Callable[[Model], bytes]] = {
    ".py": _numpy_file,
    ".onnx": _onnx,
    ".safetensors": _one_safetensors,
}
