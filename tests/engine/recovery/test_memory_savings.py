"""Tests of engine/recovery/memory_savings.py: a training that memory runs out for is the training without that."""

import pytest
import torch
from torch import nn

from engine.failures import Shortage
from engine.models.anatomy import dissect
from engine.pruning.gates import Gates
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan
from engine.record.events import Degraded, StepTrained, Validated, WentBack
from engine.record.recipe import Tuning
from engine.recovery.loop import train
from engine.recovery.loss import Teacher, loss_of
from engine.recovery.memory_savings import KILLED
from engine.recovery.methods import METHODS, Pupil
from engine.recovery.stepper import Stepper
from tests.families import CLASSES, VOCABULARY, gpt2, make, tokens

TUNING = Tuning(steps=6, learning_rate=1e-2, batch_size=4, sequence_length=9, clip=0.5)
LESS = [
    "4 sequences at once in step 2 of the recovery",
    "2 sequences at once in step 3 of the recovery",
    "keeping the activations of step 3 of the recovery",
]
WHY = "memory ran out (1 EiB more were asked for)"


def text(count: int = 10, seed: int = 0) -> torch.Tensor:
    """Random blocks `[count, 9]`."""
    return torch.randint(2, VOCABULARY, (count, 9), generator=torch.Generator().manual_seed(seed))


def run(model: nn.Module, tuning: Tuning = TUNING, **options) -> list:
    """All events of a training, up to the one that it raises."""
    events, given = [], {"arm": "tuned", "seed": 3, "precision": torch.float64} | options
    try:
        events += train(model, text(), text(3, seed=1), tuning, **given)
    except Shortage as error:
        events.append(error)
    return events


def of(kind: type, events: list) -> list:
    """The events of a kind."""
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("family", ["gpt2", "opt", "gpt_neox", "llama"])
def test_the_steps_are_those_of_a_training_with_room(family, monkeypatch):
    """In float64, in smaller pieces first and then with activations that are computed again: losses and weights."""
    plain, spared = make(family), make(family)
    whole = run(plain)
    monkeypatch.setenv("ESPALIER_FAULTS", "memory@2, memory@3x2")
    found = run(spared)
    told = of(Degraded, found)
    assert [each.asked for each in told] == LESS and {each.why for each in told} == {WHY}
    assert told[0].did == "2 at once from there on, their gradients added up"
    for kind in (StepTrained, Validated):
        losses = [event.loss for event in of(kind, whole)]
        assert [event.loss for event in of(kind, found)] == pytest.approx(losses, rel=1e-6)  # some norms are float32
    for (name, mine), theirs in zip(plain.named_parameters(), spared.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7, msg=name)
    assert not any("forward" in vars(module) for module in spared.modules()), "the model is left as it came"


def test_a_training_whose_processes_were_killed_for_memory_begins_with_less():
    """One thing less for each, before anything else is done; the steps are those of a training with room. Where nothing is left
    to do without it ends at once, in one sentence."""
    plain, spared = make("gpt2"), make("gpt2")
    whole, found = run(plain), run(spared, shortages=3)
    assert [type(event) for event in found[:3]] == [Degraded] * 3 and {each.why for each in found[:3]} == {KILLED}
    first = [each.replace("step 2", "step 1").replace("step 3", "step 1") for each in LESS]
    assert [each.asked for each in of(Degraded, found)] == first
    losses = [event.loss for event in of(StepTrained, whole)]
    assert [event.loss for event in of(StepTrained, found)] == pytest.approx(losses, rel=1e-6)
    *_, last = run(make("gpt2"), shortages=4)
    assert isinstance(last, Shortage) and str(last).startswith("Memory ran out (the worker was killed, which is what the system")
    assert "in step 1 of the recovery, also with one sequence at a time" in str(last)


