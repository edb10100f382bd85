"""The arithmetic that a benchmark of speed is held against is the one that torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import multiply_adds
from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from tests.families import groups, make, tokens


@pytest.mark.parametrize("name", ["gpt2", "gpt2-untied", "llama-grouped", "llama-tied", "gpt_neox", "opt"])
def test_multiply_adds_are_half_of_the_operations_that_torch_counts(name):
    """But for those of attention, which torch does not see on a CPU; for a dense and for a cut model."""
    model, length = make(name), 9
    for each in (model, cut(model, Plan(groups(dissect(model), (0, 0)), {(0, 1), (1, 2)}))):
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            each(tokens(1, length), use_cache=False)
        pairs = length * (length + 1) // 2  # of a token and one that it looks at
        attention = sum(2 * layer.heads * layer.head_width * pairs for layer in dissect(each).layers)
        assert counted.get_total_flops() == 2 * (multiply_adds(each, length) - attention)
