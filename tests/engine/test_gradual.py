"""Tests of pruning with a recovery after each round: what is asked, what goes and comes back, and what its control is."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine import run
from engine.models.load import load
from engine.pruning.plan import Plan
from engine.pruning.zeroing import silence
from engine.record import commands as ask
from engine.record import events as tell
from engine.record.client import open_run
from engine.record.folder import create, post
from engine.record.lifecycle import Progressed
from engine.record.line import Stamped
from engine.record.recipe import Recipe, Tuning
from engine.record.standing import Curve
from engine.record.state import RunState, fold
from engine.recovery.loop import train
from engine.text.corpora import read_corpus
from engine.text.texts import Texts
from engine.workbench import Workbench
from tests.engine.conftest import WORDS
from tests.engine.test_resuming import Driver, ended
from tests.engine.test_workbench import do, one, seen

ROUNDS = {"rounds": 3, "recover": "rounds", "ramp": "cubic"}


def gradual(recipe: Recipe, **changes) -> Recipe:
    """The small recipe in three rounds of two steps each."""
    tuning = recipe.tuning.model_copy(update={"steps": 6})
    level = {"level": 0.6, "shape": "uniform"}
    update = {
        "tuning": tuning,
        "heads": recipe.heads.model_copy(update=level),
        "neurons": recipe.neurons.model_copy(update=level),
    }
    return recipe.model_copy(update=update | ROUNDS | changes)


def bench_of(recipe: Recipe, rounds: int, folder=None) -> Workbench:
    """A workbench on which some of the rounds are done."""
    bench = Workbench(folder, recipe)
    do(bench, ask.commands_of(recipe)[0])
    for command in ask.pruning_of(recipe):
        if isinstance(command, ask.Prune | ask.Tune) and (getattr(command, "only", 0) or command.part[0]) <= rounds:
            do(bench, command)
    return bench


def test_a_recipe_asks_for_a_recovery_after_each_round(recipe):
    """Prune, measure, train, and again; the parts are all steps, each once."""
    asked = ask.commands_of(gradual(recipe))
    told = [(type(one).__name__, getattr(one, "only", None) or getattr(one, "part", (0,))[0]) for one in asked]
    assert [each for each in told if each[0] in ("Prune", "Tune")] == [(n, k) for k in (1, 2, 3) for n in ("Prune", "Tune")]
    (last,) = (one for one in asked if isinstance(one, ask.Tune) and one.part == (3, 3))
    assert [last.steps(part) for part in (1, 2, 3)] == [(0, 2), (2, 4), (4, 6)]
    assert sum(isinstance(one, ask.Tune) for one in ask.commands_of(recipe)) == 1


def test_however_many_rounds_there_are_two_sets_of_statistics_stay(recipe, tmp_path):
    """Those of the model as it was loaded, and those of the last weights that were read; an undo to the first finds its own."""
    wish = gradual(recipe, criterion="activation", compensation="least-squares")
    bench, kept = Workbench(tmp_path, wish), tmp_path / "artifacts" / "statistics"
    do(bench, ask.commands_of(wish)[0])
    counts = []
    for command in ask.pruning_of(wish):
        if isinstance(command, ask.Prune | ask.Tune):
            do(bench, command)
            counts.append(len(list(kept.iterdir())))
    assert counts == [3, 3, 6, 6, 6, 6], "of each set the three needs"
    do(bench, ask.Undo())
    assert bench.desk.stand.weights is not None and len(list(kept.iterdir())) == 6
    do(bench, ask.Reset())
    told = do(bench, next(each for each in ask.pruning_of(wish) if isinstance(each, ask.Prune)))
    assert not [event for event in told if isinstance(event, Progressed) and "calibration" in event.what]
    assert len(list(kept.iterdir())) == 6
    bench.close()


@pytest.mark.parametrize("revive", [False, True])
def test_the_level_rises_along_the_ramp_and_the_record_says_so(recipe, revive):
    """19/27, 26/27 and all under the cubic ramp; without reviving what went stays gone; the curve goes on through all rounds."""
    events = list(run(gradual(recipe, revive=revive)))
    began = [event for event in events if isinstance(event, tell.RoundBegan)]
    assert [(event.round, event.step) for event in began] == [(1, 0), (2, 2), (3, 4)]
    assert [event.level for event in began] == pytest.approx([19 / 27, 26 / 27, 1])
    plans = [event for event in events if isinstance(event, tell.PlanMade)]
    assert all(plan.laid and plan.rounds == 3 for plan in plans)
    assert [plan.neuron_counts[0] for plan in plans] == [round(40 * 0.6 * event.level) for event in began]
    assert revive or set(plans[0].heads) <= set(plans[1].heads) <= set(plans[2].heads)
    state = fold(RunState(), (Stamped(at, float(at), event) for at, event in enumerate(events)))
    curves = state.standing.curves
    assert [step for step, _ in curves["tuned"].training] == [1, 2, 3, 4, 5, 6] == [s for s, _ in curves["control"].training]
    assert state.standing.rounds == tuple(began) and state.status == "finished"
    found = {event.stage: event.perplexity for event in events if isinstance(event, tell.Evaluated)}
    assert found["cut"] == pytest.approx(found["tuned"], rel=1e-5)


def test_the_control_goes_through_the_same_parts(recipe):
    """The dense model, trained part by part; an early recovery without one leaves none."""
    asked = gradual(recipe)
    bench = bench_of(asked, 2)
    *_, prune, evaluate, sample, tune = ask.pruning_of(asked)
    events = do(bench, prune, evaluate, sample, tune)
    losses = [event.loss for event in events if isinstance(event, tell.StepTrained) and event.arm == "control"]
    model, desk = load(recipe.model).model, bench.desk
    blocks, held_out = desk.texts.blocks("train", 32), desk.texts.blocks("calibration", 32, 64)
    how = {"arm": "control", "seed": 0, "precision": desk.precision}
    by_hand = [each for part in (1, 2, 3) for each in train(model, blocks, held_out, asked.tuning, **how, part=tune.steps(part))]
    assert losses == [each.loss for each in by_hand if isinstance(each, tell.StepTrained)]
    assert bench.desk.stand.control == bench.desk.stand.trained == 6
    bench.close()


def test_silenced_units_are_closed_ones_with_their_gates_open(recipe):
    """The same logits up to rounding; what they read is untouched."""
    bench = bench_of(gradual(recipe), 1)
    before, plan = seen(bench), bench.desk.overlay.plan
    silence(bench.desk.model, bench.desk.loaded.anatomy, plan)
    with bench.desk.overlay.lifted():
        assert bench.desk.overlay.plan == Plan()
        torch.testing.assert_close(seen(bench), before, rtol=1e-5, atol=1e-5)
    bench.close()


def test_a_unit_that_comes_back_changes_nothing_at_first(recipe):
    """Where the criterion says so it opens, though the level has risen; without compensation it begins by writing nothing."""
    asked = gradual(recipe, revive=True, compensation="none", criterion="random")
    bench = bench_of(asked, 1)
    gone, before = bench.desk.overlay.plan, seen(bench)
    again = [command for command in ask.pruning_of(asked) if isinstance(command, ask.Prune)][1]
    do(bench, replace(again, seed=5))  # which draws another order of the units
    back = Plan(gone.heads - bench.desk.overlay.plan.heads, gone.neurons - bench.desk.overlay.plan.neurons)
    assert back.neurons
    layer, neuron = min(back.neurons)
    path = bench.desk.loaded.anatomy.layers[layer].mlp_output
    assert not bench.desk.model.get_submodule(path).weight[neuron].any()  # of a Conv1D, [in, out]
    bench.desk.overlay.off()  # all gates open: what went in the first round writes nothing, what went in the second is back
    torch.testing.assert_close(seen(bench), before, rtol=1e-5, atol=1e-5)
    bench.close()


@pytest.mark.parametrize("revive", [False, True])
def test_a_later_round_that_is_given_up_or_undone_leaves_the_model_as_it_was(recipe, tmp_path, revive):
    """To the bit, at whatever event; and another process finds the same."""
    asked = gradual(recipe, revive=revive)
    bench = bench_of(asked, 1, tmp_path)
    weights, before, stand = [w.detach().clone() for w in bench.desk.model.parameters()], seen(bench), bench.desk.stand
    again = [command for command in ask.pruning_of(asked) if isinstance(command, ask.Prune)][1]
    count = sum(1 for _ in bench.handle(again))
    pruned = seen(bench)
    bench.desk.restore(bench.desk.stand.name, anew=True)
    assert torch.equal(seen(bench), pruned)
    do(bench, ask.Undo())
    for stop in range(1, count, 7):
        events = bench.handle(again)
        list(itertools.islice(events, stop))
        events.close()
        if bench.desk.stand.name != stand.name:  # what was gathered the first time is known: it may be done already
            do(bench, ask.Undo())
        assert bench.desk.stand.name == stand.name and torch.equal(seen(bench), before)
    assert all(map(torch.equal, weights, bench.desk.model.parameters()))
    bench.close()


def test_a_reason_tells_the_round(recipe):
    """So that a list of changes can be read."""
    bench = bench_of(gradual(recipe), 0)
    prune, *_, tune = ask.pruning_of(gradual(recipe))[:4]
    assert one(do(bench, prune), tell.CheckpointSaved).reason == "prune, round 1 of 3"
    assert one(do(bench, tune), tell.CheckpointSaved).reason == "tune, round 1 of 3"
    bench.close()


@pytest.fixture(scope="module")
def unguarded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, list]:
    """Three rounds whose recoveries train next to nothing, and all that happens in them. The text has words in the same order
    always, and the small model has learnt it: so it has something to lose."""
    folder = tmp_path_factory.mktemp("counting")
    starts = itertools.product(range(len(WORDS)), range(40, 48))
    text = "\n\n".join(" ".join((WORDS * 4)[start : start + length]) for start, length in starts)
    folder.joinpath("text.txt").write_text(text, encoding="utf-8")
    loaded = load(str(model_folder))
    texts = Texts(read_corpus(f"file:{folder}/text.txt"), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    blocks = texts.blocks("train", 32)
    tuning = Tuning(steps=80, batch_size=8, sequence_length=32, learning_rate=1e-2)
    for _ in train(loaded.model, blocks, blocks[:2], tuning, arm="tuned", seed=0, precision=torch.float32):
        pass
    loaded.model.save_pretrained(folder / "model")
    loaded.tokenizer.save_pretrained(folder / "model")
    level, tokens = {"level": 0.9, "shape": "uniform"}, {"tokens": 512, "sequence_length": 32}
    recipe = Recipe.model_validate(
        {"model": str(folder / "model"), "corpus": f"file:{folder}/text.txt", "device": "cpu", "prompt": "The old tree"}
        | {"tuning": {"steps": 6, "batch_size": 4, "sequence_length": 32, "learning_rate": 1e-6}, "compensation": "none"}
        | {"heads": level, "neurons": level, "calibration": tokens, "evaluation": tokens}
        | {"rounds": 3, "recover": "rounds", "ramp": "linear"}
    )
    return recipe, list(run(recipe))


def guarded(unguarded: tuple[Recipe, list], kept: int) -> Recipe:
    """The same with a guard that lets so many rounds pass."""
    recipe, events = unguarded
    told = [event for event in events if isinstance(event, tell.Validated | tell.CheckpointSaved)]
    ends = [math.exp(one.loss) for one, after in itertools.pairwise(told) if getattr(after, "reason", "").startswith("tune")]
    assert len(ends) == 3 and ends == sorted(ends)
    guard = (ends[kept - 1] + ends[kept]) / 2 if kept else ends[0] * 0.9
    return recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"guard": guard})})


@pytest.mark.parametrize("kept", [0, 2])
def test_a_round_that_the_guard_refuses_is_undone_and_no_other_follows(unguarded, tmp_path, kept):
    """The model is that of the last round that was kept, gates, weights and all that was measured of it; events say so, the
    result has it, the control went through as much, and what is cut and saved is that model."""
    asked, plain = guarded(unguarded, kept), unguarded[1]
    events = list(run(asked, tmp_path / "run"))
    refused = one(events, tell.RoundRefused)
    assert (refused.round, refused.rounds) == (kept + 1, 3) and refused.perplexity > refused.guard == asked.tuning.guard
    assert sum(isinstance(event, tell.RoundBegan) for event in events) == kept + 1
    state = open_run(tmp_path / "run")
    gates, standing = [event for event in plain if isinstance(event, tell.GatesChanged)], state.standing
    assert state.status == "finished" and state.refused_round == kept + 1
    assert standing.gates.heads == (gates[kept - 1].heads if kept else ()) and standing.gates.reason == "guard"
    tuned = [event.perplexity for event in plain if isinstance(event, tell.Evaluated) and event.stage == "tuned"]
    found = {stage: each.perplexity for stage, each in standing.perplexity.items()}
    assert found.get("tuned") == (pytest.approx(tuned[kept - 1]) if kept else None)
    assert found["cut"] == pytest.approx(found["tuned"] if kept else found["baseline"], rel=1e-5)
    assert [step for step, _ in standing.curves.get("control", Curve()).training] == list(range(1, 2 * kept + 1))
    first = state.degraded[0]
    assert first.asked == f"round {kept + 1} of 3 and those after it" and "above the guard" in first.why
    assert (first.did == f"the model as it was after round {kept}") == bool(kept)
    assert not (tmp_path / "run" / "checkpoints" / "bookmarks").exists()


def test_a_run_that_dies_around_a_refusal_comes_to_the_same_end(unguarded, tmp_path):
    """Before the model is back, after that, and in the commands that have nothing to do any more."""
    asked = guarded(unguarded, 1)
    whole = list(run(asked, tmp_path / "whole"))
    (place,) = (at for at, event in enumerate(whole) if isinstance(event, tell.RoundRefused))
    for more in (1, 2, 9):
        folder = create(asked, tmp_path / f"dies-{more}")
        for command in ask.commands_of(asked):
            post(folder, command)
        for events in (place + more, None):  # without RunStarted, with the refusal; and then all that is left
            driver = Driver(folder, asked)
            driver.go(events)
            driver.die()
        assert told(ended(folder)) == told(ended(tmp_path / "whole")), f"after {whole[place + more]}"


def told(end: tuple) -> tuple:
    """What a run has come to, but for whether it was told so, and why its gates are as they are."""
    _, perplexity, curves, gates, *others = end
    return perplexity, curves, gates.heads, gates.neuron_counts, *others
