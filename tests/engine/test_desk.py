"""Tests of engine/desk.py: what is laid over a model between two commands, and how it comes off."""

import dataclasses

import pytest
import torch

from engine.desk import Desk
from engine.evaluation.perplexity import evaluate
from engine.models.load import load
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from engine.record.events import CheckpointSaved, Compensated, GatesChanged, PlanMade, Undone
from engine.record.lifecycle import Degraded, Progressed
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


def lay(desk: Desk, recipe, plan: Plan = PLAN, method: str = "none", **how) -> list:
    """Lay a plan and return the events, but for those that only tell how far it has come."""
    known = end_of(desk.known(method, recipe.calibration))
    events = desk.lay(plan, method, recipe.calibration, known, "prune", **how)
    return [event for event in events if not isinstance(event, Progressed)]


def flip(path) -> None:
    """Turn one bit in the middle of a file over."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def made(desk: Desk, plan: Plan = PLAN) -> PlanMade:
    """The event that tells a plan, before anything is known of its compensation."""
    return PlanMade(**desk.counts(plan), head_shares=(0.3,) * 3, neuron_shares=(0.0,) * 3, criterion="random")


def test_a_change_is_told_in_order_and_ends_in_a_checkpoint(desk, recipe):
    """What was corrected is told only where something was."""
    events = lay(desk, recipe)
    assert [type(event) for event in events] == [GatesChanged, CheckpointSaved]
    assert events[0].heads == ((0, 1), (2, 0)) and events[0].neuron_counts == (0, 1, 0)
    assert events[1] == CheckpointSaved("step-000001", None, "prune")
    events = lay(desk, recipe, method="bias")
    assert [type(event) for event in events] == [GatesChanged, Compensated, CheckpointSaved]
    assert events[2] == CheckpointSaved("step-000002", "step-000001", "prune")


@pytest.mark.parametrize("method", ["bias", "least-squares", "sequential"])
def test_the_plan_is_told_first_with_what_is_foretold_of_it(desk, recipe, method):
    """What compensation should leave of the error, projection by projection; given up there, nothing has changed."""
    before = seen(desk.model)
    events = desk.lay(PLAN, method, recipe.calibration, end_of(desk.known(method, recipe.calibration)), "prune", made=made(desk))
    told = next(event for event in events if not isinstance(event, Progressed))
    spots = {(residual.layer, residual.part) for residual in told.residuals}
    assert spots >= {(0, "attention"), (1, "mlp"), (2, "attention")} and (len(spots) == 3) == (method != "sequential")
    assert all(0 <= one.compensated <= one.dropped * 1.000001 and one.relative >= 0 for one in told.residuals)
    assert told == dataclasses.replace(made(desk), residuals=told.residuals)
    assert not torch.equal(seen(desk.model), before)
    events.close()
    assert torch.equal(seen(desk.model), before) and desk.stand.name == ""


@pytest.mark.parametrize("method", ["least-squares", "sequential"])
def test_stopped_in_the_middle_of_a_compensation_the_model_is_as_it_was(desk, recipe, method):
    """To the bit, with the plan that lay over it before."""
    lay(desk, recipe, Plan(heads={(1, 1)}), "bias")
    before, stand = seen(desk.model), desk.stand
    events = desk.lay(PLAN, method, recipe.calibration, end_of(desk.known(method, recipe.calibration)), "prune")
    assert isinstance(next(events), Progressed) and isinstance(next(events), Progressed)
    events.close()
    assert torch.equal(seen(desk.model), before) and desk.stand == stand and desk.overlay.plan == Plan(heads={(1, 1)})


def test_too_little_text_for_a_fit_is_told(desk, recipe):
    """As something else than was asked for; with enough of it nothing is said."""
    few = recipe.calibration.model_copy(update={"tokens": 32})
    events = list(desk.lay(PLAN, "least-squares", few, end_of(desk.known("least-squares", few)), "prune"))
    (doubt,) = [event for event in events if isinstance(event, Degraded)]
    assert doubt.asked == "one on 195 or more" and doubt.did == "a fit on 32 tokens" and "raise the ridge" in doubt.why
    assert not any(isinstance(event, Degraded) for event in lay(desk, recipe, method="least-squares"))


def test_ridge_and_biases_are_remembered_for_a_plan_that_is_changed_by_hand(desk, recipe):
    """Through a checkpoint."""
    lay(desk, recipe, method="sequential", ridge=0.5, add_biases=False)
    lay(desk, recipe, Plan())
    desk.restore("step-000001")
    assert (desk.stand.method, desk.stand.ridge, desk.stand.add_biases) == ("sequential", 0.5, False)


def test_nothing_is_calibrated_for_a_method_that_needs_nothing(desk, recipe):
    """Not even a text that would be too short."""
    long = recipe.calibration.model_copy(update={"sequence_length": 10_000})
    assert end_of(desk.known("none", long)) is None
    with pytest.raises(BadInput):
        end_of(desk.known("bias", long))


def test_sequential_goes_by_the_text_itself(desk, recipe):
    """And measures nothing beforehand."""
    assert torch.equal(end_of(desk.known("sequential", recipe.calibration)), desk.texts.blocks("calibration", 32, 512))


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


def test_another_worker_of_the_same_run_reads_what_was_gathered(recipe, tmp_path):
    """From the run's folder, whatever lay over the model, and not once its weights have been trained."""
    scores = []
    for trained in (False, False, True):
        loaded = load(recipe.model)
        texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
        desk = Desk(loaded, texts, "cpu", torch.float32, tmp_path)
        if trained:
            with torch.no_grad():
                next(loaded.model.parameters())[0, 0] += 1
        lay(desk, recipe)
        steps, told = desk.scores("energy", recipe.calibration, 0), []
        try:
            while True:
                told.append(next(steps))
        except StopIteration as end:
            scores.append((bool(told), end.value))
        desk.close()
    assert [passed for passed, _ in scores] == [True, False, True]
    assert scores[0][1] == scores[1][1] != scores[2][1]


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


