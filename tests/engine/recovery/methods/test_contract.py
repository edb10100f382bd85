"""What every method of recovery must keep to, whichever families and gates it meets; a new file is held to it too."""

from copy import deepcopy

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record.catalogue import METHODS
from engine.record.events import StepTrained
from engine.record.recipe import Tuning
from engine.recovery.loop import train
from engine.recovery.loss import Teacher
from engine.recovery.methods import Pupil
from tests.families import FAMILIES, VOCABULARY, every_head, logits, make

TUNING = {"steps": 3, "learning_rate": 1e-2, "batch_size": 4, "sequence_length": 8, "rank": 2}
WAYS = {name: {"method": name} for name in METHODS.names()} | {"distil by lora": {"method": "distil", "student": "lora"}}
CLOSED = Plan({(0, 0), (0, 1), (0, 2)}, {(0, 1), (1, 0), (1, 3)})


def text(count: int = 10, seed: int = 0) -> torch.Tensor:
    """Random blocks `[count, 8]`."""
    return torch.randint(2, VOCABULARY, (count, 8), generator=torch.Generator().manual_seed(seed))


def tuning_of(way: str, **changes) -> Tuning:
    """The tuning of a way to recover."""
    return Tuning(**(TUNING | WAYS[way] | changes))


def pupil_of(model, gates: Gates | None = None) -> Pupil:
    """A pupil whose teacher is a copy of the model as it is now, gates open."""
    bare = deepcopy(model)
    for module in bare.modules():
        module._forward_pre_hooks.clear()
    return Pupil(model, dissect(model), lambda frozen: Teacher(bare), gates.rehang if gates else lambda: None)


def recover(model, way: str, gates: Gates | None = None, **changes):
    """Train a model in a way, and keep what it has learnt; returns the losses."""
    tuning = tuning_of(way, **changes)
    course = METHODS.load(tuning.method).begin(pupil_of(model, gates), tuning, 0)
    how = {"arm": "tuned", "seed": 3, "precision": torch.float32, "loss": course.loss}
    losses = [one.loss for one in train(model, text(), text(3, 1), tuning, **how) if isinstance(one, StepTrained)]
    course.keep()
    return losses


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_says_what_it_is(name):
    """A docstring to read and a label for a menu, without being imported."""
    entry = METHODS.entry(name)
    assert len(entry.help) > 100 and entry.facts["LABEL"]
    assert callable(METHODS.load(name).begin)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_beginning_changes_no_logit_and_dropping_leaves_the_model_as_it_came(way, family):
    """Parameters, modules, flags and logits, to the bit."""
    model = make(family, dtype=torch.float32)
    next(model.parameters()).requires_grad_(False)  # a flag of its own comes back too
    before, weights = logits(model), {name: one.detach().clone() for name, one in model.named_parameters()}
    flags, modules = [one.requires_grad for one in model.parameters()], [name for name, _ in model.named_modules()]
    tuning = tuning_of(way)
    course = METHODS.load(tuning.method).begin(pupil_of(model), tuning, 0)
    assert torch.equal(logits(model), before)
    course.drop()
    assert torch.equal(logits(model), before)
    assert [one.requires_grad for one in model.parameters()] == flags
    assert [name for name, _ in model.named_modules()] == modules
    assert all(torch.equal(weights[name], one) for name, one in model.named_parameters())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_learnt_is_the_model_s_own_and_closed_gates_stay_closed(way, family):
    """The loss falls; the model kept has the logits that it had while it trained, and its closed units still write nothing."""
    model = make(family)
    plan = Plan(every_head(dissect(model), 0), CLOSED.neurons)
    with Gates(model) as gates:
        gates.set(plan)
        tuning = tuning_of(way, steps=8, learning_rate=2e-2)
        course = METHODS.load(tuning.method).begin(pupil_of(model, gates), tuning, 0)
        first = course.loss(text()).item()
        how = {"arm": "tuned", "seed": 3, "precision": torch.float32, "loss": course.loss}
        list(train(model, text(), text(3, 1), tuning, **how))
        assert course.loss(text()).item() < first
        learnt = logits(model)
        course.keep()
        kept = logits(model)
        torch.testing.assert_close(kept, learnt, rtol=1e-9, atol=1e-9)
        assert {name.split(".")[-1] for name, _ in model.named_parameters()} <= {"weight", "bias"}
        torch.testing.assert_close(logits(cut(model, plan)), kept, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", ["gpt2", "llama-grouped"])
def test_a_cut_model_recovers_as_the_gated_one_does(way, family):
    """The same losses, step by step, on a model of which layers have lost all that can be lost; lora draws other matrices for
    other shapes, so there only the first loss is the same."""
    model = make(family)
    anatomy = dissect(model)
    plan = Plan(every_head(anatomy, 1), {(0, neuron) for neuron in range(anatomy.layers[0].neurons)} | {(1, 3)})
    smaller = cut(model, plan)
    with Gates(model) as gates:
        gates.set(plan)
        tuning = tuning_of(way, weight_decay=0.0)
        dense = make(family)
        losses = []
        for one, rehang in ((model, gates.rehang), (smaller, lambda: None)):
            pupil = Pupil(one, dissect(one), lambda frozen: Teacher(dense), rehang)
            course = METHODS.load(tuning.method).begin(pupil, tuning, 0)
            how = {"arm": "tuned", "seed": 3, "precision": torch.float32, "loss": course.loss}
            losses.append([each.loss for each in train(one, text(), text(3, 1), tuning, **how) if isinstance(each, StepTrained)])
            course.keep()
    if "lora" in way:
        assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-9)
        assert not torch.allclose(logits(smaller), logits(cut(make(family), plan)), atol=1e-4)
    else:
        assert losses[1] == pytest.approx(losses[0], rel=1e-7)
        torch.testing.assert_close(logits(smaller), logits(cut(model, plan)), rtol=1e-6, atol=1e-6)
