"""Packs documents into blocks of tokens of one length, without padding; knows nothing of models or corpora."""

from collections.abc import Iterable
from typing import Any

import torch

from engine.record.errors import BadInput


def pack(documents: Iterable[str], tokenizer: Any, length: int, limit: int | None = None) -> torch.Tensor:
    """Tokenise `documents`, join them by the end-of-text token and chop the whole into blocks.

    Returns a LongTensor `[n, length]`. The remainder that fills no block is dropped, so that no token is padding; `limit`
    takes only as many whole blocks as fit into that many tokens, from the front. Raises `BadInput` where the documents do
    not fill one block, and for a tokenizer without an end-of-text token.
    """
    if length < 2:
        raise BadInput(f"sequence length {length} is too short: a block needs at least 2 tokens, one to read and one to predict.")
    if limit is not None and limit < length:
        raise BadInput(f"a limit of {limit} tokens does not fill one block of {length}; raise the limit or shorten the sequence.")
    end = tokenizer.eos_token_id
    if end is None:
        raise BadInput("this tokenizer has no end-of-text token to put between documents; choose a model whose tokenizer has.")
    wanted = None if limit is None else limit // length * length
    tokens: list[int] = []
    for document in documents:
        # verbose=False: a document longer than the model's context is no mistake here, it is about to be chopped.
        tokens += tokenizer(document, add_special_tokens=False, verbose=False)["input_ids"]
        tokens.append(end)
        if wanted is not None and len(tokens) >= wanted:
            break
    blocks = len(tokens) // length if wanted is None else min(len(tokens), wanted) // length
    if not blocks:
        raise BadInput(f"the text has {len(tokens)} tokens, one block takes {length}; give a longer text or a shorter sequence.")
    return torch.tensor(tokens[: blocks * length], dtype=torch.long).view(blocks, length)  # [n, length]
