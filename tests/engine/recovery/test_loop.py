"""Tests of engine/recovery/loop.py against AdamW written out by hand, on tiny models of every family."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.models.anatomy import dissect
from engine.pruning.gates import Gates
from engine.record.errors import BadInput
from engine.record.events import Degraded, StepTrained, Validated, WentBack
from engine.record.recipe import Tuning
from engine.recovery.loop import HALVINGS, arithmetic, train
from engine.recovery.loss import loss_of
from engine.recovery.schedule import batch, learning_rate
from engine.recovery.stepper import Diverged
from tests.families import CLASSES, FAMILIES, VOCABULARY, gpt2, make

TUNING = Tuning(steps=6, learning_rate=1e-2, batch_size=4, sequence_length=8, warmup=0.34, weight_decay=0.1, clip=0.5)


def text(count: int = 10, seed: int = 0) -> torch.Tensor:
    """Random blocks `[count, 8]`."""
    return torch.randint(2, VOCABULARY, (count, 8), generator=torch.Generator().manual_seed(seed))


def run(model: nn.Module, tuning: Tuning = TUNING, *, seed: int = 3, **options) -> list:
    """All events of a training on random text, in float32 unless told otherwise."""
    given = {"arm": "tuned", "precision": torch.float32} | options
    return list(train(model, text(), text(3, seed=1), tuning, seed=seed, **given))


def steps_of(events: list) -> list[StepTrained]:
    """The optimizer steps among the events."""
    return [event for event in events if isinstance(event, StepTrained)]


def by_hand(model: nn.Module, tuning: Tuning, seed: int) -> list[float]:
    """The same training, with the loss, the clipping and AdamW as their papers have them; returns the losses."""
    parameters = dict(model.named_parameters())
    first = {name: torch.zeros_like(one) for name, one in parameters.items()}
    second = {name: torch.zeros_like(one) for name, one in parameters.items()}
    losses = []
    for step in range(tuning.steps):
        tokens = batch(text(), step, tuning.batch_size, seed)
        model.zero_grad()
        log = model(tokens, use_cache=False).logits.log_softmax(-1)
        chosen = [log[row, place, tokens[row, place + 1]] for row in range(len(tokens)) for place in range(tokens.shape[1] - 1)]
        loss = -sum(chosen) / len(chosen)
        loss.backward()
        losses.append(loss.item())
        norm = math.sqrt(sum(float(one.grad.square().sum()) for one in parameters.values()))
        scale = min(1.0, tuning.clip / (norm + 1e-6))
        rate = learning_rate(step, tuning.steps, tuning.learning_rate, tuning.warmup)
        with torch.no_grad():
            for name, one in parameters.items():
                gradient = one.grad * scale
                if one.ndim > 1:
                    one -= rate * tuning.weight_decay * one
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.95 * second[name] + 0.05 * gradient**2
                mean, spread = first[name] / (1 - 0.9 ** (step + 1)), second[name] / (1 - 0.95 ** (step + 1))
                one -= rate * mean / (spread.sqrt() + 1e-8)
    return losses


@pytest.mark.parametrize("family", FAMILIES)
def test_training_equals_adamw_written_by_hand(family):
    """In float64, loss by loss and weight by weight; clipping, decay and warm-up are all at work."""
    mine, theirs = make(family), make(family)
    losses = [event.loss for event in steps_of(run(mine))]
    assert losses == pytest.approx(by_hand(theirs, TUNING, seed=3), rel=1e-9)
    assert losses[-1] < losses[0]
    for (name, one), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9, msg=name)


def test_every_step_is_told_with_its_rate():
    """In order, numbered from 1, under the arm's name."""
    steps = steps_of(run(make("gpt2", dtype=torch.float32), arm="control"))
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert {(event.arm, event.steps) for event in steps} == {("control", 6)}
    assert [event.learning_rate for event in steps] == [learning_rate(step, 6, 1e-2, 0.34) for step in range(6)]


def test_the_same_seed_trains_the_same_model():
    """To the bit, dropout included; another seed does not."""

    def trained(seed: int) -> list[torch.Tensor]:
        model = make("gpt2", dtype=torch.float32)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.2
        run(model, seed=seed)
        return list(model.parameters())

    first, again, other = trained(1), trained(1), trained(2)
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


