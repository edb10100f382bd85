"""Which tensors of a model folder its model does not compute with, and which are no plain numbers; reads no weights.

transformers passes over what it does not know, and turns every number that it does know into the dtype that is asked for. Both
make another model out of a quantised one: its scales are left out, and its bytes are read as if they were the weights.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.models.anatomy import supported
from engine.record.errors import BadInput, counted, shorten

PLAIN = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}  # as the files spell them
# Masks, positions and frequencies, which older versions of transformers kept with the weights and which are computed now.
COMPUTED = ("attn.bias", "attention.bias", "masked_bias", "inv_freq", "position_ids", "decoder.version")
ROTARY = "rotary_emb"  # a module that holds nothing else
# Heads for other tasks beside that of the language model, by the name of their module: no logit depends on them.
HEADS = ("v_head", "value_head", "multiple_choice_head", "score", "classifier", "qa_outputs")


def check_plain(folder: Path, dtypes: Mapping[str, str]) -> None:
    """Raise `BadInput` for tensors of a folder, by name and dtype, that are no plain floating-point numbers."""
    for name, dtype in dtypes.items():
        if dtype not in PLAIN and not _is_computed(name):
            raise BadInput(
                f"{shorten(str(folder))} holds quantised weights ({shorten(name, 120)} in {shorten(dtype)}), which cannot be "
                f"pruned; take the unquantised model, in {', '.join(PLAIN.values())}, of a type among {supported()}."
            )


def left_out(folder: Path, model: str, names: Iterable[str]) -> tuple[str, ...]:
    """The heads for other tasks among the tensors of a folder that a model, of the class of that name, does not know.

    What is computed now is passed over. Raises `BadInput` for all others, such as the bias of a projection that has none or the
    scale of a quantised one: without them the logits would be another model's.
    """
    found = sorted(name for name in names if not _is_computed(name))
    wrong = [name for name in found if name.partition(".")[0] not in HEADS]
    if wrong:
        raise BadInput(
            f"{shorten(str(folder))} holds {counted(len(wrong), 'tensor')} that a {model} of its config does not have "
            f"({shorten(wrong, 160)}), and would be another model without; take the config that belongs to the weights."
        )
    return tuple(found)


def _is_computed(name: str) -> bool:
    return f".{name}".endswith(tuple(f".{one}" for one in COMPUTED)) or ROTARY in name.split(".")
