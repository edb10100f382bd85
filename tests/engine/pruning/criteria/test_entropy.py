"""Tests of the entropy criterion: which way round it is, with heads and neurons made by hand."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import entropy
from tests.engine.pruning.small import planned
from tests.families import CONTEXT, HEAD_WIDTH, WIDTH, make, tokens


def test_a_head_that_looks_at_everything_alike_goes_before_one_that_looks_at_one_token():
    """Head 0 has queries of zero and so attends uniformly; head 1 attends to its own token; 0 scores 0, 1 scores 1."""
    model = make("gpt2")
    with torch.no_grad():
        model.transformer.wpe.weight[:, : WIDTH // 2] = 0
        model.transformer.wpe.weight[:, WIDTH // 2 :] = torch.randn(CONTEXT, WIDTH // 2)
        attention = model.transformer.h[0].attn.c_attn  # [in, q | k | v]
        for part in (0, 1):
            start = part * WIDTH
            attention.weight[:, start : start + 2 * HEAD_WIDTH] = 0
            attention.bias[start : start + 2 * HEAD_WIDTH] = 0
            # Head 1 asks for the very directions that it offers, a large multiple of what stands at the position.
            for at in range(HEAD_WIDTH):
                attention.weight[WIDTH // 2 + at, start + HEAD_WIDTH + at] = 40.0
        model.transformer.h[0].ln_1.weight.fill_(1)
        model.transformer.h[0].ln_1.bias.fill_(0)
    statistics = calibrate(model, torch.zeros(1, 3, dtype=torch.long), entropy.NEEDS)
    assert statistics.attention[0].entropy[0] == pytest.approx(1, abs=1e-6)
    scores = entropy.score(model, dissect(model), statistics, 0)
    assert scores.heads[0][0] == pytest.approx(0, abs=1e-6)
    assert scores.heads[0][1] > 0.9
    assert (0, 0) in planned(scores, dissect(model), (1 / 3, 0), (0, 0)).heads


def test_a_neuron_that_says_the_same_for_every_token_goes_first():
    """A constant neuron scores 0, however loud it is; one that varies scores more."""
    model = make("opt")
    with torch.no_grad():
        model.model.decoder.layers[0].fc1.weight[5] = 0
        model.model.decoder.layers[0].fc1.bias[5] = 100.0
    statistics = calibrate(model, tokens(12, 16), (*entropy.NEEDS, "rms", "covariance"))
    assert statistics.mlp[0].rms[5] == pytest.approx(100)
    scores = entropy.score(model, dissect(model), statistics, 0)
    assert scores.neurons[0][5] == 0
    variance = statistics.mlp[0].covariance.diagonal()  # [neurons]; that of a ReLU neuron which never fires is 0 as well
    assert all(score > 0 for score, moved in zip(scores.neurons[0], variance > variance.mean() / 10, strict=True) if moved)
    assert all(score == 0 for score, still in zip(scores.neurons[0], variance == 0, strict=True) if still)


def test_scores_lie_between_zero_and_one():
    """Both kinds are shares of the most that an entropy could be."""
    model = make("gpt_neox")
    scores = entropy.score(model, dissect(model), calibrate(model, tokens(12, 16), entropy.NEEDS), 0)
    assert all(0 <= score <= 1 for of_layer in (*scores.heads, *scores.neurons) for score in of_layer)