def test_dropout_acts_in_steps_and_nowhere_else():
    """Of a model that drops nearly everything the loss of a step is another one's; between steps it is whole, and in its mode."""
    torch.manual_seed(0)
    model = CLASSES["gpt2"](gpt2(resid_pdrop=0.9, embd_pdrop=0.9)).eval()
    still = TUNING.model_copy(update={"learning_rate": 1e-7, "weight_decay": 0.0, "steps": 3})
    whole = [loss_of(model, batch(text(), step, 4, 3)).item() for step in range(3)]
    modes = []
    for event in train(model, text(), text(3, seed=1), still, arm="tuned", seed=3, precision=torch.float32):
        modes.append(model.training)
        if isinstance(event, StepTrained):
            assert abs(event.loss - whole[event.step - 1]) > 1e-3
        else:
            assert event.loss == pytest.approx(loss_of(model, text(3, seed=1)).item(), rel=1e-3)
    assert set(modes) == {False}


@pytest.mark.parametrize("training", [True, False])
def test_the_model_stays_in_its_mode_also_when_training_is_given_up(training):
    """Closed after the second step."""
    model = make("gpt2", dtype=torch.float32).train(training)
    events = train(model, text(), text(3, seed=1), TUNING, arm="tuned", seed=3, precision=torch.float32)
    while not (isinstance(event := next(events), StepTrained) and event.step == 2):
        assert model.training is training
    events.close()
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_global_random_state_is_neither_read_nor_moved():
    """Whoever samples beside a training gets what they would have got without it."""
    one, other = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = run(one)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    assert run(other) == first


@pytest.mark.parametrize("family", FAMILIES)
def test_gates_hold_through_training(family):
    """What a closed unit writes stays nothing, and the rest trains as if the unit's output were no parameter of the model."""
    model = make(family, dtype=torch.float32)
    written = {}
    with Gates(model) as gates:
        gates.close(heads={(0, 0), (1, 0), (1, 1), (1, 2)}, neurons={(0, neuron) for neuron in range(20)} | {(1, 3)})
        for layer in dissect(model).layers:
            for path in (layer.attention_output, layer.mlp_output):
                module = model.get_submodule(path)
                written[path] = []
                module.register_forward_pre_hook(lambda _, inputs, path=path: written[path].append(inputs[0].detach()))
        run(model)
        layers = dissect(model).layers
        width = layers[0].head_width
        for seen in written[layers[0].attention_output]:
            assert not seen[..., :width].any() and seen[..., width:].any()
        assert not any(seen.any() for seen in written[layers[1].attention_output])
        assert not any(seen.any() for seen in written[layers[0].mlp_output])
        for seen in written[layers[1].mlp_output]:
            assert not seen[..., 3].any() and seen.any()


def test_weight_decay_is_for_matrices_alone():
    """Where no token has a gradient, only the decay acts: matrices shrink by it, biases and norms stay to the bit."""
    model = make("gpt2", dtype=torch.float64)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    with Gates(model) as gates:  # nothing of layer 0 is written, so that its projections get no gradient
        gates.close(heads={(0, head) for head in range(3)}, neurons={(0, neuron) for neuron in range(20)})
        run(model)
    shrunk = math.prod(1 - learning_rate(step, 6, 1e-2, 0.34) * 0.1 for step in range(6))
    after = dict(model.named_parameters())
    for name in ("attn.c_attn", "mlp.c_fc"):
        name = f"transformer.h.0.{name}"
        torch.testing.assert_close(after[f"{name}.weight"], before[f"{name}.weight"] * shrunk, rtol=1e-9, atol=0)
        assert torch.equal(after[f"{name}.bias"], before[f"{name}.bias"])


def test_a_small_clip_makes_small_gradients_and_a_large_one_none():
    """Adam forgets a scale that stays; the first two steps see different ones."""
    plain = TUNING.model_copy(update={"clip": 1000.0})
    free, clipped = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    assert [event.loss for event in steps_of(run(free, plain))] != [event.loss for event in steps_of(run(clipped))]


def test_validation_reads_its_own_text_before_the_first_step_and_after_the_last():
    """Its loss is that of the model as it then is."""
    model, seen = make("gpt2", dtype=torch.float32), []
    for event in train(model, text(), text(3, seed=1), TUNING, arm="tuned", seed=3, precision=torch.float32):
        if isinstance(event, Validated):
            with torch.no_grad():
                assert event.loss == pytest.approx(loss_of(model, text(3, seed=1)).item(), rel=1e-5)
            assert event.tokens == 3 * 7
            seen.append(event.step)
    assert seen == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("steps, points", [(1, [0, 1]), (25, [*range(0, 25, 2), 25]), (10, list(range(11)))])
