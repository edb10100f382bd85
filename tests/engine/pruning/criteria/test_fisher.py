"""Tests of the fisher criterion: against squared gradients of gates made by hand, and for the second order that it stands for."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import fisher
from tests.engine.pruning.small import FAMILIES, HEAD_WIDTH, HEADS, small, text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_half_the_squared_gradient_of_a_blocks_loss(family):
    """Block by block, with one gate for each head, in nats per predicted token."""
    model, blocks = small(family), text(4, 10)
    scores = fisher.score(model, dissect(model), calibrate(model, blocks, fisher.NEEDS), 0)
    gate = torch.ones(HEADS, dtype=torch.float64, requires_grad=True)
    hook = model.get_submodule(dissect(model).layers[1].attention_output).register_forward_pre_hook(
        lambda _, inputs: (inputs[0] * gate.repeat_interleave(HEAD_WIDTH),)
    )
    wanted = torch.zeros(HEADS).double()
    for block in blocks:
        shares = model(block[None]).logits[0, :-1].log_softmax(1)  # [length - 1, vocabulary]
        (slope,) = torch.autograd.grad(-shares.gather(1, block[1:, None]).sum(), gate)
        wanted += slope.square() / 2
    hook.remove()
    assert scores.heads[1] == pytest.approx((wanted / (4 * 9)).tolist(), rel=1e-5)


def test_for_a_model_that_says_what_it_is_read_the_score_is_the_rise_to_second_order():
    """Text that the model itself has written: there the mean slope is 0 and half the Fisher information is the curvature.

    A gate of 1 − ε then costs ε² times the score, up to the noise of 3,000 blocks.
    """
    model = small("gpt2")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)  # a softer model, whose text is not always the same
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 50, (3000, 1), generator=generator)
    with torch.no_grad():
        for _ in range(4):
            shares = model(blocks).logits[:, -1].softmax(1)  # [blocks, vocabulary]
            blocks = torch.cat([blocks, shares.multinomial(1, generator=generator)], 1)
    layer = dissect(model).layers[0]
    score = fisher.score(model, dissect(model), calibrate(model, blocks, fisher.NEEDS, batch_size=500), 0).heads[0]
    head, step = max(range(HEADS), key=score.__getitem__), 0.3
    losses = []
    for gate in (1 - step, 1, 1 + step):  # the mean of both sides: what is left of the slope goes
        vector = torch.ones(HEADS, HEAD_WIDTH).double()
        vector[head] = gate
        hook = model.get_submodule(layer.attention_output).register_forward_pre_hook(
            lambda _, inputs, vector=vector: (inputs[0] * vector.flatten(),)
        )
        with torch.no_grad():
            shares = model(blocks).logits[:, :-1].log_softmax(2)
        losses.append(-float(shares.gather(2, blocks[:, 1:, None]).mean()))
        hook.remove()
    rise = (losses[0] + losses[2]) / 2 - losses[1]
    assert rise / step**2 == pytest.approx(score[head], rel=0.15)
