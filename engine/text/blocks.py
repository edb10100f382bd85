"""Packs documents into blocks of tokens of one length, without padding, and refuses those that no model could read; knows nothing
of models or corpora."""

from collections.abc import Iterable
from typing import Any

import torch

from engine.record.errors import BadInput, counted

AHEAD = 16  # how many times the limit is read, at most, to space the blocks over; tokenising a whole library takes minutes


def pack(documents: Iterable[str], tokenizer: Any, length: int, limit: int | None = None) -> torch.Tensor:
    """Tokenise `documents`, join them by the end-of-text token and chop the whole into blocks.

    Returns a LongTensor `[n, length]`. The remainder that fills no block is dropped, so that no token is padding. `limit` takes
    only as many whole blocks as fit into that many tokens, evenly spaced over the text (over its first `AHEAD` times as many
    tokens where it is longer), so that a few thousand tokens are of many documents and not of the first one. Raises `BadInput`
    where the documents do not fill one block, and for a tokenizer without an end-of-text token.
    """
    if length < 2:
        raise BadInput(f"sequence length {length} is too short: a block needs at least 2 tokens, one to read and one to predict.")
    if limit is not None and limit < length:
        raise BadInput(f"a limit of {limit} tokens does not fill one block of {length}; raise the limit or shorten the sequence.")
    end = tokenizer.eos_token_id
    if end is None:
        raise BadInput("this tokenizer has no end-of-text token to put between documents; choose a model whose tokenizer has.")
    tokens: list[int] = []
    for document in documents:
        # verbose=False: a document longer than the model's context is no mistake here, it is about to be chopped.
        tokens += tokenizer(document, add_special_tokens=False, verbose=False)["input_ids"]
        tokens.append(end)
        if limit is not None and len(tokens) >= AHEAD * limit:
            break
    count = len(tokens) // length
    if not count:
        raise BadInput(f"the text has {len(tokens)} tokens, one block takes {length}; give a longer text or a shorter sequence.")
    blocks = torch.tensor(tokens[: count * length], dtype=torch.long).view(count, length)  # [count, length]
    chosen = count if limit is None else min(count, limit // length)
    return blocks[torch.arange(chosen) * count // chosen]  # [n, length]


def check_blocks(blocks: torch.Tensor, context: int, vocabulary: int) -> None:
    """Raise `BadInput` for `blocks` that are not [n, length] with something to predict, that are longer than the `context` of a
    model, or that hold a token which it does not know: its own are 0 to `vocabulary` − 1."""
    if blocks.dim() != 2 or blocks.numel() == 0:
        raise BadInput(f"The blocks have the shape {tuple(blocks.shape)}; give [n, length] with at least one token.")
    length, lowest, highest = blocks.shape[1], int(blocks.min()), int(blocks.max())
    if not 2 <= length <= context:
        raise BadInput(f"The blocks are {counted(length, 'token')} long; this model takes 2 to {context}.")
    if lowest < 0 or highest >= vocabulary:  # on a GPU an index that is out of range ends the process
        raise BadInput(
            f"The blocks hold tokens {lowest} to {highest}, and the model knows 0 to {vocabulary - 1}; pack the text with the "
            "model's own tokenizer."
        )