def test_validation_comes_about_ten_times(steps, points):
    """Seldom enough to cost little, and always at the end."""
    events = run(make("gpt2-one-head-one-layer", dtype=torch.float32), TUNING.model_copy(update={"steps": steps}))
    assert [event.step for event in events if isinstance(event, Validated)] == points


def test_the_text_for_validation_is_not_trained_on():
    """Whatever stands there, the steps and the weights are the same."""
    one, other = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    first = list(train(one, text(), text(3, seed=1), TUNING, arm="tuned", seed=3, precision=torch.float32))
    second = list(train(other, text(), text(3, seed=2), TUNING, arm="tuned", seed=3, precision=torch.float32))
    assert steps_of(first) == steps_of(second) and first != second
    assert all(map(torch.equal, one.parameters(), other.parameters()))


def test_a_loss_that_is_no_number_stops_the_training_with_the_weights_before():
    """One sentence says which step it was and what to do."""
    model = make("gpt2", dtype=torch.float32)
    events = train(model, text(), text(3, seed=1), TUNING, arm="tuned", seed=3, precision=torch.float32)
    while not (isinstance(event := next(events), StepTrained) and event.step == 2):
        pass
    next(events)  # the validation after it
    with torch.no_grad():
        model.transformer.wte.weight[2:] *= 1e30
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(Diverged, match=r"^The loss of step 3 is .*; lower the learning rate\.$"):
        list(events)
    assert all(map(torch.equal, before, model.parameters()))
    assert issubclass(Diverged, BadInput)


def test_a_step_that_is_no_number_is_undone_and_made_again_at_half_the_rate(monkeypatch):
    """As if it had never been tried: the steps before it are those of a training without the fault, and all steps are made."""
    plain = steps_of(run(make("gpt2", dtype=torch.float32)))
    monkeypatch.setenv("ESPALIER_FAULTS", "loss@2, gradient@3")
    events = run(make("gpt2", dtype=torch.float32))
    found = steps_of(events)
    assert found[0] == plain[0] and [each.step for each in found] == [each.step for each in plain]
    halves = [1, 0.5] + [0.25] * (len(plain) - 2)
    assert [each.learning_rate for each in found] == [half * each.learning_rate for half, each in zip(halves, plain, strict=True)]
    first, second = (event for event in events if isinstance(event, Degraded))
    told = "made again with 0.5 of the learning rate from there on"
    assert first == Degraded(
        "step 2 of the recovery", told, "the loss of step 2 is not a number, the norm of its gradient not a number", "tuned", 2
    )
    assert second.asked == "step 3 of the recovery" and second.why.endswith(", the norm of its gradient infinite")
    assert not any(isinstance(event, WentBack) for event in events)


def test_a_training_that_is_given_up_ends_with_its_best_weights(monkeypatch):
    """After so many halvings, and not after the first; the weights are to the bit those of the step that it names."""
    monkeypatch.setenv("ESPALIER_FAULTS", f"loss@2, loss@6x{HALVINGS}")
    tuning = TUNING.model_copy(update={"learning_rate": 0.3})  # so that the later steps make it worse
    model, events, kept = make("gpt2", dtype=torch.float32), [], {}
    with pytest.raises(Diverged, match=rf"the rate was halved {HALVINGS} times; lower the learning rate\.$"):
        for event in train(model, text(), text(3, seed=1), tuning, arm="tuned", seed=3, precision=torch.float32):
            events.append(event)
            if isinstance(event, Validated):
                kept[event.step] = [one.detach().clone() for one in model.parameters()]
    assert sum(isinstance(event, Degraded) for event in events) == HALVINGS
    back = events[-1]
    assert isinstance(back, WentBack) and back.made == 5 and 0 < back.step < 5
    losses = {event.step: event.loss for event in events if isinstance(event, Validated)}
    assert back.step == min(losses, key=losses.get)
    assert all(map(torch.equal, kept[back.step], model.parameters()))


def test_a_validation_that_is_no_number_stops_the_training_too():
    """It is no loss that could be shown."""
    model = make("gpt2", dtype=torch.float32)
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="^The validation loss after step 0 is nan"):
        run(model)


def test_no_steps_train_nothing():
    """Only the loss as it stands is told."""
    model = make("gpt2", dtype=torch.float32)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert [type(event) for event in run(model, TUNING.model_copy(update={"steps": 0}))] == [Validated]
    assert all(map(torch.equal, before, model.parameters()))


