"""How long a forward pass takes, of two models in turn, so that a busy machine slows both alike; knows nothing of quality."""

import statistics
import time
from collections.abc import Iterator

import torch
from torch import LongTensor, nn

from engine.record.events import Latency

REPEATS = 7
BATCH_SIZES = (1, 8)


def compare(
    dense: nn.Module, cut: nn.Module, blocks: LongTensor, batch_sizes: tuple[int, ...] = BATCH_SIZES
) -> Iterator[Latency]:
    """Yield, for each batch size, the median seconds of one forward pass over that many rows of `blocks` `[n, length]`.

    Each pair of passes follows one pass of either model that is not timed. Batch sizes beyond the number of blocks are left out.
    """
    for size in batch_sizes:
        if size > len(blocks):
            continue
        tokens = blocks[:size].to(next(dense.parameters()).device)  # [size, length]
        times: dict[str, list[float]] = {"dense": [], "cut": []}
        for repeat in range(REPEATS + 1):
            for name, model in (("dense", dense), ("cut", cut)):
                seconds = _seconds(model, tokens)
                if repeat:
                    times[name].append(seconds)
        medians = {name: statistics.median(found) for name, found in times.items()}
        yield Latency(size, tokens.shape[1], medians["dense"], medians["cut"], REPEATS)


def _seconds(model: nn.Module, tokens: LongTensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        model(input_ids=tokens, use_cache=False)
    if tokens.device.type == "cuda":
        torch.cuda.synchronize(tokens.device)
    return time.perf_counter() - start
