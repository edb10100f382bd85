"""A name to a model with its tokenizer: built in, in a package, a folder on disk, or the hub; knows nothing of its use.

Only safetensors, JSON and GGUF are read, and no code from a folder is ever run.
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.models.anatomy import Anatomy, dissect
from engine.models.fetch import INDEX, PICKLES, WEIGHTS, fetching
from engine.models.fingerprint import fingerprint_of
from engine.models.packaged import converting
from engine.models.reading import quiet, read_config, read_tokenizer
from engine.models.stored import SIDECAR, load_pruned
from engine.record.beforehand import model_folder
from engine.record.catalogue import FAMILIES, packaged
from engine.record.errors import BadInput, counted, shorten
from engine.record.events import ModelLoaded
from engine.record.lifecycle import Progressed
from engine.record.paths import kind_of
from engine.record.steps import ended

Finding = Generator[Progressed, None, Path]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model in evaluation mode, ready to be read and pruned; `folder` is where its files lie.

    `revision` is the commit of a model from the hub, None for all others.
    """

    name: str
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    anatomy: Anatomy
    folder: Path
    revision: str | None = None


def load(name: str | PathLike[str], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Loaded:
    """Find a model by its name and read it; raises `BadInput` as `finding` and `read` do."""
    return read(name, ended(finding(name)), device=device, dtype=dtype)


def read(name: str | PathLike[str], folder: Path, *, device: str | torch.device, dtype: torch.dtype = torch.float32) -> Loaded:
    """The model in a folder, dense or saved by us, under the name by which it was asked for.

    It comes in `dtype`, whatever it was stored in. Raises `BadInput` for an architecture that is not supported, for weights that
    are stored as pickles only, and for files that are missing or broken.
    """
    name = fspath(name)
    if kind_of(folder / SIDECAR, "model folder") == "file":
        model, tokenizer = load_pruned(folder)
        for parameter in model.parameters():  # not `model.to(dtype)`, which would round the rotary frequencies too
            parameter.data = parameter.data.to(dtype)
        if tokenizer is None:
            raise BadInput(f"{shorten(name)} was saved without its tokenizer; load it with `load_pruned`, or save it with one.")
    else:
        model, tokenizer = _dense(folder, dtype), read_tokenizer(folder)
    model = model.to(torch.device(device))
    anatomy = dissect(model)
    _try_out(model, folder)
    revision = folder.name if folder.parent.name == "snapshots" else None  # so the hub's cache names its folders
    return Loaded(name, model, tokenizer, anatomy, folder, revision)


def _try_out(model: nn.Module, folder: Path) -> None:
    """Refuse a model that cannot read a single token: a config may go through and still describe none that works."""
    try:
        with torch.inference_mode():
            logits = model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device), use_cache=False).logits
    except (RuntimeError, ValueError, IndexError) as error:
        raise BadInput(f"The model in {shorten(str(folder))} does not run: {shorten(str(error), 160)}.") from error
    if not bool(logits.isfinite().all()):  # [1, 1, vocabulary]
        raise BadInput(f"The model in {shorten(str(folder))} gives logits that are not finite; its weights are damaged.")


def finding(name: str | PathLike[str]) -> Finding:
    """The folder of a model by its name in the catalogue, by its path, or by its id on the hub, which may name a revision:
    `facebook/opt-350m@refs/pr/5`. Says how far a download or a conversion is.

    Raises `BadInput`, of which `UnknownName` is one, for a name that is nowhere, a package that is not installed, and a hub that
    cannot be reached or says no.
    """
    if (folder := model_folder(name)) is not None:
        return folder
    if (carried := packaged(fspath(name))) is not None:
        return (yield from converting(carried))
    hub_id, _, revision = fspath(name).partition("@")
    return (yield from fetching(hub_id, revision or None))


def finding_again(told: ModelLoaded) -> Finding:
    """The folder of the model that an event tells of: the same commit where it came from the hub, whatever is newest there now.

    Raises `BadInput` as `finding` does.
    """
    hub_id = told.model.partition("@")[0]
    return (yield from finding(told.model if told.revision is None else f"{hub_id}@{told.revision}"))


def check_same(loaded: Loaded, told: ModelLoaded) -> None:
    """Raise `BadInput` where the weights are others than those that an event tells of: what a run knows is not known of them."""
    if told.fingerprint and fingerprint_of(loaded.model) != told.fingerprint:
        raise BadInput(
            f"The weights of {shorten(told.model)} are not those that this run has pruned: they were changed since. Put those "
            "back in their place, or begin a new run."
        )


def _dense(folder: Path, dtype: torch.dtype) -> nn.Module:
    model_class, config = read_config(folder)
    if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = (
            f"only {shorten(', '.join(pickles))}, which are pickles or the like and are never opened" if pickles else "no weights"
        )
        raise BadInput(f"{shorten(str(folder))} holds {found}; this project reads {WEIGHTS} only, so convert the weights first.")
    try:
        with quiet():
            model, report = model_class.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # else it raises without a name; refused by name below
            )
    except (OSError, ValueError, RuntimeError, KeyError, ZeroDivisionError, SafetensorError) as error:
        raise BadInput(f"The weights in {shorten(str(folder))} cannot be read: {shorten(str(error), 200)}.") from error
    for kind in ("missing_keys", "mismatched_keys"):
        if report[kind]:
            # transformers would go on with random numbers in their place
            raise BadInput(
                f"The weights in {shorten(str(folder))} do not fit its config ({kind}: {shorten(sorted(report[kind]))})."
            )
    # Of other keys that are left over some are harmless: masks and frequencies that older versions kept with the weights.
    layers = FAMILIES.load(config.model_type.replace("_", "-")).FAMILY.layers.rpartition(".")[2]
    numbers = [int(found[1]) for key in report["unexpected_keys"] if (found := re.search(rf"(?:^|\.){layers}\.(\d+)\.", key))]
    if max(numbers, default=0) >= config.num_hidden_layers:
        found = f"weights of {counted(max(numbers) + 1, 'layer')}, and its config speaks of {config.num_hidden_layers}"
        raise BadInput(f"{shorten(str(folder))} holds {found}; take the config that belongs to the weights.")
    return model