def test_bfloat16_is_the_arithmetic_and_not_the_weights():
    """Weights and their gradients stay float32; the loss is near, and not the same."""
    plain, short = make("gpt2", dtype=torch.float32), make("gpt2", dtype=torch.float32)
    exact, rounded = steps_of(run(plain)), steps_of(run(short, precision=torch.bfloat16))
    assert {parameter.dtype for parameter in short.parameters()} == {torch.float32}
    assert rounded[0].loss == pytest.approx(exact[0].loss, rel=0.05) and rounded[0].loss != exact[0].loss


def test_the_loss_is_that_of_transformers():
    """The mean over every predicted token."""
    model, tokens = make("gpt2", dtype=torch.float32), text()
    logits = model(tokens).logits
    assert loss_of(model, tokens).item() == pytest.approx(model(tokens, labels=tokens).loss.item(), rel=1e-5)
    rows = [functional.cross_entropy(logits[row, :-1], tokens[row, 1:]).item() for row in range(len(tokens))]
    assert loss_of(model, tokens).item() == pytest.approx(sum(rows) / len(rows), rel=1e-5)


def test_a_part_of_a_training_makes_its_own_steps():
    """Batches, rates and dropout are those of the whole; only the optimizer begins anew."""
    whole = steps_of(run(make("gpt2", dtype=torch.float32)))
    parts = (
        steps_of(run(make("gpt2", dtype=torch.float32), part=(0, 3))),
        steps_of(run(make("gpt2", dtype=torch.float32), part=(3, 6))),
    )
    assert parts[0] == whole[:3]
    assert [(one.step, one.steps, one.learning_rate) for one in parts[1]] == [
        (one.step, one.steps, one.learning_rate) for one in whole[3:]
    ]


def test_training_stops_early_and_keeps_the_best_weights():
    """At a rate that spoils the model: the weights end as they were at the lowest validation loss, and it says so."""
    tuning = TUNING.model_copy(update={"learning_rate": 1.0, "steps": 30, "patience": 2, "warmup": 0.0})
    model = make("gpt2", dtype=torch.float32)
    events = run(model, tuning)
    losses = {event.step: event.loss for event in events if isinstance(event, Validated)}
    back = events[-1]
    assert isinstance(back, WentBack) and back.step == min(losses, key=losses.get) < back.made == max(losses) < 30
    assert "not lower in 2 validations" in back.why
    with torch.no_grad():
        assert loss_of(model, text(3, seed=1)).item() == pytest.approx(losses[back.step], rel=1e-5)


def test_a_guard_rail_goes_back_to_the_best_weights():
    """Once the perplexity was below it, the first validation above it ends the training."""
    model = make("gpt2", dtype=torch.float32)
    first = run(model, TUNING.model_copy(update={"steps": 0}))[0].loss
    tuning = TUNING.model_copy(update={"learning_rate": 1.0, "steps": 30, "guard": 1.5 * math.exp(first), "warmup": 0.0})
    before = [one.detach().clone() for one in model.parameters()]
    events = run(model, tuning)
    assert isinstance(events[-1], WentBack) and "above" in events[-1].why
    if events[-1].step == 0:
        assert all(map(torch.equal, before, model.parameters()))


def test_a_guard_that_never_had_anything_to_hold_says_so():
    """A perplexity of 1 is below that of any model; a guard that the model came down to says nothing."""
    for guard, told in ((1.0, 1), (1e6, 0)):
        events = run(make("gpt2", dtype=torch.float32), TUNING.model_copy(update={"guard": guard}))
        found = [event for event in events if isinstance(event, Degraded)]
        assert len(found) == told and all(one.asked == "a guard of 1 in the recovery" and one.did == "none" for one in found)
        assert len(steps_of(events)) == TUNING.steps


def test_without_patience_and_guard_nothing_is_kept_or_told():
    """The last weights stand, however bad they are."""
    tuning = TUNING.model_copy(update={"learning_rate": 1.0})
    assert not any(isinstance(event, WentBack) for event in run(make("gpt2", dtype=torch.float32), tuning))


def test_the_arithmetic_is_the_one_that_was_asked_for():
    """`auto` takes bfloat16 only where it is multiplied in hardware."""
    cpu = torch.device("cpu")
    assert arithmetic("float32", cpu) == torch.float32 and arithmetic("bfloat16", cpu) == torch.bfloat16
    able = torch.cpu.get_capabilities()
    fast = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    assert arithmetic("auto", cpu) == (torch.bfloat16 if fast else torch.float32)
    assert arithmetic("auto", torch.device("mps")) == torch.float32
