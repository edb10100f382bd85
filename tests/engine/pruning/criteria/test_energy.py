"""Tests of the energy criterion: against what heads and neurons really write, token by token."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import energy, fluctuation
from tests.engine.pruning.criteria.test_activation import written
from tests.engine.pruning.small import FAMILIES, HEAD_WIDTH, HEADS, small, text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_the_variance_of_all_that_a_unit_writes(family):
    """Its channels together: E‖y − E y‖², y the head's or the neuron's part of the layer's output."""
    model, blocks = small(family), text()
    scores = energy.score(model, dissect(model), calibrate(model, blocks, energy.NEEDS), 0)
    for layer in dissect(model).layers:
        heads = written(model, layer.attention_output, blocks).unflatten(0, (HEADS, HEAD_WIDTH)).sum(1)  # [heads, tokens, out]
        neurons = written(model, layer.mlp_output, blocks)  # [neurons, tokens, out]
        for found, parts in ((scores.heads, heads), (scores.neurons, neurons)):
            wanted = (parts - parts.mean(1, keepdim=True)).square().sum(2).mean(1)
            assert found[layer.index] == pytest.approx(wanted.tolist(), rel=1e-8, abs=1e-12)


def test_two_channels_that_cancel_are_worth_nothing():
    """Fluctuation counts both of them; here the head goes first. For neurons the two are one formula."""
    model = small("opt")
    layer = dissect(model).layers[1]
    with torch.no_grad():
        attention = model.model.decoder.layers[1].self_attn
        span = slice(HEAD_WIDTH, 2 * HEAD_WIDTH)  # head 1: all its channels are the same, and their columns add up to nothing
        attention.v_proj.weight[span] = attention.v_proj.weight[HEAD_WIDTH].clone()
        attention.v_proj.bias[span] = attention.v_proj.bias[HEAD_WIDTH].clone()
        columns = attention.out_proj.weight[:, span]
        columns -= columns.mean(1, keepdim=True)
    found = calibrate(model, text(), ("rms", "mean", "covariance"))
    by_energy, by_fluctuation = (one.score(model, dissect(model), found, 0) for one in (energy, fluctuation))
    assert by_energy.heads[layer.index][1] == pytest.approx(0, abs=1e-9)
    assert min(by_fluctuation.heads[layer.index]) > 1e-3
    for mine, theirs in zip(by_energy.neurons, by_fluctuation.neurons, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-8, abs=1e-10)
