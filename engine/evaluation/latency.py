"""How long a forward pass takes, and how much memory, of two models in turn, so that a busy machine slows both alike; knows
nothing of quality."""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import LongTensor, nn

from engine.evaluation.memory import peak
from engine.record.costs import Latency, Memory

REPEATS = 7  # at most
ENOUGH = 3  # repeats that there are however long they take
PATIENCE = 20.0  # seconds, after which there are no more repeats than that
BATCH_SIZES = (1, 8)


def compare(
    dense: nn.Module, cut: nn.Module, blocks: LongTensor, batch_sizes: tuple[int, ...] = BATCH_SIZES
) -> Iterator[tuple[Latency, Memory]]:
    """Yield, for each batch size, what prefill costs and then what decoding costs, over that many rows of `blocks` `[n, length]`.

    Each pair of passes follows one pass of either model that is not timed. Memory is measured apart, since that takes time of its
    own. Batch sizes beyond the number of blocks are left out, and decoding where a row has fewer than three tokens.
    """
    for size, what in workloads(blocks, batch_sizes):
        tokens = blocks[:size].to(next(dense.parameters()).device)  # [size, length]
        begin, repeats = (_prefill, REPEATS) if what == "prefill" else (_decode, min(REPEATS, tokens.shape[1] - 2))
        *seconds, measured = _medians([begin(model, tokens)[0] for model in (dense, cut)], repeats, tokens.device)
        most = [_most(*begin(model, tokens), tokens.device) for model in (dense, cut)]
        yield Latency(size, tokens.shape[1], *seconds, measured, what), Memory(size, tokens.shape[1], *most, what)


def workloads(blocks: LongTensor, batch_sizes: tuple[int, ...] = BATCH_SIZES) -> list[tuple[int, str]]:
    """The (batch size, "prefill" or "decode") that `compare` measures on these blocks, in order."""
    works = ("prefill", "decode") if blocks.shape[1] >= 3 else ("prefill",)
    return [(size, what) for size in batch_sizes if size <= len(blocks) for what in works]


def _prefill(model: nn.Module, tokens: LongTensor) -> tuple[Callable[[], None], int]:
    """A pass over all tokens [batch, length], and the bytes that it finds kept: none."""

    def read() -> None:
        with torch.inference_mode():
            model(input_ids=tokens, use_cache=False)

    return read, 0


def _decode(model: nn.Module, tokens: LongTensor) -> tuple[Callable[[], None], int]:
    """A pass over the next of the last `REPEATS` + 1 tokens, and the bytes of keys and values that the first pass finds kept."""
    start = max(1, tokens.shape[1] - REPEATS - 1)
    with torch.inference_mode():
        cache = model(input_ids=tokens[:, :start], use_cache=True).past_key_values
    places = iter(range(start, tokens.shape[1]))

    def write() -> None:
        place = next(places)
        with torch.inference_mode():
            model(input_ids=tokens[:, place : place + 1], past_key_values=cache, use_cache=True)

    return write, sum(one.nbytes for layer in cache.layers for one in (layer.keys, layer.values))


def _most(run: Callable[[], None], kept: int, device: torch.device) -> int | None:
    found = peak(run, device)
    return None if found is None else kept + found


def _medians(passes: list[Callable[[], None]], repeats: int, device: torch.device) -> tuple[float, float, int]:
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for run, found in zip(passes, times, strict=True):
            seconds = _seconds(run, device)
            if repeat:
                found.append(seconds)
        if repeat >= ENOUGH and sum(map(sum, times)) > PATIENCE:
            break
    return statistics.median(times[0]), statistics.median(times[1]), len(times[0])


def _seconds(run: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
