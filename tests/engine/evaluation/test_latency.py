"""Tests of engine/evaluation/latency.py: two models are timed in turn, on the same tokens."""

import time

import pytest
import torch
from torch import nn

from engine.evaluation.latency import BATCH_SIZES, REPEATS, compare
from tests.families import logits, make, tokens


class Slow(nn.Module):
    """A model that takes a known time for a pass and remembers what it was given."""

    def __init__(self, name: str, seconds: float, log: list):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.name, self.seconds, self.log = name, seconds, log

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> None:
        """Sleep; `use_cache` must be off, since a cache is no part of one pass."""
        self.log.append((self.name, tuple(input_ids.shape), use_cache, torch.is_inference_mode_enabled()))
        time.sleep(self.seconds)


def test_the_slower_model_takes_longer_by_what_it_sleeps():
    """Medians in seconds, of passes in turn, the first pair not counted."""
    log = []
    found = list(compare(Slow("dense", 0.02, log), Slow("cut", 0.005, log), tokens(4, 9), batch_sizes=(1, 3)))
    assert [(one.batch, one.length, one.repeats) for one in found] == [(1, 9, REPEATS), (3, 9, REPEATS)]
    for one in found:
        assert 0.02 <= one.dense < 0.2 and 0.005 <= one.cut < one.dense
    passes = [("dense", (1, 9)), ("cut", (1, 9))] * (REPEATS + 1) + [("dense", (3, 9)), ("cut", (3, 9))] * (REPEATS + 1)
    assert [entry[:2] for entry in log] == passes
    assert {entry[2:] for entry in log} == {(False, True)}


@pytest.mark.parametrize("count, sizes", [(1, [1]), (7, [1]), (8, [1, 8]), (20, [1, 8])])
def test_a_batch_larger_than_the_text_is_left_out(count, sizes):
    """Rather than filled up with the same rows."""
    log = []
    found = compare(Slow("dense", 0.0, log), Slow("cut", 0.0, log), tokens(count, 4))
    assert [one.batch for one in found] == sizes and set(sizes) <= set(BATCH_SIZES)


def test_timing_changes_no_model():
    """Neither weights nor mode; no gradient is kept."""
    dense, cut = make("gpt2"), make("gpt2", seed=1)
    before = logits(dense), logits(cut)
    assert all(one.dense > 0 and one.cut > 0 for one in compare(dense, cut, tokens(2, 8), batch_sizes=(2,)))
    assert torch.equal(logits(dense), before[0]) and torch.equal(logits(cut), before[1])
    assert not dense.training and all(one.grad is None for one in dense.parameters())
