"""A name to a model with its tokenizer: built in, in a package, a folder on disk, or the hub; knows nothing of its use.

Only safetensors, JSON and GGUF are read, and no code from a folder is ever run.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.failures import is_shortage
from engine.models.anatomy import Anatomy, dissect, supported
from engine.models.fetch import PICKLES, fetching
from engine.models.fingerprint import fingerprint_of
from engine.models.headers import WEIGHTS, dtypes, weight_files
from engine.models.packaged import converting
from engine.models.reading import MISFITS, quiet, read_config, read_tokenizer
from engine.models.stored import SIDECAR, load_pruned
from engine.models.unused import check_plain, left_out
from engine.record.beforehand import model_folder
from engine.record.catalogue import FAMILIES, packaged
from engine.record.errors import Away, BadInput, counted, shorten
from engine.record.events import ModelLoaded
from engine.record.lifecycle import Degraded, Progressed
from engine.record.paths import kind_of
from engine.record.steps import ended

Finding = Generator[Progressed, None, Path]
LEAKING = 1e-4  # of the largest logit: rounding of half precision is passed over, were there any between two passes alike


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model in evaluation mode, ready to be read and pruned; `folder` is where its files lie.

    `revision` is the commit of a model from the hub, None for all others. `left_out` names the tensors in its files that it does
    not compute with: heads for other tasks.
    """

    name: str
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    anatomy: Anatomy
    folder: Path
    revision: str | None = None
    left_out: tuple[str, ...] = ()


