"""Perplexity with its protocol: packed blocks, every predicted token counted once; knows nothing of documents or pruning.

perplexity = exp(sum of -log p / number of predicted tokens), over all blocks together. A mean of per-batch perplexities,
or a loss that counts padding, is another number. Jelinek, Mercer, Bahl, Baker (1977), "Perplexity: a measure of the
difficulty of speech recognition tasks".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from engine.models.modes import evaluating
from engine.record.errors import BadInput
from engine.text.blocks import check_blocks

AT_ONCE = 8  # sequences that are read at once
PIECE = 64  # tokens whose losses are taken at once: what comes of more is asked of the system anew each time, which takes as long


@dataclass(frozen=True)
class Evaluation:
    """`nll`: the sum of -log p in nats; `tokens`: how many were predicted (a block's first is not); `perplexity`: at least 1."""

    nll: float
    tokens: int
    perplexity: float


def evaluate(model: nn.Module, blocks: torch.Tensor, batch_size: int = AT_ONCE) -> Evaluation:
    """Measure a causal language model on `blocks`, a LongTensor `[n, length]` as `pack` makes it.

    Every module is left in the mode (train or eval) in which it came. Raises `BadInput` for blocks that predict nothing, that are
    longer than the model's context, or that hold tokens which it does not know.
    """
    return total(batches(model, blocks, batch_size))


def total(parts: Iterator[tuple[float, int]] | list[tuple[float, int]]) -> Evaluation:
    """Add up the (nll, tokens) of batches, however many there are."""
    nlls, counts = zip(*parts, strict=True)
    nll, tokens = math.fsum(nlls), sum(counts)
    # torch's exp gives infinity where math.exp raises: a model pruned to rubble has a perplexity, if no finite one.
    return Evaluation(nll, tokens, torch.tensor(nll / tokens, dtype=torch.float64).exp().item())


def batches(model: nn.Module, blocks: torch.Tensor, batch_size: int = AT_ONCE) -> Iterator[tuple[float, int]]:
    """Yield (nll in nats, predicted tokens) for one batch after another, so that a caller can report, pause or stop.

    Between two batches every module is in the mode in which it came: whoever stops here leaves nothing behind.
    """
    check_blocks(blocks, model.config.max_position_embeddings, model.get_input_embeddings().weight.shape[0])
    if batch_size < 1:
        raise BadInput(f"batch size {batch_size} is impossible; give at least 1.")
    device = next(model.parameters()).device
    for batch in blocks.split(batch_size):
        yield _measure(model, batch.to(device)), batch.shape[0] * (batch.shape[1] - 1)


def _measure(model: nn.Module, batch: torch.Tensor) -> float:
    with evaluating(model), torch.inference_mode():
        logits = model(input_ids=batch, use_cache=False).logits  # [batch, length, vocabulary]
        return nats(logits, batch)


def nats(logits: torch.Tensor, batch: torch.Tensor) -> float:
    """The sum of -log p of all predicted tokens of `batch` [batch, length], from its logits [batch, length, vocabulary]."""
    # Row by row: a float32 copy of all logits of a 50,000-word vocabulary would be the largest tensor of the run.
    return sum(_row(row, tokens) for row, tokens in zip(logits, batch, strict=True))


def _row(logits: torch.Tensor, tokens: torch.Tensor) -> float:
    pieces = zip(logits[:-1].split(PIECE), tokens[1:].split(PIECE), strict=True)
    losses = torch.cat([_losses(*piece) for piece in pieces])  # [length - 1]
    return losses.cpu().double().sum().item()  # here: not every device has float64


def _losses(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    exact = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(exact, tokens, reduction="none")  # [tokens]
