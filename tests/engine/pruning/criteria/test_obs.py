"""Tests of the obs criterion: what it foretells against what least squares leaves, and what it makes of doubles."""

import pytest
import torch

from engine.models.anatomy import dissect, matrix
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import energy, obs
from engine.pruning.elimination import RIDGE
from tests.engine.pruning.small import FAMILIES, HEAD_WIDTH, HEADS, NEURONS, planned, small, text


@pytest.mark.parametrize("family", FAMILIES)
def test_the_highest_score_that_goes_is_the_error_that_least_squares_leaves(family):
    """Of half the heads and half the neurons of a layer: solved for the weights that are left, penalty and all."""
    model = small(family)
    found = calibrate(model, text(40), obs.NEEDS)
    scores = obs.score(model, dissect(model), found, 0)
    plan = planned(scores, dissect(model), (0.5,) * 3, (0.5,) * 3)
    for layer in dissect(model).layers:
        gone = [head * HEAD_WIDTH + at for head in plan.heads_of(layer.index) for at in range(HEAD_WIDTH)]
        for path, inputs, channels, of_kind, units in (
            (layer.attention_output, found.attention, gone, scores.heads, plan.heads_of(layer.index)),
            (layer.mlp_output, found.mlp, list(plan.neurons_of(layer.index)), scores.neurons, plan.neurons_of(layer.index)),
        ):
            weight, covariance = matrix(model.get_submodule(path)).detach(), inputs[layer.index].covariance
            system = covariance + RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance)).double()
            kept = [channel for channel in range(len(covariance)) if channel not in channels]
            whole = torch.zeros_like(weight)
            whole[:, channels] = weight[:, channels]
            whole[:, kept] = -torch.linalg.solve(system[kept][:, kept], system[kept][:, channels] @ weight[:, channels].T).T
            left = float((whole @ system * whole).sum())
            assert max(of_kind[layer.index][unit] for unit in units) == pytest.approx(left, rel=1e-7, abs=1e-10)


def test_of_two_neurons_that_say_the_same_one_is_free():
    """It goes among the first, though energy, which looks at one at a time, holds both for the most important of all."""
    model = small("gpt2")
    found = calibrate(model, text(40), obs.NEEDS)
    by_energy = energy.score(model, dissect(model), found, 0).neurons[1]
    loud, quiet = max(range(NEURONS), key=by_energy.__getitem__), min(range(NEURONS), key=by_energy.__getitem__)
    with torch.no_grad():
        mlp = model.transformer.h[1].mlp
        mlp.c_fc.weight[:, quiet] = mlp.c_fc.weight[:, loud]
        mlp.c_fc.bias[quiet] = mlp.c_fc.bias[loud]
        mlp.c_proj.weight[quiet] = mlp.c_proj.weight[loud]
    found = calibrate(model, text(40), obs.NEEDS)
    by_obs, by_energy = (one.score(model, dissect(model), found, 0).neurons[1] for one in (obs, energy))
    assert sorted((loud, quiet)) == sorted(sorted(range(NEURONS), key=by_energy.__getitem__)[-2:])
    places = sorted(range(NEURONS), key=by_obs.__getitem__)
    assert min(places.index(loud), places.index(quiet)) < NEURONS // 4
    assert max(places.index(loud), places.index(quiet)) == NEURONS - 1


def test_heads_go_as_blocks():
    """Each score is the error with all channels of the heads up to it gone; the last is that of the whole output."""
    model = small("opt")
    found = calibrate(model, text(40), obs.NEEDS)
    (of_layer, *_) = obs.score(model, dissect(model), found, 0).heads
    weight, covariance = model.model.decoder.layers[0].self_attn.out_proj.weight.detach(), found.attention[0].covariance
    damping = RIDGE * covariance.diagonal().mean() * weight.square().sum()
    assert len(of_layer) == HEADS
    assert max(of_layer) == pytest.approx(float((weight @ covariance * weight).sum() + damping), rel=1e-9)