@pytest.mark.parametrize("part", ["state.json", "fitted.safetensors"])
def test_going_back_to_what_is_damaged_goes_to_the_one_before_and_says_so(desk, recipe, part):
    """A bit has flipped in the checkpoint that an undo leads to; once it is said it is not said again."""
    lay(desk, recipe, Plan(heads={(1, 1)}), "bias")
    before = seen(desk.model)
    lay(desk, recipe, PLAN, "bias")
    lay(desk, recipe, Plan())
    flip(desk.checkpoints / "step-000002" / part)
    told, undone, gates = desk.back("step-000002", "undo")
    assert (told.asked, told.did) == ("checkpoint step-000002", "checkpoint step-000001") and f"its {part} is not" in told.why
    assert undone == Undone("step-000001") and gates.heads == ((1, 1),)
    assert torch.equal(seen(desk.model), before) and list(desk.fallen_back()) == []


def test_checkpoints_that_were_exchanged_are_not_taken_for_one_another(desk, recipe):
    """Each is whole, and none stands where it says: what is left is the model as it was loaded, and that is told."""
    dense = seen(desk.model)
    lay(desk, recipe, Plan(heads={(1, 1)}), "bias")
    lay(desk, recipe, PLAN, "bias")
    for old, new in (("step-000001", "aside"), ("step-000002", "step-000001"), ("aside", "step-000002")):
        (desk.checkpoints / old).rename(desk.checkpoints / new)
    told, undone, _ = desk.back("step-000002", "undo")
    assert (told.asked, told.did) == ("checkpoint step-000002", "the model as it was loaded")
    assert told.why == "it is 'step-000001' by what it says itself" and undone == Undone(None)
    assert torch.equal(seen(desk.model), dense)


def test_trained_weights_that_are_damaged_take_all_that_stands_on_them_with_them(desk, recipe):
    """The pruned model before the training is whole; where it is not either, the model as it was loaded stands."""
    dense = seen(desk.model)
    lay(desk, recipe, method="bias")
    pruned = seen(desk.model)
    with torch.no_grad():
        desk.model.transformer.wte.weight.mul_(1.5)
    list(desk.keep_trained(5, "tune"))
    lay(desk, recipe, Plan())
    flip(desk.checkpoints / "step-000002" / "weights.safetensors")
    desk.restore("step-000003", anew=True)
    assert torch.equal(seen(desk.model), pruned)
    told = next(desk.fallen_back())
    assert (told.asked, told.did) == ("checkpoint step-000003", "checkpoint step-000001")
    (desk.checkpoints / "step-000001" / "fitted.safetensors").unlink()
    desk.restore("step-000003", anew=True)
    assert torch.equal(seen(desk.model), dense) and next(desk.fallen_back()).did == "the model as it was loaded"


def test_a_change_lets_go_of_what_no_undo_leads_to(desk, recipe):
    """Undone and followed by another change: its tensors are not kept."""
    lay(desk, recipe, method="bias")
    lay(desk, recipe, Plan(), "bias")
    list(desk.back("step-000001", "undo"))
    assert (desk.checkpoints / "step-000001" / "fitted.safetensors").exists()
    lay(desk, recipe, Plan(heads={(1, 1)}), "bias")
    kept = sorted(path.parent.name for path in desk.checkpoints.glob("*/fitted.safetensors"))
    assert kept == ["step-000001", "step-000003"]


def test_closing_leaves_a_bare_model_and_no_files(desk, recipe):
    """Neither hooks nor compensation; without a run folder the checkpoints go too."""
    before = seen(desk.model)
    lay(desk, recipe, method="least-squares")
    assert desk.checkpoints.is_dir()
    desk.close()
    assert torch.equal(seen(desk.model), before) and not desk.checkpoints.exists()
    assert not any(module._forward_pre_hooks for module in desk.model.modules())
