"""Statistics on disk: each need a file of its own, named by the model and the text that it is of; knows not how they are
gathered.

What another model's weights gave is never read, since its hash is another. A file is written beside its place and renamed, so
that two processes may share a folder. One that cannot be read, or holds anything else, counts as not there.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy
from engine.pruning.statistics import FIELDS, Inputs, Statistics

FORMAT = "1"  # another one where the same need comes to mean another number


def hash_of(model: nn.Module) -> str:
    """What tells a model from every other: its class, its config, its weights and their shapes. Hooks, and so gates, do not
    count."""
    found = hashlib.sha256(f"{type(model).__name__} {model.config.to_json_string()}".encode())
    for name, tensor in model.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def hash_of_text(blocks: LongTensor) -> str:
    """What tells blocks of text [n, length] from all others, their shape included."""
    return hashlib.sha256(f"{tuple(blocks.shape)}".encode() + blocks.cpu().contiguous().numpy().tobytes()).hexdigest()


def write(folder: Path, model: str, text: str, statistics: Statistics, anatomy: Anatomy) -> None:
    """Keep all that was gathered, each need in its file; `model` and `text` are hashes. A full disk keeps nothing and is no
    error."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for need in sorted(statistics.gathered):
        tensors = {
            f"{part}.{layer.index}.{field}": tensor
            for part in ("attention", "mlp")
            for layer, inputs in zip(anatomy.layers, getattr(statistics, part), strict=True)
            for field in FIELDS[need]
            if (tensor := getattr(inputs, field)) is not None
        }
        _put(folder / _name(model, text, need), tensors, {"tokens": str(statistics.tokens)})


def read(folder: Path, model: str, text: str, need: str, anatomy: Anatomy) -> Statistics | None:
    """What was kept of one need; None where that is nothing, or not what `write` writes."""
    path = folder / _name(model, text, need)
    try:
        with safe_open(path, framework="pt") as file:
            tokens = (file.metadata() or {}).get("tokens", "")
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (OSError, SafetensorError):
        return None
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if not tokens.isdecimal() or shapes != dict(_shapes(need, anatomy)):
        return None
    parts = [tuple(_inputs(tensors, part, layer.index, need) for layer in anatomy.layers) for part in ("attention", "mlp")]
    return Statistics(int(tokens), frozenset({need}), *parts)


def _shapes(need: str, anatomy: Anatomy) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name and the shape of every tensor that is kept of one need."""
    for layer in anatomy.layers:
        sizes = {"attention": (layer.heads * layer.head_width, layer.heads), "mlp": (layer.neurons, layer.neurons)}
        for part, (channels, units) in sizes.items():
            shapes = {"rms": (channels,), "mean": (channels,), "summed": (channels, channels)}
            for field in FIELDS[need]:
                if (part, field) != ("mlp", "losses"):
                    yield f"{part}.{layer.index}.{field}", shapes.get(field, (units,))


def _inputs(tensors: dict[str, Tensor], part: str, layer: int, need: str) -> Inputs:
    return Inputs(**{field: tensors.get(f"{part}.{layer}.{field}") for field in FIELDS[need]})


def _name(model: str, text: str, need: str) -> str:
    return f"{model[:20]}-{text[:20]}-{need}-{FORMAT}.safetensors"


def _put(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        safetensors.torch.save_file(tensors, beside, about)
        os.replace(beside, path)
    except (OSError, SafetensorError):
        os.unlink(beside)
