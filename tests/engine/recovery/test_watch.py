"""Tests of engine/recovery/watch.py: when to stop, and that the best weights come back to the bit."""

import math

import pytest
import torch
from torch import nn

from engine.recovery.watch import Watch


def seen(losses: list[float], patience: int = 0, guard: float = 0.0) -> tuple[Watch, list[str], nn.Parameter]:
    """A watch over one weight that is set to the number of the validation before each."""
    weight = nn.Parameter(torch.zeros(1))
    watch, said = Watch([weight], patience, guard), []
    for step, loss in enumerate(losses):
        weight.data.fill_(step)
        said.append(watch.see(step, loss))
    return watch, said, weight


def test_patience_counts_validations_without_a_lower_loss():
    """Equal is not lower; a lower one begins the count anew."""
    watch, said, weight = seen([3.0, 2.0, 2.0, 1.0, 1.5, 1.0], patience=2)
    assert [bool(words) for words in said] == [False] * 5 + [True]
    assert (watch.best, watch.lowest) == (3, 1.0)
    watch.go_back()
    assert weight.item() == 3


def test_a_rail_is_there_once_the_model_was_below_it():
    """A model that starts above it comes down first; what is at it is not above it."""
    _, said, _ = seen([5.0, 4.0, math.log(50), math.log(50), 3.92], guard=50.0)
    assert [bool(words) for words in said] == [False, False, False, False, True]
    assert said[-1] == "the validation perplexity rose to 50.4, above 50"


def test_who_asks_for_nothing_gets_no_copies():
    """And hears nothing."""
    watch, said, _ = seen([1.0, 2.0, 3.0, 99.0])
    assert not watch.looks and not any(said) and not watch._kept


@pytest.mark.parametrize("loss", [1000.0, 1e300])
def test_a_loss_beyond_all_bounds_is_told(loss):
    """Its perplexity has no number of its own."""
    assert "rose to" in seen([1.0, loss], guard=50.0)[1][-1]


def test_in_danger_the_best_is_kept_although_nobody_asked():
    """What was lower before that was not kept and cannot come back; what is no lower than the first is not kept at all."""
    watch, said, weight = seen([5.0, 2.0, 4.0])
    watch.danger(2, 4.0)
    assert watch.keeps and (watch.best, watch.lowest) == (2, 4.0) and not watch.looks
    weight.data.fill_(3)
    assert watch.see(3, 4.5) == ""
    watch.go_back()
    assert weight.item() == 2
    lost, _, _ = seen([1.0, 2.0])
    lost.danger(1, 2.0)
    assert not lost.keeps
