"""Tests of engine/recovery/schedule.py against plain loops: a step's batch and rate depend on seed and number alone."""

import math
import random

import pytest
import torch

from engine.recovery.schedule import batch, learning_rate


@pytest.mark.parametrize("steps, warmup", [(1, 0.0), (1, 1.0), (10, 0.0), (10, 0.1), (10, 0.35), (200, 0.1), (7, 1.0)])
def test_the_rate_rises_in_a_line_and_falls_with_half_a_cosine(steps, warmup):
    """Step by step against the formula written as a loop."""
    rising, rates = math.ceil(warmup * steps), []
    for step in range(rising):
        rates.append(0.01 * (step + 1) / rising)
    for step in range(steps - rising):
        rates.append(0.01 * (1 + math.cos(math.pi * step / (steps - rising))) / 2)
    assert [learning_rate(step, steps, 0.01, warmup) for step in range(steps)] == pytest.approx(rates, rel=1e-12)


@pytest.mark.parametrize("steps, warmup", [(1, 0.0), (10, 0.1), (100, 0.37), (200, 0.1), (7, 1.0)])
def test_the_rate_reaches_its_peak_once_and_never_passes_or_loses_it_all(steps, warmup):
    """No step is made at 0, the first and the last included."""
    rates = [learning_rate(step, steps, 0.01, warmup) for step in range(steps)]
    assert max(rates) == pytest.approx(0.01) and min(rates) > 0
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize("decay, ends", [("cosine", 0.0), ("linear", 0.0), ("constant", 2.0)])
def test_every_decay_begins_at_the_peak_and_ends_where_it_says(decay, ends):
    """After the same warm-up; a line is a line, and half a cosine is above it in its first half."""
    rates = [learning_rate(step, 100, 2.0, 0.2, decay) for step in range(100)]
    assert rates[:20] == [learning_rate(step, 100, 2.0, 0.2) for step in range(20)] and rates[20] == 2.0
    assert learning_rate(100, 100, 2.0, 0.2, decay) == pytest.approx(ends)
    line = [2.0 * (100 - step) / 80 for step in range(20, 100)]
    if decay == "linear":
        assert rates[20:] == pytest.approx(line)
    if decay == "cosine":
        assert all(rate >= straight for rate, straight in zip(rates[20:60], line[:40], strict=True))


def read_in_order(count: int, size: int, steps: int, seed: int) -> list[list[int]]:
    """The numbers of the blocks of each step, by a loop that goes through epoch after epoch."""
    epochs, stream = 0, []
    while len(stream) < size * steps:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epochs)
        stream += torch.randperm(count, generator=generator).tolist()
        epochs += 1
    return [stream[step * size : (step + 1) * size] for step in range(steps)]


@pytest.mark.parametrize("count, size", [(10, 3), (10, 10), (3, 10), (1, 4), (16, 4)])
def test_batches_are_epochs_shuffled_and_cut_into_pieces(count, size):
    """Against the loop; asked for in any order, so that nothing is remembered between two steps."""
    blocks = torch.arange(count * 2).view(count, 2)
    wanted = read_in_order(count, size, 12, seed=5)
    for step in random.Random(0).sample(range(12), 12):
        found = batch(blocks, step, size, seed=5)
        assert found.shape == (size, 2) and found.dtype == torch.long
        assert torch.equal(found, blocks[wanted[step]])


def test_every_block_is_read_once_in_an_epoch():
    """Four batches of four are sixteen blocks, each once; the next epoch has another order."""
    blocks = torch.arange(16)[:, None]
    first, second = (
        [block for step in steps for block in batch(blocks, step, 4, 0)[:, 0].tolist()] for steps in (range(4), range(4, 8))
    )
    assert sorted(first) == sorted(second) == list(range(16)) and first != second


def test_seeds_read_in_different_orders():
    """And the same one in the same."""
    blocks = torch.arange(32)[:, None]
    assert torch.equal(batch(blocks, 0, 8, 1), batch(blocks, 0, 8, 1))
    assert not torch.equal(batch(blocks, 0, 8, 1), batch(blocks, 0, 8, 2))


def test_the_global_random_state_is_left_alone():
    """Neither read nor moved."""
    before = torch.get_rng_state()
    batch(torch.arange(8)[:, None], 3, 4, 0)
    assert torch.equal(torch.get_rng_state(), before)
