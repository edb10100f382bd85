"""Saving a cut model to a folder, and loading it in one line; safetensors and JSON only, the format is `engine.models.stored`'s.

Knows nothing of runs: where the folder lies and what is said about the model is the caller's business.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from engine.models.anatomy import family_of
from engine.models.narrow import fill, kept_of, skeleton
from engine.models.reading import quiet
from engine.models.stored import FORMAT, GENERATION, SIDECAR, WEIGHTS, Stored, StoredLayer, load_pruned
from engine.record.errors import BadInput, shorten

__all__ = ["load_pruned", "save"]


def save(
    model: nn.Module,
    folder: str | Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    about: Mapping[str, object] | None = None,
) -> None:
    """Write a model, cut or dense, to a folder that `load_pruned` reads back with the same logits, bit for bit.

    The folder is written beside its place and renamed, so that it is there whole or not at all; a saved model that stood
    there before is replaced. `about` is kept as it is in `pruning.json`. Raises `BadInput` for an `about` that is no JSON, a
    folder that holds something else, and a model that could not be loaded again.
    """
    folder = Path(folder).resolve()
    if folder.exists() and not (folder.is_dir() and ((folder / SIDECAR).is_file() or not any(folder.iterdir()))):
        raise BadInput(f"{shorten(str(folder))} holds something that is no saved model; name a new folder or an empty one.")
    stored, tensors = _describe(model, tokenizer is not None, about or {})
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(beside / "new", model, stored, tensors, tokenizer)
        _swap(beside, folder)
    finally:
        shutil.rmtree(beside)


def _swap(beside: Path, folder: Path) -> None:
    old = beside / "old"
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(beside / "new", folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise


def _describe(model: nn.Module, tokenizer: bool, about: Mapping[str, object]) -> tuple[Stored, dict[str, Tensor]]:
    family, _ = family_of(model)
    kept = kept_of(model)
    with quiet():
        empty = skeleton(type(model), deepcopy(model.config), kept)
    known = dict(empty.named_parameters(remove_duplicate=False))
    every = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    fill(empty, every)  # refuses here, before anything is written, what could not be loaded again
    names: dict[int, str] = {}
    shared = {name: names[id(one)] for name, one in every.items() if names.setdefault(id(one), name) != name}
    tensors = {name: one.detach().cpu().contiguous() for name, one in every.items() if name not in shared}
    stored = Stored(
        format=FORMAT,
        family=family,
        layers=[
            StoredLayer(heads=list(heads), neurons=list(neurons)) for heads, neurons in zip(kept.heads, kept.neurons, strict=True)
        ],
        biases=[name for name, _ in model.named_parameters() if name not in known],
        shared=shared,
        attention="eager" if model.config._attn_implementation == "eager" else "sdpa",
        tokenizer=tokenizer,
        about=_plain(about),
    )
    return stored, tensors


def _write(
    folder: Path, model: nn.Module, stored: Stored, tensors: dict[str, Tensor], tokenizer: PreTrainedTokenizerBase | None
) -> None:
    folder.mkdir()
    safetensors.torch.save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = model.dtype
    config.to_json_file(folder / "config.json")
    model.generation_config.to_json_file(folder / GENERATION)
    (folder / SIDECAR).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
    if tokenizer is not None:
        with quiet():
            tokenizer.save_pretrained(folder)


def _plain(about: Mapping[str, object]) -> dict[str, object]:
    try:
        return json.loads(json.dumps(dict(about), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"about is {shorten(about)}, which is no JSON ({error}); give strings, finite numbers, lists, dicts."
        ) from error
