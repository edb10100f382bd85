"""Tests of engine/recovery/stepper.py: a batch in pieces is the same step, and float16 is scaled."""

from functools import partial

import pytest
import torch

from engine.failures import Shortage
from engine.record.faults import Faults
from engine.record.recipe import Tuning
from engine.record.steps import ended
from engine.recovery.loss import loss_of
from engine.recovery.memory_savings import trying
from engine.recovery.stepper import Diverged, HalfMade, Stepper
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
    with pytest.raises(Diverged, match="^The loss of step 1 is not a number"):
        trial.step(tokens(8), 0)
    assert all(map(torch.equal, before, model.parameters())) and all(one.grad is None for one in model.parameters())


def short_at(call, place: int):
    """That function of torch's, which finds no memory when it is called for that time (from 1)."""
    calls = []

    def found(*given, **named):
        calls.append(place)
        if len(calls) == place:
            raise RuntimeError("std::bad_alloc")
        return call(*given, **named)

    return found


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
def test_a_step_that_finds_no_memory_at_its_end_can_be_made_again(precision, monkeypatch):
    """In the clipping, and in the optimizer before it has changed anything: the step after it is that of one with room."""
    model, other = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    trial, whole = stepper(model, precision), stepper(other, precision)
    for name, of in (("clip_grad_norm_", torch.nn.utils), ("_foreach_add_", torch)):
        monkeypatch.setattr(of, name, short_at(getattr(of, name), 1))
        before = [one.detach().clone() for one in model.parameters()]
        with pytest.raises(Shortage, match="^Memory ran out in step 1"):
            trial.step(tokens(8), 0)
        monkeypatch.undo()
        assert all(map(torch.equal, before, model.parameters())) and all(one.grad is None for one in model.parameters())
    assert trial.step(tokens(8), 0) == whole.step(tokens(8), 0)
    assert all(map(torch.equal, other.parameters(), model.parameters())) and trial.state() == whole.state()


def test_a_step_that_finds_no_memory_in_its_middle_is_not_made_again(monkeypatch):
    """Its matrices have changed, its biases and norms have not: twice the step would be another than was asked."""
    trial = stepper(make("gpt2", dtype=torch.float32))
    monkeypatch.setattr(torch, "_fused_adamw_", short_at(torch._fused_adamw_, 2))
    with pytest.raises(HalfMade, match="^Memory ran out in the middle of step 1, when a part of the weights had changed"):
        ended(trying(partial(trial.step, tokens(8), 0), trial, "tuned", 0))
    assert trial.piece == 8


@pytest.mark.parametrize("training", [True, False])
def test_a_step_leaves_every_module_in_its_mode(training):
    """Also a layer that stands apart from the others, and also where the step has failed."""
    model = make("gpt2").train(training)
    model.transformer.h[0].train(not training)
    before = [module.training for module in model.modules()]
    trial = stepper(model)
    trial.faults = Faults("loss@2")
    trial.step(tokens(8), 0)
    with pytest.raises(Diverged):
        trial.step(tokens(8), 1)
    assert [module.training for module in model.modules()] == before


def test_float16_goes_on_after_a_step_that_failed():
    """The scaler has not kept that one for begun."""
    trial = stepper(make("gpt2", dtype=torch.float32), torch.float16)
    trial.faults = Faults("loss@1")
    with pytest.raises(Diverged):
        trial.step(tokens(8), 0)
    trial.step(tokens(8), 0)


def test_float16_trains_float32_weights_with_a_scaled_loss():
    """Near the float32 training."""
    plain, half = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    one, other = stepper(plain), stepper(half, torch.float16)
    before = [weight.detach().clone() for weight in half.parameters()]
    other.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(3):
        exact, rounded = one.step(tokens(8, seed=step), step)[0], other.step(tokens(8, seed=step), step)[0]
        assert rounded == pytest.approx(exact, rel=0.02)
    assert {weight.dtype for weight in half.parameters()} == {torch.float32}
    assert not any(map(torch.equal, before[:2], half.parameters()))


def test_a_gradient_too_large_for_float16_makes_the_same_step_at_a_lower_scale():
    """Not none, which would be counted as one: from a scale that is far too much the step is, to the bit, the one at the scale
    that was found, dropout included."""
    models = [make("gpt2", dtype=torch.float32) for _ in range(2)]
    for model in models:
        model.transformer.drop.p = 0.2
    high, low = (stepper(model, torch.float16) for model in models)
    high.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    told = high.step(tokens(8), 0)
    assert high.scaler.get_scale() < 2.0**30
    low.scaler = torch.amp.GradScaler("cpu", init_scale=high.scaler.get_scale())
    assert low.step(tokens(8), 0) == told and low.scaler.get_scale() == high.scaler.get_scale()
    assert all(map(torch.equal, models[0].parameters(), models[1].parameters()))
    assert not torch.equal(models[0].transformer.wte.weight, make("gpt2", dtype=torch.float32).transformer.wte.weight)


def test_a_gradient_that_is_infinite_at_every_scale_ends_as_without_one():
    """Sixteen halvings, and then the step is given up and undone as under float32."""
    model = make("gpt2", dtype=torch.float32)
    trial, before = stepper(model, torch.float16), [one.detach().clone() for one in model.parameters()]
    trial.faults = Faults("gradient@1x17")
    with pytest.raises(Diverged, match="the norm of its gradient (infinite|not a number)"):
        trial.step(tokens(8), 0)
    assert trial.scaler.get_scale() <= 1 and all(map(torch.equal, before, model.parameters()))
    trial.step(tokens(8), 0)
    assert not torch.equal(before[0], next(model.parameters()))
