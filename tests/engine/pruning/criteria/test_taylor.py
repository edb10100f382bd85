"""Tests of the taylor criterion: against how the loss begins to change, by finite differences."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import taylor
from tests.engine.pruning.small import FAMILIES, HEAD_WIDTH, HEADS, NEURONS, small, text


def loss(model, block) -> float:
    """The sum of −log p over the predicted tokens of one block."""
    with torch.no_grad():
        shares = model(block[None]).logits[0, :-1].log_softmax(1)  # [length - 1, vocabulary]
    return -float(shares.gather(1, block[1:, None]).sum())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_how_fast_the_loss_of_a_block_moves_with_a_gate(family):
    """The mean over blocks of the size of its slope, by finite differences, in nats per predicted token."""
    model, blocks = small(family), text(3, 10)
    scores = taylor.score(model, dissect(model), calibrate(model, blocks, taylor.NEEDS), 0)
    layer = dissect(model).layers[2]
    for path, found, units, width in (
        (layer.attention_output, scores.heads[2], HEADS, HEAD_WIDTH),
        (layer.mlp_output, scores.neurons[2], NEURONS, 1),
    ):
        for unit in (0, units - 1):
            slopes = []
            for block in blocks:
                losses = []
                for gate in (1 - 1e-4, 1 + 1e-4):
                    vector = torch.ones(units, width).double()
                    vector[unit] = gate
                    hook = model.get_submodule(path).register_forward_pre_hook(
                        lambda _, inputs, vector=vector: (inputs[0] * vector.flatten(),)
                    )
                    losses.append(loss(model, block))
                    hook.remove()
                slopes.append(abs(losses[1] - losses[0]) / 2e-4)
            assert found[unit] == pytest.approx(sum(slopes) / (3 * 9), rel=1e-2, abs=1e-4)
