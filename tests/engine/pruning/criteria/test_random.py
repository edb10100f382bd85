"""Tests of the random criterion: chance, and nothing but chance."""

import torch

from engine.models.anatomy import dissect
from engine.pruning.criteria import random
from tests.families import LAYERS, make


def test_another_seed_gives_other_scores():
    """And torch's own seed has no part in it."""
    anatomy = dissect(make("gpt2"))
    torch.manual_seed(0)
    one = random.score(None, anatomy, None, 0)
    torch.manual_seed(1)
    assert random.score(None, anatomy, None, 0) == one
    assert random.score(None, anatomy, None, 1) != one


def test_scores_are_spread_evenly_over_zero_to_one():
    """The mean of many is one half, and no layer gets what another got."""
    anatomy = dissect(make("gpt2"))
    drawn = [score for seed in range(50) for of_layer in random.score(None, anatomy, None, seed).neurons for score in of_layer]
    assert 0 <= min(drawn) < 0.01 and 0.99 < max(drawn) < 1
    assert abs(sum(drawn) / len(drawn) - 0.5) < 0.02
    assert len(set(random.score(None, anatomy, None, 0).heads)) == LAYERS
