"""Saving a cut model to a folder, and loading it in one line; safetensors and JSON only, the format is `engine.models.stored`'s.

Knows nothing of runs: where the folder lies and what is said about the model is the caller's business.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

import safetensors.torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from engine.models.anatomy import dissect, family_of
from engine.models.narrow import config_of, fill, hollow, kept_of, skeleton
from engine.models.reading import quiet
from engine.models.stored import (
    BUFFERS,
    FORMAT,
    GENERATION,
    SIDECAR,
    WEIGHTS,
    Stored,
    check_dtypes,
    groups_kept,
    load_pruned,
    seal_of,
    weights_of,
)
from engine.pruning.card import card
from engine.pruning.gates import has_closed
from engine.record.digests import digest
from engine.record.errors import BadInput, shorten
from engine.record.whole_folder import put_whole

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
    there before is replaced. `about` is what is known of the model: any of `base`, `espalier`, `recipe`, `history`, `protocol`
    and `results`, as `engine.models.stored.Stored` has them; it goes into `pruning.json` and into the model card. Raises
    `BadInput` for an `about` that is no such thing, a folder that holds something else, a model with closed gates, which are no
    weights and would be lost, and a model that could not be loaded again.
    """
    folder = Path(folder).resolve()
    if folder.exists() and not (folder.is_dir() and ((folder / SIDECAR).is_file() or not any(folder.iterdir()))):
        raise BadInput(f"{shorten(str(folder))} holds something that is no saved model; name a new folder or an empty one.")
    stored, tensors = describe(model, tokenizer is not None, about or {})
    dense = dissect(hollow(type(model), config_of(model)))

    def write(place: Path) -> None:
        write_model(place, model, tensors, tokenizer)
        write_record(place, stored)
        (place / "README.md").write_text(card(stored, dense, dissect(model), folder.name), encoding="utf-8")

    put_whole(folder, write)


def describe(model: nn.Module, tokenizer: bool, about: Mapping[str, object]) -> tuple[Stored, dict[str, Tensor]]:
    """What the files of a model will hold: the record, still without the digest of the weights, and the weights."""
    if has_closed(model):
        raise BadInput(
            "This model has units closed by gates, which are no weights: saved like this it would come back without them; save "
            "what cut(model, plan) returns, with the plan of those units."
        )
    family, _ = family_of(model)
    kept = kept_of(model)
    with quiet():
        empty = skeleton(type(model), config_of(model), kept)
    known = dict(empty.named_parameters(remove_duplicate=False))
    every = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    fill(empty, every)  # refuses here, before anything is written, what could not be loaded again
    tensors, shared = weights_of(model)
    check_dtypes((name for name, _ in model.named_parameters()), tensors)
    layers = [
        {"heads": heads, "groups": groups_kept(heads, layer.heads, layer.groups) if heads else [], "neurons": neurons}
        for layer, heads, neurons in zip(dissect(model).layers, kept.heads, kept.neurons, strict=True)
    ]
    facts = {
        "format": FORMAT,
        "family": family,
        "layers": layers,
        "added_biases": [name for name, _ in model.named_parameters() if name not in known],
        "shared": shared,
        "attention": "eager" if model.config._attn_implementation == "eager" else "sdpa",
        "tokenizer": tokenizer,
    }
    ours = {*facts, "sha256", "files", "seal", "dense_config"}
    if taken := sorted(ours.intersection(about)):
        raise BadInput(f"about names {shorten(taken[0])}, which the model itself tells; leave it out.")
    try:
        return Stored.model_validate_json(json.dumps({**facts, **about}, allow_nan=False, default=_plain)), tensors
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"about is wrong at {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"about is {shorten(about)}, which is no JSON ({error}); give strings, finite numbers, lists, dicts."
        ) from error


def write_model(folder: Path, model: nn.Module, tensors: Mapping[str, Tensor], tokenizer: PreTrainedTokenizerBase | None) -> None:
    """The weights, the config, the settings of generation and the tokenizer, under the names that transformers gives them."""
    safetensors.torch.save_file(dict(tensors), folder / WEIGHTS, metadata={"format": "pt"})
    config = config_of(model)
    config.architectures = [type(model).__name__]
    config.dtype = model.dtype
    config.to_json_file(folder / "config.json")
    model.generation_config.to_json_file(folder / GENERATION)
    if tokenizer is not None:
        with quiet():
            tokenizer.save_pretrained(folder)


def write_record(folder: Path, stored: Stored) -> None:
    """`pruning.json`, with the digests of the files that lie there and its own."""
    files = {name: digest(folder / name) for name in ("config.json", BUFFERS) if (folder / name).is_file()}
    whole = stored.model_copy(update={"sha256": digest(folder / WEIGHTS), "files": files})
    sealed = whole.model_copy(update={"seal": seal_of(whole.model_dump(mode="json"))})
    (folder / SIDECAR).write_text(sealed.model_dump_json() + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"a {type(value).__name__} is none")
