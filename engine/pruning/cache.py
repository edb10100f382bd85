"""Statistics on disk: each need a file of its own, named by the model and the text that it is of; knows not how they are
gathered.

What another model's weights gave is never read, since its hash is another. A file is written beside its place and renamed, so
that two processes may share a folder. It carries the digest of what is in it: one that cannot be read, that was damaged, or that
holds anything else counts as not there.

Models as they were loaded may be asked for at any time, and their files stay. Every training makes other weights, and of those
only one set of files is kept, that of the last which was read: what is of any other is gathered anew where an undo leads there.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy
from engine.pruning.statistics import FIELDS, Inputs, Statistics
from engine.record.digests import digest_of

FORMAT = "1"  # another one where the same need comes to mean another number
CHANGED = "changed-"  # how the names begin of what is of weights that are not as they were loaded


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


def write(folder: Path, model: str, text: str, statistics: Statistics, anatomy: Anatomy, changed: bool = False) -> None:
    """Keep all that was gathered, each need in its file; `model` and `text` are hashes. A disk that takes no more, or no folder
    there, is no error: what was not kept is gathered anew.

    `changed` says that the weights are not as they were loaded: what is there of other weights of which that was said goes.
    """
    with suppress(OSError, SafetensorError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob(f"{CHANGED}*") if changed else ():
            if not path.name.startswith(_of(model, changed)):
                path.unlink(missing_ok=True)
        for need in sorted(statistics.gathered):
            tensors = {
                f"{part}.{layer.index}.{field}": tensor
                for part in ("attention", "mlp")
                for layer, inputs in zip(anatomy.layers, getattr(statistics, part), strict=True)
                for field in FIELDS[need]
                if (tensor := getattr(inputs, field)) is not None
            }
            path, tokens = folder / _name(model, text, need, changed), str(statistics.tokens)
            _put(path, tensors, {"tokens": tokens, "sha256": _digest(path.name, tokens, tensors)})


def read(folder: Path, model: str, text: str, need: str, anatomy: Anatomy, changed: bool = False) -> Statistics | None:
    """What was kept of one need; None where that is nothing, or not what `write` writes."""
    path = folder / _name(model, text, need, changed)
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (OSError, SafetensorError):
        return None
    tokens, shapes = about.get("tokens", ""), {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if about.get("sha256") != _digest(path.name, tokens, tensors) or shapes != dict(_shapes(need, anatomy)):
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


def _digest(name: str, tokens: str, tensors: dict[str, Tensor]) -> str:
    """What tells a file of that name, with so many tokens and these tensors and their dtypes and shapes, from all others."""
    return digest_of({"file": name, "tokens": tokens} | {key: _told(tensor) for key, tensor in tensors.items()})


def _told(tensor: Tensor) -> str:
    numbers = hashlib.sha256(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return f"{tensor.dtype} {tuple(tensor.shape)} {numbers.hexdigest()}"


def _name(model: str, text: str, need: str, changed: bool) -> str:
    return f"{_of(model, changed)}{text[:20]}-{need}-{FORMAT}.safetensors"


def _of(model: str, changed: bool) -> str:
    """How the names begin of all that is of one model."""
    return f"{CHANGED if changed else ''}{model[:20]}-"


def _put(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        safetensors.torch.save_file(tensors, beside, about)
        os.replace(beside, path)
    except BaseException:  # Ctrl-C too
        os.unlink(beside)
        raise
