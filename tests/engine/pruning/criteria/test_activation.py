"""Tests of the activation criterion: against what is really lost when a unit goes."""

import pytest
import torch

from engine.models.anatomy import dissect, matrix
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import activation
from engine.record.errors import BadInput
from tests.families import FAMILIES, HEAD_WIDTH, HEADS, NEURONS, make, tokens


def written(model, path, blocks):
    """What every channel writes into the output of a projection: [channels, tokens, out]."""
    seen = []
    hook = model.get_submodule(path).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, -2)))
    with torch.no_grad():
        model(blocks)
    hook.remove()
    return torch.einsum("tc,oc->cto", seen[0], matrix(model.get_submodule(path)).detach())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_neurons_score_is_the_root_mean_square_of_what_is_lost_without_it(family):
    """Exactly, for every neuron: its score is the length, in the residual stream, of what it writes."""
    model, blocks = make(family), tokens(12, 16)
    scores = activation.score(model, dissect(model), calibrate(model, blocks, activation.NEEDS), 0)
    for layer in dissect(model).layers:
        lost = written(model, layer.mlp_output, blocks).square().sum(2).mean(1).sqrt()  # [neurons]
        assert scores.neurons[layer.index] == pytest.approx(lost.tolist(), rel=1e-9)
        assert len(lost) == NEURONS


@pytest.mark.parametrize("family", FAMILIES)
def test_a_heads_score_bounds_what_is_lost_without_it(family):
    """The sum of its channels' root mean squares, which is at least the root mean square of their sum."""
    model, blocks = make(family), tokens(12, 16)
    scores = activation.score(model, dissect(model), calibrate(model, blocks, activation.NEEDS), 0)
    for layer in dissect(model).layers:
        channels = written(model, layer.attention_output, blocks).unflatten(0, (HEADS, HEAD_WIDTH))  # [heads, width, tokens, out]
        apart = channels.square().sum(3).mean(2).sqrt().sum(1)  # [heads]
        together = channels.sum(1).square().sum(2).mean(1).sqrt()  # [heads]
        assert scores.heads[layer.index] == pytest.approx(apart.tolist(), rel=1e-9)
        assert (together <= apart).all()


def test_statistics_without_activations_are_refused():
    """There is no falling back on the weights alone."""
    model = make("gpt2")
    with pytest.raises(BadInput, match="lack rms"):
        activation.score(model, dissect(model), calibrate(model, tokens(12, 16), {"mean"}), 0)
