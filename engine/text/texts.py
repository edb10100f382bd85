"""The text of a run as one model reads it: its splits in blocks of tokens, each worked out once; knows nothing of training."""

from typing import Any

from torch import LongTensor

from engine.record.errors import BadInput, blaming
from engine.text.blocks import pack
from engine.text.corpora import Splits

SPLITS = ("train", "calibration", "evaluation")


class Texts:
    """The splits of a corpus with the tokenizer of a model, and the blocks made of them so far."""

    def __init__(self, splits: Splits, tokenizer: Any, context: int):
        self.splits = splits
        self.tokenizer = tokenizer
        self.context = context  # the most positions that the model can take
        self._blocks: dict[tuple[str, int, int | None], LongTensor] = {}

    def blocks(self, split: str, length: int, tokens: int | None = None, field: str = "") -> LongTensor:
        """Blocks `[n, length]` of "train", "calibration" or "evaluation", of at most `tokens` tokens (None: all).

        `field` is the part of the recipe that asks. Raises `BadInput`, blaming its length for one over the model's context,
        and the corpus for a split too short for one block.
        """
        if length > self.context:
            with blaming(f"{field}.sequence_length" if field else ""):
                asked = f"{field}.sequence_length {length}".lstrip(".")
                raise BadInput(f"{asked} is more than the {self.context} positions of this model; give at most {self.context}.")
        key = (split, length, tokens)
        if key not in self._blocks:
            with blaming("corpus"):
                self._blocks[key] = pack(getattr(self.splits, split), self.tokenizer, length, tokens)  # [n, length]
        return self._blocks[key]
