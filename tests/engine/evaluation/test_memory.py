"""Tests of engine/evaluation/memory.py: the peak is that of the tensors that live at once, and not of what was there before."""

import pytest
import torch
from torch import nn

from engine.evaluation.memory import peak
from tests.families import FAMILIES, make, tokens

CPU = torch.device("cpu")
KIB = 256  # float32 numbers in a KiB


def test_what_lives_at_once_is_added_and_what_is_gone_is_not():
    """Two tensors of 1 and 2 KiB together, then one of 2 alone."""

    def work():
        one = torch.zeros(KIB)
        two = torch.cat((one, one))
        del one, two
        return torch.zeros(2 * KIB)

    assert peak(work, CPU) == 3 * 1024


def test_views_and_what_was_there_before_take_nothing():
    """Neither a transposed weight nor a change in place."""
    weight = torch.ones(KIB, 4)

    def work():
        weight.T[:2].expand(3, 2, KIB)
        weight.mul_(2)

    assert peak(work, CPU) == 0


def test_giving_back_what_was_there_before_counts():
    """What replaces a tensor of the same size once that is gone needs no more than there was."""
    held = [torch.zeros(KIB)]

    def work():
        held[0].add_(1)
        held.clear()
        held.append(torch.zeros(KIB))

    assert peak(work, CPU) == 0


def test_a_linear_layer_needs_its_output():
    """[8, 4] in float32 to [8, 64]."""
    layer, given = nn.Linear(4, 64), torch.zeros(8, 4)
    with torch.inference_mode():
        assert peak(lambda: layer(given), CPU) == 8 * 64 * 4


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_pass_takes_the_same_memory_every_time(name):
    """And at least its logits, whose bytes grow with the batch."""
    model = make(name)

    def most(batch):
        ids = tokens(batch, 9)
        with torch.inference_mode():
            return peak(lambda: model(ids, use_cache=False), CPU)

    assert most(2) == most(2) >= 2 * 9 * 61 * 8
    assert most(8) > 3 * most(2)


def test_a_device_whose_memory_nobody_counts_is_not_measured():
    """None, and the work is not even begun."""
    assert peak(lambda: pytest.fail("begun"), torch.device("mps")) is None
