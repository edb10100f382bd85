"""Which batch and which learning rate belong to a step: pure functions of seed and step, which know no model.

Nothing here remembers the step before, so a training that goes on at step k reads what it would have read anyway.
"""

import math

import torch
from torch import LongTensor


def learning_rate(step: int, steps: int, peak: float, warmup: float, decay: str = "cosine") -> float:
    """The rate of the optimizer step `step` (0 … steps − 1): a linear rise to `peak` over the first `warmup` share of the
    steps, then by `decay` half a "cosine" or a line ("linear") that would reach 0 at `steps`, or "constant", the peak itself. The
    cosine: Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts."""
    rising = math.ceil(warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)  # 0 to 1
    return peak * {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[decay]


def batch(blocks: LongTensor, step: int, size: int, seed: int) -> LongTensor:
    """The `size` blocks of step `step`, `[size, length]`: every epoch is a shuffle of its own, and none is cut short.

    A batch that reaches past the end of an epoch takes its last blocks from the next one.
    """
    count = len(blocks)
    places = range(step * size, (step + 1) * size)
    orders = {epoch: _shuffle(count, epoch, seed) for epoch in {place // count for place in places}}
    chosen = [int(orders[place // count][place % count]) for place in places]
    return blocks[chosen]  # [size, length]


def _shuffle(count: int, epoch: int, seed: int) -> LongTensor:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator)  # [count]