def load(name: str | PathLike[str], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Loaded:
    """Find a model by its name and read it; raises `BadInput` as `finding` and `read` do."""
    device = device_of(device)  # before a download that could be of no use here
    return read(name, ended(finding(name)), device=device, dtype=dtype)


def load_again(loaded: Loaded, device: str, fingerprint: str) -> nn.Module:
    """Another copy of a model that was loaded, from the same folder: the hub need not be asked again, and may have another
    revision by now. Raises `Away` where it cannot be read any more, or has other weights than those of `fingerprint`."""
    try:
        model = load(loaded.folder, device=device).model
        if fingerprint_of(model) != fingerprint:
            raise BadInput(f"The weights in {shorten(str(loaded.folder))} were changed since they were read.")
    except BadInput as error:
        raise Away("the model", error) from error
    return model


def read(name: str | PathLike[str], folder: Path, *, device: str | torch.device, dtype: torch.dtype = torch.float32) -> Loaded:
    """The model in a folder, dense or saved by us, under the name by which it was asked for.

    It comes in `dtype`, whatever it was stored in. Raises `BadInput` for a device that is not there, for an architecture that is
    not supported, for weights that are quantised or stored as pickles only or that the model has no place for, and for files that
    are missing or broken.
    """
    name, unused, device = fspath(name), (), device_of(device)
    if kind_of(folder / SIDECAR, "model folder") == "file":
        model, tokenizer = load_pruned(folder)
        for parameter in model.parameters():  # not `model.to(dtype)`, which would round the rotary frequencies too
            parameter.data = parameter.data.to(dtype)
        if tokenizer is None:
            raise BadInput(f"{shorten(name)} was saved without its tokenizer; load it with `load_pruned`, or save it with one.")
    else:
        (model, unused), tokenizer = _dense(folder, dtype), read_tokenizer(folder)
    model = model.to(device)
    anatomy = dissect(model)
    _try_out(model, anatomy, folder)
    revision = folder.name if folder.parent.name == "snapshots" else None  # so the hub's cache names its folders
    return Loaded(name, model, tokenizer, anatomy, folder, revision, unused)


def devices() -> dict[str, int]:
    """How many devices of each kind are on this machine."""
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {"cuda": cuda, "mps": int(torch.backends.mps.is_available()), "cpu": 1}


def device_of(name: str | torch.device) -> torch.device:
    """The device of a name, such as `cpu`, `cuda` or `cuda:1`; raises `BadInput` for one that is not on this machine, and for
    what is the name of none."""
    there = devices()
    found = ", ".join(f"{kind}:{index}" if count > 1 else kind for kind, count in there.items() for index in range(count))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadInput(f"device {shorten(name)} is the name of none; use one of: {found}.") from error
    if (device.index or 0) >= there.get(device.type, 0):
        raise BadInput(f"device {shorten(str(device))} is not on this machine; use one of: {found}.")
    return device


def _try_out(model: nn.Module, anatomy: Anatomy, folder: Path) -> None:
    """Refuse a model that cannot read two tokens, and one in which the first of them sees the second: a config may go through and
    still describe none that works, or an encoder."""
    first = torch.zeros(1, min(2, anatomy.context), dtype=torch.long, device=model.device)  # [1, tokens]
    other = torch.cat([first[:, :1], torch.full_like(first[:, 1:], anatomy.vocabulary - 1)], dim=1)  # [1, tokens]
    try:
        with torch.inference_mode():
            logits, changed = (model(input_ids=each, use_cache=False).logits for each in (first, other))
    except MISFITS as error:
        if is_shortage(error):  # no fault of the model's
            raise
        raise BadInput(f"The model in {shorten(str(folder))} does not run: {shorten(str(error), 160)}.") from error
    if not bool(logits.isfinite().all()):  # [1, tokens, vocabulary]
        raise BadInput(f"The model in {shorten(str(folder))} gives logits that are not finite; its weights are damaged.")
    if (logits - changed)[:, 0].abs().max() > LEAKING * logits.abs().max():
        raise BadInput(
            f"The model in {shorten(str(folder))} is an encoder: what it says after a token depends on the tokens that follow; "
            f"supported are causal language models of the types {supported()}."
        )


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


def degraded(loaded: Loaded) -> Iterator[Degraded]:
    """What there is to say of what was left out of a model that was read; nothing where nothing was."""
    if loaded.left_out:
        asked = f"the model with {shorten(', '.join(loaded.left_out), 160)}"
        yield Degraded(asked, "the language model alone", "they are of a head for another task, on which no logit depends")


def _dense(folder: Path, dtype: torch.dtype) -> tuple[nn.Module, tuple[str, ...]]:
    """The model and what was left out of it."""
    model_class, config = read_config(folder)
    files = weight_files(folder)
    if not files:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        found = (
            f"only {shorten(', '.join(pickles))}, which are pickles or the like and are never opened" if pickles else "no weights"
        )
        raise BadInput(f"{shorten(str(folder))} holds {found}; this project reads {WEIGHTS} only, so convert the weights first.")
    check_plain(folder, dtypes(files))
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
    except (OSError, SafetensorError, *MISFITS) as error:
        if is_shortage(error):  # no fault of the file's
            raise
        raise BadInput(f"The weights in {shorten(str(folder))} cannot be read: {shorten(str(error), 200)}.") from error
    for kind in ("missing_keys", "mismatched_keys"):
        if report[kind]:
            # transformers would go on with random numbers in their place
            raise BadInput(
                f"The weights in {shorten(str(folder))} do not fit its config ({kind}: {shorten(sorted(report[kind]))})."
            )
    layers = FAMILIES.load(config.model_type.replace("_", "-")).FAMILY.layers.rpartition(".")[2]
    numbers = [int(found[1]) for key in report["unexpected_keys"] if (found := re.search(rf"(?:^|\.){layers}\.(\d+)\.", key))]
    if max(numbers, default=0) >= config.num_hidden_layers:
        found = f"weights of {counted(max(numbers) + 1, 'layer')}, and its config speaks of {config.num_hidden_layers}"
        raise BadInput(f"{shorten(str(folder))} holds {found}; take the config that belongs to the weights.")
    return model, left_out(folder, model_class.__name__, report["unexpected_keys"])
