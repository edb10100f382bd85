"""A name to a model with its tokenizer: built in, in a package, a folder on disk, or the hub; knows nothing of its use.

Only safetensors, JSON and GGUF are read, and no code from a folder is ever run.
"""

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
from engine.models.packaged import converting
from engine.models.reading import quiet, read_config, read_tokenizer
from engine.models.stored import SIDECAR, load_pruned
from engine.record.catalogue import BUILTIN, check_model, model_names, packaged
from engine.record.errors import BadInput, UnknownName, shorten
from engine.record.lifecycle import Progressed

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
    steps = finding(name)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return read(name, end.value, device=device, dtype=dtype)


def read(name: str | PathLike[str], folder: Path, *, device: str | torch.device, dtype: torch.dtype = torch.float32) -> Loaded:
    """The model in a folder, dense or saved by us, under the name by which it was asked for.

    It comes in `dtype`, whatever it was stored in. Raises `BadInput` for an architecture that is not supported, for weights that
    are stored as pickles only, and for files that are missing or broken.
    """
    name = fspath(name)
    if (folder / SIDECAR).is_file():
        model, tokenizer = load_pruned(folder)
        for parameter in model.parameters():  # not `model.to(dtype)`, which would round the rotary frequencies too
            parameter.data = parameter.data.to(dtype)
        if tokenizer is None:
            raise BadInput(f"{shorten(name)} was saved without its tokenizer; load it with `load_pruned`, or save it with one.")
    else:
        model, tokenizer = _dense(folder, dtype), read_tokenizer(folder)
    model = model.to(torch.device(device))
    revision = folder.name if folder.parent.name == "snapshots" else None  # so the hub's cache names its folders
    return Loaded(name, model, tokenizer, dissect(model), folder, revision)


def finding(name: str | PathLike[str]) -> Finding:
    """The folder of a model by its name in the catalogue, by its path, or by its id on the hub, which may name a revision:
    `facebook/opt-350m@refs/pr/5`. Says how far a download or a conversion is.

    Raises `BadInput`, of which `UnknownName` is one, for a name that is nowhere, a package that is not installed, and a hub that
    cannot be reached or says no.
    """
    name = fspath(name)
    if not name.strip():
        raise UnknownName("model", name, model_names())
    if (BUILTIN / name / "config.json").is_file() and Path(name).name == name:
        return BUILTIN / name
    if (carried := packaged(name)) is not None:
        return (yield from converting(carried))
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if Path(name).expanduser().is_file():
        raise BadInput(f"{shorten(name)} is a file; name the folder that holds the model's config.json.")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 and "@" not in name:
        raise BadInput(
            f"There is no folder {shorten(name)}; name a folder that holds a config.json, a built-in model or a hub id."
        )
    hub_id, _, revision = check_model(name).partition("@")
    return (yield from fetching(hub_id, revision or None))


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
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise BadInput(f"The weights in {shorten(str(folder))} cannot be read: {shorten(str(error), 200)}.") from error
    for kind in ("missing_keys", "mismatched_keys"):
        if report[kind]:
            # transformers would go on with random numbers in their place
            raise BadInput(
                f"The weights in {shorten(str(folder))} do not fit its config ({kind}: {shorten(sorted(report[kind]))})."
            )
    return model
