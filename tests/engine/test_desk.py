"""Tests of engine/desk.py: what is laid over a model between two commands, and how it comes off."""

import pytest
import torch

from engine.desk import Desk
from engine.evaluation.perplexity import evaluate
from engine.models.load import load
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from engine.record.events import CheckpointSaved, Compensated, GatesChanged, Undone
from engine.record.lifecycle import Progressed
from engine.text.corpora import read_corpus
from engine.text.texts import Texts

PLAN = Plan(heads={(0, 1), (2, 0)}, neurons={(1, 3)})


@pytest.fixture
def desk(recipe):
    """The tiny model and text, with no run folder."""
    loaded = load(recipe.model)
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    desk = Desk(loaded, texts, "cpu", torch.float32, None)
    yield desk
    if desk.checkpoints.parent.exists():
        desk.close()


def seen(model: torch.nn.Module) -> torch.Tensor:
    """The logits of a model."""
    with torch.no_grad():
        return model(torch.arange(2, 34)[None]).logits  # [1, 32, vocabulary]


def end_of(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def lay(desk: Desk, recipe, plan: Plan = PLAN, method: str = "none") -> list:
    """Lay a plan and return the events."""
    statistics = end_of(desk.statistics(method, recipe.calibration))
    return list(desk.lay(plan, method, recipe.calibration, statistics, "prune"))


def test_a_change_is_told_in_order_and_ends_in_a_checkpoint(desk, recipe):
    """What was corrected is told only where something was."""
    events = lay(desk, recipe)
    assert [type(event) for event in events] == [GatesChanged, CheckpointSaved]
    assert events[0].heads == ((0, 1), (2, 0)) and events[0].neuron_counts == (0, 1, 0)
    assert events[1] == CheckpointSaved("step-000001", None, "prune")
    events = lay(desk, recipe, method="bias")
    assert [type(event) for event in events] == [GatesChanged, Compensated, CheckpointSaved]
    assert events[2] == CheckpointSaved("step-000002", "step-000001", "prune")


def test_what_is_said_first_comes_first_and_belongs_to_the_change(desk, recipe):
    """Given up there, nothing has changed."""
    before = seen(desk.model)
    events = desk.lay(PLAN, "none", recipe.calibration, None, "prune", first=(Undone(None),))
    assert next(events) == Undone(None)
    assert not torch.equal(seen(desk.model), before)
    events.close()
    assert torch.equal(seen(desk.model), before) and desk.stand.name == ""


def test_nothing_is_calibrated_for_a_method_that_needs_nothing(desk, recipe):
    """Not even a text that would be too short."""
    long = recipe.calibration.model_copy(update={"sequence_length": 10_000})
    assert end_of(desk.statistics("none", long)) is None
    with pytest.raises(BadInput):
        end_of(desk.statistics("bias", long))


def test_an_evaluation_reports_its_way_to_the_usual_number(desk, recipe):
    """Tokens so far and in all."""
    steps, told = desk.evaluate(desk.model, recipe.evaluation), []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            found = end.value
            break
    assert found == evaluate(desk.model, desk.texts.blocks("evaluation", 32, 512))
    assert told == [Progressed("evaluation", 8 * 31, 16 * 31, "tokens"), Progressed("evaluation", 16 * 31, 16 * 31, "tokens")]


def test_the_dense_model_is_another_one(desk, recipe):
    """As it was loaded, whatever lies over this one."""
    before = seen(desk.model)
    lay(desk, recipe, method="least-squares")
    assert desk.dense() is not desk.model
    assert torch.equal(seen(desk.dense()), before) and not torch.equal(seen(desk.model), before)


def test_training_makes_the_weights_the_models_own(desk, recipe):
    """What was compensated is part of them, and an undo brings the weights before back."""
    lay(desk, recipe, method="least-squares")
    pruned = seen(desk.model)
    with torch.no_grad():
        desk.model.transformer.wte.weight.mul_(1.5)
    trained = seen(desk.model)
    assert list(desk.keep_trained(5, "tune")) == [CheckpointSaved("step-000002", "step-000001", "tune")]
    assert (desk.stand.trained, desk.stand.method, desk.stand.plan) == (5, "none", PLAN)
    desk.restore("step-000001")
    assert torch.equal(seen(desk.model), pruned)
    desk.restore("step-000002")
    assert torch.equal(seen(desk.model), trained)


def test_what_is_known_of_the_units_belongs_to_the_weights(desk, recipe):
    """Kept where only gates change, gathered anew where weights do."""
    known = desk.evidence
    lay(desk, recipe, method="bias")
    desk.restore(None)
    assert desk.evidence is known
    list(desk.keep_trained(1, "tune"))
    assert desk.evidence is not known


def test_the_control_of_a_first_recovery_is_the_dense_model(desk, recipe):
    """And that of a second one what the first one left."""
    lay(desk, recipe)
    control = desk.control()
    assert torch.equal(seen(control), seen(desk.dense()))
    list(desk.keep_trained(3, "tune"))
    with torch.no_grad():
        control.transformer.wte.weight.mul_(2)
    desk.keep_control(control)
    assert torch.equal(seen(desk.control()), seen(control)) and desk.stand.control == 3


def test_going_back_is_told(desk, recipe):
    """Where to, and which gates are closed there."""
    lay(desk, recipe)
    lay(desk, recipe, Plan())
    undone, gates = desk.back("step-000001", "undo")
    assert undone == Undone("step-000001") and gates.heads == ((0, 1), (2, 0)) and gates.reason == "undo"


def test_closing_leaves_a_bare_model_and_no_files(desk, recipe):
    """Neither hooks nor compensation; without a run folder the checkpoints go too."""
    before = seen(desk.model)
    lay(desk, recipe, method="least-squares")
    assert desk.checkpoints.is_dir()
    desk.close()
    assert torch.equal(seen(desk.model), before) and not desk.checkpoints.exists()
    assert not any(module._forward_pre_hooks for module in desk.model.modules())
