"""A cut model in a folder for other programs: smaller and plain where a config can say so, or dense with zeros; knows no run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.models.anatomy import dissect
from engine.models.narrow import config_of, hollow
from engine.models.plain import Plain, smaller, with_biases, zeroed
from engine.models.reading import quiet
from engine.models.stored import BUFFERS, Stored, weights_of
from engine.pruning.card import RECORD, Form, card
from engine.pruning.checkpoint import describe, save, write_model, write_record
from engine.record.errors import BadInput, shorten
from engine.record.whole_folder import put_whole

PROBE = (2, 32)  # rows and tokens of the random text on which logits are compared


@dataclass(frozen=True)
class Exported:
    """What was written.

    `form` is "plain" or "pruned" (the smaller model, that transformers reads or that it does not, for the reason `why`) or
    "dense". `left_out` names the biases that could not be kept, `difference` is the largest between the logits of what was
    written and those of the cut model, on random tokens: of a dense model as transformers reads it from the folder, which also
    shows what a config or a buffer that is made anew does to it, of a smaller one as it was in memory. `parameters` are those of
    what was written.
    """

    form: Form
    parameters: int
    difference: float
    left_out: tuple[str, ...] = ()
    why: str = ""


def check_new(folder: Path) -> None:
    """Raise `BadInput` for a folder that holds something already, and for a file."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BadInput(f"{shorten(str(folder))} is not empty; name a new folder.")


def export(
    model: nn.Module,
    folder: str | Path,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    about: Mapping[str, object] | None = None,
    dense: bool = False,
    notes: Sequence[str] = (),
) -> tuple[Exported, Plain | None]:
    """Write a cut model to a new folder; return what was written, and the model that a plain config describes if there is one.

    Smaller: `load_pruned` reads it, and plain transformers too where every layer has the same widths and the config has words
    for them. Dense: in the shapes of the dense model, zeros where units went, for plain transformers. `about` is that of `save`,
    `notes` are sentences for the card. Raises `BadInput` for a folder that is not empty.
    """
    folder = Path(folder).resolve()
    check_new(folder)
    stored, _ = describe(model, tokenizer is not None, about or {})
    try:
        made = zeroed(model) if dense else smaller(model)
    except BadInput as error:
        save(model, folder, tokenizer=tokenizer, about=about)
        return Exported("pruned", dissect(model).parameters, 0.0, why=str(error)), None
    form: Form = "dense" if dense else "plain"
    put_whole(folder, lambda place: _write(place, folder.name, form, model, made, stored, tokenizer, notes))
    difference = _difference(model, _read_back(folder, made.model) if dense else made.model)
    return Exported(form, dissect(made.model).parameters, difference, made.left_out), made


def _write(
    place: Path,
    name: str,
    form: Form,
    model: nn.Module,
    made: Plain,
    stored: Stored,
    tokenizer: PreTrainedTokenizerBase | None,
    notes: Sequence[str],
) -> None:
    tensors, shared = weights_of(made.model)
    buffers = {buffer for buffer, _ in made.model.named_buffers()}
    write_model(place, made.model, {key: one for key, one in tensors.items() if key not in buffers}, tokenizer)
    if form == "plain":
        safetensors.torch.save_file({key: one for key, one in tensors.items() if key in buffers}, place / BUFFERS)
        facts = json.loads(with_biases(model).to_json_string(use_diff=False))
        write_record(place, stored.model_copy(update={"dense_config": facts, "shared": shared}))
    else:
        (place / RECORD).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
    shapes = dissect(hollow(type(model), config_of(model)))
    if made.left_out:
        notes = [*notes, f"Left out were {len(made.left_out)} biases that compensation added, for which the config has no word."]
    (place / "README.md").write_text(card(stored, shapes, dissect(model), name, form, notes), encoding="utf-8")


def _read_back(folder: Path, like: nn.Module) -> nn.Module:
    """What transformers makes of a folder, in the dtype and on the device of the model that was written there."""
    with quiet():
        model = type(like).from_pretrained(folder, dtype=like.dtype, use_safetensors=True, local_files_only=True)
    return model.to(like.device).eval()


def _difference(one: nn.Module, other: nn.Module) -> float:
    rows, length = PROBE
    anatomy, device = dissect(one), next(one.parameters()).device
    size = (rows, min(length, anatomy.context))
    tokens = torch.randint(0, anatomy.vocabulary, size, generator=torch.Generator().manual_seed(0)).to(device)  # [rows, length]
    with torch.inference_mode():
        logits = [each(input_ids=tokens, use_cache=False).logits for each in (one, other)]  # [rows, length, vocabulary]
    return (logits[0] - logits[1]).abs().max().item()
