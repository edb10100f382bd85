"""Tests of engine/evaluation/latency.py: two models are measured in turn on the same tokens, reading them and adding to them."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import DynamicCache

from engine.evaluation import latency
from engine.evaluation.latency import BATCH_SIZES, REPEATS, compare, workloads
from tests.families import FAMILIES, logits, make, tokens

PREFILL, DECODE = "prefill", "decode"


class Slow(nn.Module):
    """A model that takes a known time for a token, keeps what it was given in a cache, and remembers it."""

    def __init__(self, name: str, seconds: float, log: list):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.name, self.seconds, self.log = name, seconds, log

    def forward(self, input_ids: torch.Tensor, use_cache: bool, past_key_values: DynamicCache | None = None) -> SimpleNamespace:
        """Sleep, and keep one key and one value of four bytes for every token where that is asked for."""
        seen = past_key_values.get_seq_length() if past_key_values is not None else 0
        self.log.append((self.name, tuple(input_ids.shape), seen, torch.is_inference_mode_enabled()))
        time.sleep(self.seconds * input_ids.shape[1])
        cache = (past_key_values or DynamicCache()) if use_cache else None
        if cache is not None:
            kept = torch.zeros(input_ids.shape[0], 1, input_ids.shape[1], 1)  # [batch, heads, tokens, width]
            cache.update(kept, kept.clone(), 0)
        return SimpleNamespace(past_key_values=cache)


def test_the_slower_model_takes_longer_by_what_it_sleeps():
    """Medians in seconds, of passes in turn, for reading all tokens and for adding one."""
    log = []
    found = [one for one, _ in compare(Slow("dense", 0.004, log), Slow("cut", 0.001, log), tokens(4, 12), batch_sizes=(1, 3))]
    sizes = [(1, PREFILL), (1, DECODE), (3, PREFILL), (3, DECODE)]
    assert [(one.batch, one.what) for one in found] == sizes and {(one.length, one.repeats) for one in found} == {(12, REPEATS)}
    for one in found:
        passes = 12 if one.what == PREFILL else 1
        assert 0.004 <= one.dense / passes < 0.04 and 0.001 <= one.cut / passes < one.dense / passes
    assert all(inferring for *_, inferring in log)


def test_passes_are_taken_in_turn_and_decoding_goes_on_from_the_tokens_before():
    """Each pass after one of the other model; every decoded token finds all tokens before it in the cache."""
    log = []
    list(compare(Slow("dense", 0, log), Slow("cut", 0, log), tokens(4, 12), batch_sizes=(3,)))
    turns = 2 * (REPEATS + 1)
    read, kept, write = log[:turns], log[turns + 2 : turns + 4], log[turns + 4 : turns + 4 + turns]
    assert read == [(name, (3, 12), 0, True) for _ in range(REPEATS + 1) for name in ("dense", "cut")]
    assert kept == [(name, (3, 4), 0, True) for name in ("dense", "cut")]
    assert write == [(name, (3, 1), place, True) for place in range(4, 12) for name in ("dense", "cut")]


@pytest.mark.parametrize("count, sizes", [(1, [1]), (7, [1]), (8, [1, 8]), (20, [1, 8])])
def test_a_batch_larger_than_the_text_is_left_out(count, sizes):
    """Rather than filled up with the same rows."""
    found = compare(Slow("dense", 0.0, []), Slow("cut", 0.0, []), tokens(count, 4))
    assert [(one.batch, one.what) for one, _ in found] == [(size, what) for size in sizes for what in (PREFILL, DECODE)]
    assert workloads(tokens(count, 4)) == [(size, what) for size in sizes for what in (PREFILL, DECODE)]
    assert set(sizes) <= set(BATCH_SIZES)


@pytest.mark.parametrize("length, decoded", [(2, None), (3, 1), (8, 6), (9, REPEATS)])
def test_short_texts_give_fewer_decoded_tokens_or_none(length, decoded):
    """One token to begin with, one that is not timed, and as many as are left."""
    found = {one.what: one.repeats for one, _ in compare(Slow("dense", 0, []), Slow("cut", 0, []), tokens(1, length))}
    assert found == {PREFILL: REPEATS} | ({} if decoded is None else {DECODE: decoded})


def test_a_slow_model_is_not_timed_more_often_than_is_enough(monkeypatch):
    """The number of passes is told with their median."""
    monkeypatch.setattr(latency, "PATIENCE", 0.0)
    found = list(compare(Slow("dense", 0.001, []), Slow("cut", 0.001, []), tokens(1, 12), batch_sizes=(1,)))
    assert [one.repeats for one, _ in found] == [latency.ENOUGH] * 2


def test_the_memory_of_decoding_counts_what_is_kept():
    """The two tensors that the cache keeps, and one of them once more while it grows."""
    (_, read), (_, written) = compare(Slow("dense", 0, []), Slow("cut", 0, []), tokens(8, 12), batch_sizes=(8,))
    assert (read.what, read.dense, read.cut) == (PREFILL, 0, 0)
    before, after, token = 4 * 8 * 4, 5 * 8 * 4, 8 * 4  # bytes of a float32 for each of 8 rows and 4, 5 or 1 tokens
    assert written.what == DECODE and 2 * before < written.dense == written.cut <= 2 * before + after + 2 * token + after


@pytest.mark.parametrize("name", FAMILIES)
def test_measuring_changes_no_model(name):
    """Neither weights nor mode; no gradient is kept."""
    dense, cut = make(name), make(name, seed=1)
    before = logits(dense), logits(cut)
    for time_, memory in compare(dense, cut, tokens(2, 12), batch_sizes=(2,)):
        assert time_.dense > 0 and time_.cut > 0 and memory.dense == memory.cut > 0
    assert torch.equal(logits(dense), before[0]) and torch.equal(logits(cut), before[1])
    assert not dense.training and all(one.grad is None for one in dense.parameters())