@pytest.mark.parametrize("student", ["full", "lora"])
def test_a_distillation_is_the_same_with_less_memory(student, monkeypatch):
    """Also where the teacher is the pupil itself, seen through gates and compensation, and layers are computed again."""
    tuning = TUNING.model_copy(update={"method": "distil", "student": student, "rank": 2})
    losses = []
    for faults in ("", "memory@1, memory@2x2"):
        monkeypatch.setenv("ESPALIER_FAULTS", faults)
        model = make("gpt2")
        overlay = Overlay(model, dissect(model))
        overlay.lay(Plan({(0, 1)}, {(1, 3), (1, 4)}), "none", None)
        itself = Teacher(model, overlay.seeing_through())
        pupil = Pupil(model, dissect(model), lambda frozen, own=itself: own if frozen else Teacher(make("gpt2")), overlay.rehang)
        course = METHODS.load("distil").begin(pupil, tuning, 0)
        events = run(model, tuning, loss=course.loss, beside=course.beside)
        assert len(of(Degraded, events)) == 3 * bool(faults)
        losses.append([event.loss for event in of(StepTrained, events)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)


def test_a_real_shortage_ends_when_the_pieces_are_small_enough():
    """The allocator itself says no to more than two sequences at once, in training and not in validation."""
    model, seen = make("gpt2"), []

    def loss(part: torch.Tensor) -> torch.Tensor:
        seen.append(len(part))
        if len(part) > 2:
            torch.empty(2**60, dtype=torch.uint8)
        return loss_of(model, part)

    events = run(model, TUNING.model_copy(update={"batch_size": 7}), loss=loss)
    assert seen == [7, 4] + [2, 2, 2, 1] * TUNING.steps
    assert len(of(StepTrained, events)) == TUNING.steps and len(of(Degraded, events)) == 2


def test_validation_reads_less_at_once_too():
    """It is part of the training, and must not end it."""
    model, seen = make("gpt2"), []

    def look(_: nn.Module, __: tuple, given: dict) -> None:
        seen.append(len(given["input_ids"]))
        if not model.training and len(given["input_ids"]) > 1:
            torch.empty(2**60, dtype=torch.uint8)

    with_hook = model.register_forward_pre_hook(look, with_kwargs=True)
    events = run(model, TUNING.model_copy(update={"steps": 1}))
    with_hook.remove()
    assert seen == [3, 2, 1, 1, 1] + [1] * 4 + [1, 1, 1]
    assert [each.asked for each in of(Degraded, events)][0] == "4 sequences at once in step 1 of the recovery"
    assert len(of(Validated, events)) == 2


@pytest.mark.parametrize("patience", [0, 9])
def test_what_was_learnt_stays_where_nothing_is_left_to_do_without(patience, monkeypatch):
    """One sentence; the weights are those of the last step, or the best where somebody asked for them."""
    monkeypatch.setenv("ESPALIER_FAULTS", "memory@4x4")
    tuning = TUNING.model_copy(update={"patience": patience, "learning_rate": 0.3})
    model, kept = make("gpt2"), {}
    before = [weight.detach().clone() for weight in model.parameters()]
    events = train(model, text(), text(3, seed=1), tuning, arm="tuned", seed=3, precision=torch.float64)
    with pytest.raises(Shortage) as error:
        for event in events:
            if isinstance(event, Validated):
                kept[event.step] = event.loss, [weight.detach().clone() for weight in model.parameters()]
            back = event
    assert str(error.value) == (
        "Memory ran out (1 EiB more were asked for) in step 4 of the recovery, also with one sequence at a time and with "
        "activations computed again; lower the sequence length or recover by LoRA."
    )
    best = min(kept, key=lambda step: kept[step][0]) if patience else 3
    assert all(map(torch.equal, kept[best][1], model.parameters()))
    assert (back == WentBack("tuned", best, 3, str(error.value))) == bool(patience)
    assert patience or not all(map(torch.equal, before, model.parameters()))


def test_activations_that_are_computed_again_are_not_kept():
    """Counted, gates and all: what one backward pass of a deep model holds on to."""
    model = CLASSES["gpt2"](gpt2(n_layer=8))

    def kept(stepper: Stepper, step: int) -> int:
        sizes: dict[int, int] = {}

        def pack(one: torch.Tensor) -> torch.Tensor:
            sizes[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
            return one

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one):
            stepper.step(tokens(4), step)
        return sum(sizes.values())

    with Gates(model) as gates:
        gates.close(heads={(2, 1)})
        stepper = Stepper(model, lambda part: loss_of(model, part), TUNING, 0, torch.float32)
        whole = kept(stepper, 0)
        stepper.recompute()
        assert kept(stepper, 1) < 0.5 * whole and not stepper.can_recompute
        stepper.close()
        assert kept(stepper, 2) == whole


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
def test_moments_and_scale_go_along_to_another_device(precision):
    """The step after a move is the step without it; here from the CPU to the CPU, on a machine with a GPU in the test below."""
    models = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    steppers = [Stepper(model, lambda part, model=model: loss_of(model, part), TUNING, 0, precision) for model in models]
    for step in range(4):
        if step == 2:
            steppers[1].move(torch.device("cpu"))
        one, other = (stepper.step(tokens(4, seed=step), step) for stepper in steppers)
        assert one == other
    assert all(map(torch.equal, models[0].parameters(), models[1].parameters()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA")
def test_the_cpu_takes_over_from_an_accelerator_and_gives_back(monkeypatch):
    """The losses are those of a training on the GPU, and the model is there again at the end."""
    whole = [event.loss for event in of(StepTrained, run(make("gpt2").cuda()))]
    monkeypatch.setenv("ESPALIER_FAULTS", "memory@3x4")
    model = make("gpt2").cuda()
    events = run(model)
    assert of(Degraded, events)[-1].did == "the CPU for the rest of this training"
    assert [event.loss for event in of(StepTrained, events)] == pytest.approx(whole, rel=1e-7)
    assert {weight.device.type for weight in model.parameters()} == {"cuda"}
