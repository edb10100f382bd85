"""Tests of engine/recovery/stepper.py: a batch in pieces is the same step, and float16 is scaled."""

from functools import partial

import pytest
import torch

from engine.record.faults import Faults
from engine.record.recipe import Tuning
from engine.recovery.loss import loss_of
from engine.recovery.stepper import Diverged, Stepper
from tests.families import make, tokens

TUNING = Tuning(steps=4, learning_rate=1e-2, batch_size=8, sequence_length=9, clip=0.5)


def stepper(model, precision=torch.float32, **changes) -> Stepper:
    """A stepper on the loss of the text."""
    return Stepper(model, partial(loss_of, model), Tuning.model_validate(TUNING.model_dump() | changes), 0, precision)


@pytest.mark.parametrize("pieces", [2, 3, 8])
def test_a_batch_in_pieces_is_the_same_step(pieces):
    """Losses and weights, in float64, also where the last piece is shorter."""
    whole, parts = make("gpt2"), make("gpt2")
    one, other = stepper(whole), stepper(parts, accumulation=pieces)
    for step in range(3):
        assert one.step(tokens(8, seed=step), step) == pytest.approx(other.step(tokens(8, seed=step), step), rel=1e-9)
    for mine, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-9)


def test_the_pieces_may_become_smaller_on_the_way():
    """The step stays what it was."""
    whole, parts = make("gpt2"), make("gpt2")
    one, other = stepper(whole), stepper(parts)
    for step, piece in enumerate((8, 3, 1)):
        other.piece = piece
        assert one.step(tokens(8, seed=step), step) == pytest.approx(other.step(tokens(8, seed=step), step), rel=1e-9)


def test_a_step_that_fails_leaves_the_weights_and_no_gradient():
    """So that another can be tried from there."""
    model = make("gpt2", dtype=torch.float32)
    trial = stepper(model)
    trial.loss = lambda part: loss_of(model, part) * float("nan")
    before = [one.detach().clone() for one in model.parameters()]
    with pytest.raises(Diverged, match="^The loss of step 1 is nan"):
        trial.step(tokens(8), 0)
    assert all(map(torch.equal, before, model.parameters())) and all(one.grad is None for one in model.parameters())


def test_float16_goes_on_after_a_step_that_failed():
    """The scaler has not kept that one for begun."""
    trial = stepper(make("gpt2", dtype=torch.float32), torch.float16)
    trial.faults = Faults("loss@1")
    with pytest.raises(Diverged):
        trial.step(tokens(8), 0)
    trial.step(tokens(8), 0)


def test_float16_trains_float32_weights_with_a_scaled_loss():
    """Near the float32 training, and a gradient that is too large for it lowers the scale instead of the model."""
    plain, half = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    one, other = stepper(plain), stepper(half, torch.float16)
    other.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)  # far too much: the first steps cannot be taken
    before = [weight.detach().clone() for weight in half.parameters()]
    other.step(tokens(8), 0)
    assert all(map(torch.equal, before, half.parameters())) and other.scaler.get_scale() == 2.0**39
    other.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(3):
        exact, rounded = one.step(tokens(8, seed=step), step)[0], other.step(tokens(8, seed=step), step)[0]
        assert rounded == pytest.approx(exact, rel=0.02)
    assert {weight.dtype for weight in half.parameters()} == {torch.float32}
    assert not any(map(torch.equal, before[:2], half.parameters()))
