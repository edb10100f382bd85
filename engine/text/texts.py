"""The text of a run as one model reads it: its splits in blocks of tokens, each worked out once; knows nothing of training."""

from typing import Any

from torch import LongTensor

from engine.record.beforehand import check_length
from engine.record.errors import BadInput, blaming
from engine.text.blocks import pack
from engine.text.corpora import Splits

SPLITS = ("train", "calibration", "evaluation")


class Texts:
    """The splits of a corpus with the tokenizer of a model, and the blocks made of them so far."""

    def __init__(self, splits: Splits, tokenizer: Any, context: int, vocabulary: int):
        self.splits = splits
        self.tokenizer = tokenizer
        self.context = context  # the most positions that the model can take
        self.vocabulary = vocabulary  # how many tokens the model knows
        self._blocks: dict[tuple[str, int, int | None], LongTensor] = {}

    def blocks(self, split: str, length: int, tokens: int | None = None, field: str = "") -> LongTensor:
        """Blocks `[n, length]` of "train", "calibration" or "evaluation", of at most `tokens` tokens (None: all).

        `field` is the part of the recipe that asks. Raises `BadInput`, blaming its length for one over the model's context,
        the corpus for a split too short for one block, and the model for a tokenizer that has tokens which it does not know.
        """
        check_length(length, self.context, field)
        key = (split, length, tokens)
        if key not in self._blocks:
            with blaming("corpus"):
                blocks = pack(getattr(self.splits, split), self.tokenizer, length, tokens)  # [n, length]
            with blaming("model"):
                self._check(int(blocks.max()))
            self._blocks[key] = blocks
        return self._blocks[key]

    def _check(self, highest: int) -> None:
        if highest >= self.vocabulary:  # torch would end in an index that is out of range, or on a GPU with the process
            raise BadInput(
                f"The tokenizer makes token {highest} of this text, and the model knows 0 to {self.vocabulary - 1}; the folder "
                "holds the tokenizer of another model."
            )
