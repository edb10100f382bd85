"""Tests of engine/pruning/unfold.py: what a cut model learnt is in the model that it was cut from, and nowhere else."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.pruning.unfold import unfold
from tests.families import NAMES, every_head, groups, logits, make


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_after_it_is_the_cut_model_to_the_bit(name):
    """For every shape, with whole layers gone; gated, the model has the cut one's logits."""
    model = make(name)
    layers = dissect(model).layers
    last = len(layers) - 1
    gone = {(last, neuron) for neuron in range(layers[last].neurons)} | {(0, 1), (0, 4)}
    plan = Plan(groups(dissect(model), (0, 0)) | (every_head(dissect(model), last) if last else set()), gone)
    smaller = cut(model, plan)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in smaller.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.1)
    unfold(model, smaller, plan)
    again = cut(model, plan)
    assert all(torch.equal(one, other) for one, other in zip(smaller.parameters(), again.parameters(), strict=True))
    with Gates(model) as gates:
        gates.set(plan)
        torch.testing.assert_close(logits(model), logits(smaller), rtol=1e-9, atol=1e-9)


def test_what_went_keeps_its_weights():
    """A gate that is opened later finds the unit as it was when it was closed."""
    model = make("gpt2")
    before = model.transformer.h[0].mlp.c_fc.weight.detach().clone()  # [in, out]
    smaller = cut(model, Plan((), {(0, 3)}))
    with torch.no_grad():
        for parameter in smaller.parameters():
            parameter.zero_()
    unfold(model, smaller, Plan((), {(0, 3)}))
    after = model.transformer.h[0].mlp.c_fc.weight
    assert torch.equal(after[:, 3], before[:, 3]) and not after[:, :3].any() and not after[:, 4:].any()
