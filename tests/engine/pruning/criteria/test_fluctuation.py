"""Tests of the fluctuation criterion: against the variance of every channel, and for what the mean has to say."""

import pytest
import torch

from engine.models.anatomy import dissect, matrix
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import fluctuation
from tests.engine.pruning.criteria.test_activation import written
from tests.engine.pruning.small import FAMILIES, HEAD_WIDTH, HEADS, small, text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_the_variance_of_what_is_written_channel_by_channel(family):
    """The mean squared distance of what a channel writes from its own mean; a head adds up its channels."""
    model, blocks = small(family), text()
    scores = fluctuation.score(model, dissect(model), calibrate(model, blocks, fluctuation.NEEDS), 0)
    for layer in dissect(model).layers:
        heads, neurons = (written(model, path, blocks) for path in (layer.attention_output, layer.mlp_output))
        heads, neurons = ((one - one.mean(1, keepdim=True)).square().sum(2).mean(1) for one in (heads, neurons))  # [channels]
        of_heads = heads.unflatten(0, (HEADS, HEAD_WIDTH)).sum(1)
        assert scores.heads[layer.index] == pytest.approx(of_heads.tolist(), rel=1e-9)
        assert scores.neurons[layer.index] == pytest.approx(neurons.tolist(), rel=1e-9, abs=1e-12)


def test_what_is_always_said_goes_first():
    """A loud constant is worth nothing, since a bias can say it."""
    model = small("opt")
    with torch.no_grad():
        model.model.decoder.layers[0].fc1.weight[5] = 0
        model.model.decoder.layers[0].fc1.bias[5] = 1e4
    scores = fluctuation.score(model, dissect(model), calibrate(model, text(), fluctuation.NEEDS), 0)
    assert scores.neurons[0][5] == pytest.approx(0, abs=1e-5) and max(scores.neurons[0]) > 0.5


def test_a_mean_far_from_the_spread_costs_no_digit_that_counts():
    """In a float32 model a neuron around 1,000 that moves by 1 has the variance that its float32 values have."""
    model, blocks = small("opt").float(), text()
    with torch.no_grad():
        model.model.decoder.layers[0].fc1.bias[5] = 1000.0
    scores = fluctuation.score(model, dissect(model), calibrate(model, blocks, fluctuation.NEEDS), 0)
    seen = []
    hook = model.model.decoder.layers[0].fc2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double()))
    with torch.no_grad():
        model(blocks)
    hook.remove()
    column = matrix(model.model.decoder.layers[0].fc2).detach().double()[:, 5]
    wanted = float(seen[0].flatten(0, -2)[:, 5].var(correction=0) * column.square().sum())
    assert scores.neurons[0][5] == pytest.approx(wanted, rel=1e-6)
