"""A name to a model with its tokenizer: built in, a folder on disk, or the hub; knows nothing of what is done with it.

Only safetensors and JSON are read, and no code from a folder is ever run.
"""

import re
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.models.anatomy import Anatomy, dissect
from engine.models.reading import quiet, read_config, read_tokenizer
from engine.models.stored import SIDECAR, WEIGHTS, load_pruned
from engine.record.catalogue import BUILTIN, FAMILIES, check_model, model_names
from engine.record.errors import BadInput, UnknownName, shorten
from engine.record.paths import kind_of, typed

INDEX = "model.safetensors.index.json"
# What a model folder on the hub holds besides weights; the same weights in other formats are left there.
SMALL = ["*.json", "*.txt", "tokenizer.model"]
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model in evaluation mode, ready to be read and pruned; `folder` is where its files lie."""

    name: str
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    anatomy: Anatomy
    folder: Path


def load(name: str | PathLike[str], *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Loaded:
    """Load a model by the name of a built-in one, by the path of a folder (dense or saved by us), or by its id on the hub.

    A hub id may name a revision: `facebook/opt-350m@refs/pr/5`. The model comes in `dtype`, whatever it was stored in. Raises
    `BadInput`, of which `UnknownName` is one, for a name that is nowhere, a hub that cannot be reached, a model that asks
    for permission, an architecture that is not supported, weights that are stored as pickles only, and files that are broken.
    """
    name = fspath(name)
    if not name.strip():
        raise UnknownName("model", name, model_names())
    folder = _folder(name)
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
    return Loaded(name, model, tokenizer, anatomy, folder)


def _try_out(model: nn.Module, folder: Path) -> None:
    """Refuse a model that cannot read a single token: a config may go through and still describe none that works."""
    try:
        with torch.inference_mode():
            logits = model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device), use_cache=False).logits
    except (RuntimeError, ValueError, IndexError) as error:
        raise BadInput(f"The model in {shorten(str(folder))} does not run: {shorten(str(error), 160)}.") from error
    if not bool(logits.isfinite().all()):  # [1, 1, vocabulary]
        raise BadInput(f"The model in {shorten(str(folder))} gives logits that are not finite; its weights are damaged.")


def _folder(name: str) -> Path:
    if name in (path.parent.name for path in BUILTIN.glob("*/config.json")):
        return BUILTIN / name
    folder = typed(name, "model folder")
    kind = kind_of(folder, "model folder")
    if kind == "folder":
        return folder
    if kind != "nothing":
        raise BadInput(f"{shorten(name)} is a file; name the folder that holds the model's config.json.")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 and "@" not in name:
        raise BadInput(
            f"There is no folder {shorten(name)}; name a folder that holds a config.json, a built-in model or a hub id."
        )
    return _fetched(name)


def _dense(folder: Path, dtype: torch.dtype) -> nn.Module:
    model_class, config = read_config(folder)
    if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
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
        found = f"weights of {max(numbers) + 1} layers, and its config speaks of {config.num_hidden_layers}"
        raise BadInput(f"{shorten(str(folder))} holds {found}; take the config that belongs to the weights.")
    return model


def _fetched(name: str) -> Path:
    """The folder in the hub's cache; what is there already is used when the hub cannot be reached."""
    hub_id, _, revision = name.partition("@")
    check_model(hub_id)
    try:
        with quiet():
            # The config first, so that a model that is not supported is refused before its gigabytes are fetched.
            folder = snapshot_download(hub_id, revision=revision or None, allow_patterns=["config.json"])
            read_config(Path(folder))
            wanted = [*SMALL, WEIGHTS, INDEX, "model-*.safetensors"]
            return Path(snapshot_download(hub_id, revision=revision or None, allow_patterns=wanted, ignore_patterns=["*/*"]))
    except HFValidationError:
        raise UnknownName("model", name, model_names()) from None
    except GatedRepoError as error:
        raise BadInput(
            f"The model {shorten(name)} asks for permission; accept its terms on {constants.ENDPOINT}/{hub_id} and log in "
            "with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise BadInput(
            f"The model {shorten(name)} is neither a folder here nor a public model on {constants.ENDPOINT}; check its name, or "
            "log in with `hf auth login` if it is private."
        ) from error
    except RevisionNotFoundError as error:
        raise BadInput(
            f"The model {shorten(hub_id)} has no revision {shorten(revision)}; leave it out for the main one."
        ) from error
    except LocalEntryNotFoundError as error:
        raise BadInput(_unreachable(name)) from error
    except EntryNotFoundError as error:
        raise BadInput(f"The model {shorten(name)} on {constants.ENDPOINT} is incomplete: {shorten(str(error), 120)}.") from error
    except (HfHubHTTPError, HTTPError) as error:  # the second: a proxy or a connection that breaks off
        raise BadInput(f"{constants.ENDPOINT} could not serve {shorten(name)}: {shorten(str(error), 120)}.") from error


def _unreachable(name: str) -> str:
    builtin = ", ".join(sorted(path.parent.name for path in BUILTIN.glob("*/config.json")))
    return (
        f"The model {shorten(name)} is not on this machine and {constants.ENDPOINT} cannot be reached; connect to the network, "
        f"or use a built-in model: {builtin}."
    )
