"""Tests of engine/pruning/overlay.py: what is laid over a model is what it says, and comes off to the bit."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.compensate import compensate
from engine.pruning.gates import Gates
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from tests.families import FAMILIES, logits, make, tokens

PLAN = Plan(heads={(0, 0), (1, 0), (1, 1), (1, 2)}, neurons={(0, 1), (0, 5), (1, 19)})
OTHER = Plan(heads={(0, 2)}, neurons={(1, neuron) for neuron in range(20)})
METHODS = ("none", "bias", "least-squares")


def laid(family: str):
    """A model, its statistics, and an overlay on it."""
    model = make(family)
    return model, calibrate(model, tokens(12, 16), ("mean", "covariance")), Overlay(model, dissect(model))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_overlay_is_compensation_and_closed_gates(family, method):
    """The same logits as both of them by hand; off again, the same as before, to the bit."""
    model, statistics, overlay = laid(family)
    before = logits(model)
    records = overlay.lay(PLAN, method, statistics)
    assert (overlay.plan, overlay.method) == (PLAN, method) and bool(records) == (method != "none")
    by_hand = make(family)
    compensate(by_hand, PLAN, dissect(by_hand), statistics, method)
    with Gates(by_hand) as gates:
        gates.set(PLAN)
        assert torch.equal(logits(model), logits(by_hand))
    overlay.off()
    assert torch.equal(logits(model), before) and (overlay.plan, overlay.method) == (Plan(), "none")


@pytest.mark.parametrize("method", METHODS)
def test_a_plan_takes_the_place_of_the_one_before(method):
    """It is not laid on top of it, whatever both of them compensate."""
    model, statistics, overlay = laid("gpt2")
    before = logits(model)
    overlay.lay(OTHER, "least-squares", statistics)
    overlay.lay(PLAN, method, statistics)
    second = logits(model)
    overlay.off()
    assert torch.equal(logits(model), before)
    overlay.lay(PLAN, method, statistics)
    assert torch.equal(logits(model), second)


@pytest.mark.parametrize("wrong", [(Plan(heads={(2, 0)}), "bias"), (PLAN, "biass"), (PLAN, "least-squares")])
def test_what_cannot_be_laid_leaves_what_lies_there(wrong):
    """A unit that is not there, a method that is not known, statistics that lack what it needs."""
    model, statistics, overlay = laid("gpt2")
    poor = calibrate(model, tokens(12, 16), ("mean",))
    overlay.lay(OTHER, "bias", statistics)
    before = logits(model)
    with pytest.raises(BadInput):
        overlay.lay(*wrong, poor)
    assert torch.equal(logits(model), before) and (overlay.plan, overlay.method) == (OTHER, "bias")
    overlay.off()
    assert torch.equal(logits(model), logits(make("gpt2")))


def test_what_is_taken_can_be_put_on_another_copy():
    """Which is how a checkpoint brings it back; taken once it is a copy of its own."""
    model, statistics, overlay = laid("opt")
    overlay.lay(PLAN, "least-squares", statistics)
    plan, method, fitted = overlay.take()
    pruned = logits(model)
    other = make("opt")
    again = Overlay(other, dissect(other))
    again.put(plan, method, fitted)
    assert torch.equal(logits(other), pruned) and again.method == "least-squares"
    again.off()
    overlay.off()
    assert torch.equal(logits(other), logits(model)) and torch.equal(logits(model), logits(make("opt")))


def test_inside_lifted_the_model_is_bare():
    """Afterwards what lay over it is back to the bit, also after an error, and also where something else was laid meanwhile."""
    model, statistics, overlay = laid("gpt_neox")
    before = logits(model)
    overlay.lay(PLAN, "least-squares", statistics)
    pruned = logits(model)
    with overlay.lifted():
        assert torch.equal(logits(model), before) and overlay.plan == Plan()
    assert torch.equal(logits(model), pruned)
    with pytest.raises(ZeroDivisionError), overlay.lifted():
        overlay.lay(OTHER, "bias", statistics)
        _ = 1 / 0
    assert torch.equal(logits(model), pruned) and (overlay.plan, overlay.method) == (PLAN, "least-squares")
    overlay.off()
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_can_see_through_to_the_bare_model(family):
    """To the bit, without a copy of the weights: gates let through, fitted weights are lent back, an added bias is nothing."""
    model, statistics, overlay = laid(family)
    bare = logits(model)
    overlay.lay(PLAN, "least-squares", statistics)
    over, weights = logits(model), [one.detach().clone() for one in model.parameters()]
    through = overlay.seeing_through()
    for _ in range(2):
        with through():
            assert torch.equal(logits(model), bare)
        assert torch.equal(logits(model), over)
    assert all(map(torch.equal, weights, model.parameters()))


def test_settled_weights_are_the_models_own():
    """Coming off then opens the gates and puts back no weight."""
    model, statistics, overlay = laid("gpt2")
    overlay.lay(PLAN, "bias", statistics)
    weights = {name: one.detach().clone() for name, one in model.named_parameters()}
    overlay.settle()
    assert (overlay.plan, overlay.method) == (PLAN, "none") and overlay.take()[2] == {}
    overlay.off()
    assert all(torch.equal(weights[name], one) for name, one in model.named_parameters()) and overlay.plan == Plan()


def test_closing_takes_the_hooks_off_too():
    """Nothing is left on the model."""
    model, statistics, overlay = laid("gpt2")
    overlay.lay(PLAN, "least-squares", statistics)
    overlay.close()
    assert torch.equal(logits(model), logits(make("gpt2")))
    assert not any(module._forward_pre_hooks for module in model.modules())
