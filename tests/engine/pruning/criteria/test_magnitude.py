"""Tests of the magnitude criterion: against slices of the weights taken by hand, in every family's layout."""

import numpy as np
import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.criteria import magnitude
from tests.engine.pruning.small import FAMILIES, GROUPED, HEAD_WIDTH, HEADS, NEURONS, WIDTH, small


def head_by_hand(model, family, layer, head):
    """All weights of one head, sliced as each architecture's own forward pass slices them."""
    span = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
    if family == "gpt2":
        attention = model.transformer.h[layer].attn
        q, k, v = attention.c_attn.weight.T.split(WIDTH)  # [in, 3 · width] stored
        return [q[span], k[span], v[span], attention.c_proj.weight[span]]
    if family == "opt":
        attention = model.model.decoder.layers[layer].self_attn
        rows = [one.weight[span] for one in (attention.q_proj, attention.k_proj, attention.v_proj)]
        return [*rows, attention.out_proj.weight[:, span]]
    if family in ("llama", GROUPED):
        attention = model.model.layers[layer].self_attn
        shared = head // (HEADS * HEAD_WIDTH // attention.k_proj.out_features)  # the key of this head
        of_key = slice(shared * HEAD_WIDTH, (shared + 1) * HEAD_WIDTH)
        rows = [attention.q_proj.weight[span], attention.k_proj.weight[of_key], attention.v_proj.weight[of_key]]
        return [*rows, attention.o_proj.weight[:, span]]
    attention = model.gpt_neox.layers[layer].attention
    fused = attention.query_key_value.weight.view(HEADS, 3 * HEAD_WIDTH, WIDTH)  # as forward views it
    return [fused[head], attention.dense.weight[:, span]]


def neuron_by_hand(model, family, layer, neuron):
    """The incoming row, or rows where a gate multiplies it, and the outgoing column of one neuron."""
    if family == "gpt2":
        mlp = model.transformer.h[layer].mlp
        return [mlp.c_fc.weight[:, neuron], mlp.c_proj.weight[neuron]]
    if family == "opt":
        mlp = model.model.decoder.layers[layer]
        return [mlp.fc1.weight[neuron], mlp.fc2.weight[:, neuron]]
    if family in ("llama", GROUPED):
        mlp = model.model.layers[layer].mlp
        return [mlp.gate_proj.weight[neuron], mlp.up_proj.weight[neuron], mlp.down_proj.weight[:, neuron]]
    mlp = model.gpt_neox.layers[layer].mlp
    return [mlp.dense_h_to_4h.weight[neuron], mlp.dense_4h_to_h.weight[:, neuron]]


def norm(parts):
    """The root of the sum of all squares."""
    return np.sqrt(sum(float((part.detach() ** 2).sum()) for part in parts))


@pytest.mark.parametrize("family", [*FAMILIES, GROUPED])
def test_scores_are_the_norms_of_all_weights_of_a_unit(family):
    """Q, K, V and O of every head, a shared K and V whole for each of its heads; rows and column of every neuron."""
    model = small(family)
    scores = magnitude.score(model, dissect(model), None, 0)
    for layer in range(3):
        expected = [norm(head_by_hand(model, family, layer, head)) for head in range(HEADS)]
        np.testing.assert_allclose(scores.heads[layer], expected, rtol=1e-12)
        expected = [norm(neuron_by_hand(model, family, layer, neuron)) for neuron in range(NEURONS)]
        np.testing.assert_allclose(scores.neurons[layer], expected, rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_permuting_heads_permutes_scores(family):
    """Heads that change places take their scores along: no head is read in another's rows."""
    model = small(family)
    order = [2, 0, 3, 1]
    before = magnitude.score(model, dissect(model), None, 0).heads[1]
    slices = [[part.detach().clone() for part in head_by_hand(model, family, 1, head)] for head in range(HEADS)]
    with torch.no_grad():
        for place, head in enumerate(order):
            for part, new in zip(head_by_hand(model, family, 1, place), slices[head], strict=True):
                part.copy_(new)
    after = magnitude.score(model, dissect(model), None, 0).heads[1]
    assert after == pytest.approx([before[head] for head in order], rel=1e-12)
