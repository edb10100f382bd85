"""Tests of engine/session.py: what a recipe does from start to end, and how it is held, stepped and stopped on the way."""

import math
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine import open_run, run
from engine.evaluation.perplexity import evaluate
from engine.exports import export
from engine.inbox import Inbox
from engine.models.load import load
from engine.pruning.checkpoint import load_pruned
from engine.record import commands as ask
from engine.record.claim import is_held
from engine.record.errors import AcceleratorLost, Away, BadInput
from engine.record.events import CheckpointSaved, Evaluated, ModelLoaded, StepTrained, TextSampled, TrainingResumed, TuningStarted
from engine.record.folder import create, post, read_events
from engine.record.lifecycle import (
    SHELTER,
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    Degraded,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
)
from engine.record.line import Stamped
from engine.record.state import RunState, fold
from engine.record.whole_runs import begin
from engine.recovery.bookmarks import VARIABLE as EVERY
from engine.session import serve
from engine.text.corpora import read_corpus
from engine.text.texts import Texts
from engine.workbench import Workbench

UNTIMED = ("ModelCut", "ModelSaved", "MemoryEstimated")  # what the machine has a part in


def names(events) -> list[str]:
    """The names of the events that are not mere progress, each repeated one once."""
    progress = ("MemoryEstimated", "MemorySampled", "Progressed", "StepTrained", "Validated")
    found = [type(event).__name__ for event in events if type(event).__name__ not in progress]
    return [name for name in found if not name.startswith("Command")]


def test_a_recipe_tells_its_whole_story_in_order(recipe, tmp_path):
    """The exact list of events, mere progress left out."""
    assert names(run(recipe, tmp_path / "run")) == [
        "RunStarted",
        *("ModelLoaded", "CorpusLoaded"),
        *("Evaluated", "TextSampled"),
        "UnitsScored",
        *("PlanMade", "GatesChanged", "Compensated", "CheckpointSaved"),
        *("Evaluated", "TextSampled"),
        *("TuningStarted", "CheckpointSaved", "Evaluated", "TextSampled"),
        *("TuningStarted", "Evaluated", "TextSampled"),
        *("ModelCut", "Evaluated", "ModelSaved"),
        "RunFinished",
    ]


@pytest.mark.parametrize("kind", [ask.Evaluate, ask.Score, ask.Preview, ask.Sample])
def test_a_command_that_memory_runs_out_for_is_refused_and_the_run_lives(recipe, kind):
    """In one sentence, the model as it was: the allocator itself says no, once something has been computed."""
    asked = {
        ask.Evaluate: ask.Evaluate("pruned", recipe.evaluation),
        ask.Score: ask.Score("taylor", recipe.calibration),
        ask.Preview: replace(ask.preview_of(recipe), criterion="fisher"),
        ask.Sample: ask.Sample("pruned", recipe.prompt),
    }[kind]
    bench = Workbench(None, recipe)
    done = list(serve(bench, Inbox((ask.commands_of(recipe)[0], ask.prune_of(recipe))), lambda: False))
    assert not any(isinstance(event, CommandRefused) for event in done)
    plan, weights = bench.desk.overlay.plan, [one.detach().clone() for one in bench.desk.model.parameters()]
    greedy = bench.desk.model.transformer.h[1].register_forward_hook(lambda *_: torch.empty(2**60, dtype=torch.uint8))
    refused = list(serve(bench, Inbox((asked,)), lambda: False))[-1]
    greedy.remove()
    why = f"Memory ran out (1 EiB more were asked for) in {kind.__name__}"
    assert refused == CommandRefused(0, kind.__name__, "", f"{why}; close other programs, or ask for fewer or shorter sequences.")
    assert bench.desk.overlay.plan == plan and all(map(torch.equal, weights, bench.desk.model.parameters()))
    assert isinstance(list(serve(bench, Inbox((asked,)), lambda: False))[-1], CommandFinished)
    bench.close()


def test_a_dead_accelerator_leaves_a_run_for_another_process(recipe, tmp_path, monkeypatch):
    """What went wrong is on record, and raised; without a folder there is nothing that another one could go on with."""
    monkeypatch.setenv("ESPALIER_FAULTS", "device@2")
    why = "CUDA error: device-side assert triggered"
    with pytest.raises(AcceleratorLost, match=why):
        list(run(recipe, tmp_path / "run"))
    last = read_events(tmp_path / "run")[-1].fact
    assert last == Degraded("cpu", SHELTER, f"the accelerator failed ({why})")
    assert not open_run(tmp_path / "run").is_over and not is_held(tmp_path / "run")
    events, told = run(recipe), []
    with pytest.raises(torch.AcceleratorError):
        for event in events:
            told.append(event)
    assert told[-1] == RunFailed(f"The accelerator failed ({why}); run it again, or with device=cpu.")


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("at", ["tuned", "control"])
def test_a_model_whose_files_are_away_for_a_while_costs_nothing(at, waits, recipe, tmp_path):
    """They are moved as that training begins, before the dense model is needed again: a worker waits until they are back and goes
    on where it was, and a run of the command line is left to be resumed. The numbers are those of a run that was left alone."""
    model = Path(shutil.copytree(recipe.model, tmp_path / "model"))
    tuning = recipe.tuning.model_copy(update={"method": "distil"})
    recipe = recipe.model_copy(update={"tuning": tuning, "model": str(model)})
    whole = list(run(recipe))
    asked = (*ask.commands_of(recipe), ask.Finish(whole=True))
    folder = tmp_path / "run"
    begin(recipe, folder, asked).release()
    naps, told = [], []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3 and not model.exists():
            model.with_name("away").rename(model)

    with closing(Workbench(folder, recipe)) as bench:
        try:
            for event in serve(bench, Inbox(folder=folder), lambda: False, waits=waits, nap=nap):
                told.append(event)
                if model.exists() and not naps and isinstance(event, TuningStarted) and event.arm == at:
                    model.rename(model.with_name("away"))
        except Away as error:
            assert not waits and str(error).startswith("The model cannot be had again (There is no folder ")
    (degraded,) = (event for event in told if isinstance(event, Degraded))
    did = "a wait for the model" if waits else "nothing until it is resumed"
    assert (degraded.asked, degraded.did) == (f"going on with {'Tune' if at == 'tuned' else 'Cut'}", did)
    if not waits:
        return
    assert isinstance(told[-1], RunFinished)
    found, expected = (
        {event.stage: event.perplexity for event in events if isinstance(event, Evaluated)} for events in (told, whole)
    )
    assert found == expected
    steps = [(event.arm, event.step) for event in told if isinstance(event, StepTrained)]
    assert steps == [(event.arm, event.step) for event in whole if isinstance(event, StepTrained)]


def test_a_sheltered_workbench_has_every_model_on_the_cpu_and_says_so(recipe, monkeypatch):
    """Whatever a recipe asks for; here `pick_device` is told of an accelerator that is not there, at the seam."""
    monkeypatch.setattr("engine.workbench.pick_device", lambda asked: "cuda")
    bench = Workbench(None, recipe, sheltered=True)
    told = list(bench.handle(ask.commands_of(recipe)[0]))
    (loaded,) = (event for event in told if isinstance(event, ModelLoaded))
    assert loaded.device == "cpu" and Degraded("cuda", "the CPU", "an accelerator failed in this run a short while ago") in told
    bench.close()


def test_two_runs_of_one_recipe_yield_the_same_events(recipe):
    """Everything but measured times is a function of the recipe."""
    first, second = ([event for event in run(recipe) if type(event).__name__ not in UNTIMED] for _ in range(2))
    assert first == second


def test_the_folder_holds_what_was_yielded_and_replays_to_the_same_state(recipe, tmp_path):
    """events.jsonl is the run: nothing is lost on the way through JSON."""
    yielded = list(run(recipe, tmp_path / "run"))
    assert [stamped.fact for stamped in read_events(tmp_path / "run")] == yielded
    state = open_run(tmp_path / "run")
    assert state.status == "finished"
    measured = {event.stage: event for event in yielded if isinstance(event, Evaluated)}
    assert dict(state.standing.perplexity) == measured
    assert list(measured) == ["baseline", "pruned", "tuned", "control", "cut"]
    assert len(state.standing.curves["tuned"].training) == recipe.tuning.steps == len(state.standing.curves["control"].training)


def test_the_baseline_is_the_perplexity_of_the_model_as_transformers_loads_it(recipe):
    """The number in the event is the one that anybody measures on the same blocks."""
    loaded = load(recipe.model)
    blocks = Texts(read_corpus(recipe.corpus), loaded.tokenizer, 64, 400).blocks("evaluation", 32, 512)
    told = next(event for event in run(recipe) if isinstance(event, Evaluated))
    assert told.perplexity == pytest.approx(evaluate(loaded.model, blocks).perplexity, rel=1e-12)


def test_the_saved_model_has_the_perplexity_that_the_run_told(recipe, tmp_path):
    """What lies in model/ is what was measured: cut, compensated and recovered."""
    told = {event.stage: event.perplexity for event in run(recipe, tmp_path / "run") if isinstance(event, Evaluated)}
    model, tokenizer = load_pruned(tmp_path / "run" / "model")
    blocks = Texts(read_corpus(recipe.corpus), tokenizer, 64, 400).blocks("evaluation", 32, 512)
    assert evaluate(model, blocks).perplexity == pytest.approx(told["cut"], rel=1e-9)
    assert told["cut"] == pytest.approx(told["tuned"], rel=1e-5)


def test_without_pruning_and_training_every_stage_equals_the_baseline(recipe):
    """Level 0 changes nothing at all."""
    nothing = {"level": 0.0}
    still = recipe.model_copy(
        update={
            "heads": recipe.heads.model_copy(update=nothing),
            "neurons": recipe.neurons.model_copy(update=nothing),
            "tuning": recipe.tuning.model_copy(update={"steps": 0}),
        }
    )
    events = list(run(still))
    assert len({event.nll for event in events if isinstance(event, Evaluated)}) == 1
    texts = [event for event in events if isinstance(event, TextSampled)]
    assert texts[0].tokens == texts[1].tokens and texts[0].surprises == texts[1].surprises


def test_a_corpus_that_is_missing_fails_the_run_and_names_the_field(recipe):
    """The last event says why, in one sentence, and which field it was."""
    *_, last = run(recipe.model_copy(update={"corpus": "file:/nowhere/at/all.txt"}))
    assert isinstance(last, RunFailed)
    assert last.field == "corpus" and "/nowhere/at/all.txt" in last.reason


def test_a_folder_that_holds_a_run_is_refused_before_anything_happens(recipe, tmp_path):
    """A second run never writes into the first one's folder."""
    list(run(recipe, tmp_path / "run"))
    before = (tmp_path / "run" / "events.jsonl").read_bytes()
    with pytest.raises(BadInput, match="holds a run already"):
        run(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "events.jsonl").read_bytes() == before


def test_a_stop_ends_a_recipe_within_one_step_and_keeps_what_was_learnt(recipe, tmp_path):
    """Posted between two steps, it is the next thing that happens; the steps done so far are saved and measured."""
    long = recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"steps": 50})})
    events = []
    for event in run(long, tmp_path / "run"):
        events.append(event)
        if isinstance(event, StepTrained) and event.step == 3:
            post(tmp_path / "run", ask.Stop())
    assert [event.step for event in events if isinstance(event, StepTrained)] == [1, 2, 3]
    assert isinstance(events[-1], RunStopped)
    assert [event.stage for event in events if isinstance(event, Evaluated)] == ["baseline", "pruned", "tuned"]
    assert open_run(tmp_path / "run").status == "stopped"


def test_a_held_run_makes_exactly_the_steps_that_it_is_asked_for(recipe, tmp_path):
    """Pause holds before the next step, each Step makes one, Resume makes the rest."""
    events, asked = [], iter([ask.Step(), ask.Step(), ask.Resume()])
    bench = Workbench(tmp_path, recipe)
    inbox = Inbox(folder=tmp_path)
    for command in (*ask.commands_of(recipe)[:5], ask.Tune(recipe.tuning, recipe.evaluation, recipe.prompt), ask.Finish()):
        post(tmp_path, command)
    held_at = []

    def nap(_: float) -> None:
        held_at.append(sum(isinstance(event, StepTrained) for event in events))
        post(tmp_path, next(asked))

    for event in serve(bench, inbox, lambda: False, nap=nap):
        events.append(event)
        if isinstance(event, StepTrained) and event.arm == "tuned" and event.step == 1:
            post(tmp_path, ask.Pause())
    bench.close()
    assert held_at == [1, 2, 3]
    assert sum(isinstance(event, RunPaused) for event in events) == 1 == sum(isinstance(event, RunResumed) for event in events)
    assert sum(isinstance(event, StepTrained) for event in events) == 2 * recipe.tuning.steps
    assert isinstance(events[-1], RunFinished)


def test_a_run_that_is_stepped_past_the_end_of_a_command_is_held_before_the_next(recipe, tmp_path):
    """It is the run that was paused, and each step is one more of it; what is asked for after the pause is not held."""
    bench, inbox, events = Workbench(tmp_path, recipe), Inbox(folder=tmp_path), []
    load, evaluate = ask.commands_of(recipe)[:2]
    for command in (load, evaluate, ask.Pause()):
        post(tmp_path, command)
    held_at = []

    def nap(_: float) -> None:
        held_at.append(sum(isinstance(event, CommandFinished) for event in events))
        post(tmp_path, ask.Step() if len(held_at) < 20 and not held_at[-1] else ask.Resume())

    for event in serve(bench, inbox, lambda: False, nap=nap):
        events.append(event)
    bench.close()
    told = [type(event) for event in events if isinstance(event, CommandStarted | RunPaused | RunResumed | CommandFinished)]
    assert told == [CommandStarted, RunPaused, CommandFinished, CommandStarted, RunPaused, RunResumed, CommandFinished]
    assert held_at[-1] == 1


def test_of_previews_in_a_row_only_the_last_is_worked_out(recipe, tmp_path):
    """A slider that was dragged leaves many; nobody waits for those that another one replaced."""
    bench = Workbench(tmp_path, recipe)
    post(tmp_path, ask.commands_of(recipe)[0])
    for level in (0.1, 0.2, 0.3):
        heads = recipe.heads.model_copy(update={"level": level})
        post(tmp_path, ask.Preview("random", heads, heads, "none", recipe.evaluation, recipe.calibration))
    done = [event for event in serve(bench, Inbox(folder=tmp_path), lambda: False) if isinstance(event, CommandFinished)]
    bench.close()
    assert [event.command for event in done] == [0, 3]


@pytest.mark.parametrize("last", ["ModelLoaded", "CorpusLoaded"])
def test_a_load_that_is_stopped_has_loaded_all_or_nothing(recipe, tmp_path, last):
    """Between its last two events it takes the model back, in the workbench and in the record; after both it stands."""
    bench, folder = Workbench(tmp_path, recipe), create(recipe, tmp_path / "run")
    other = ask.Load(recipe.model, {part: str(tmp_path / part) for part in ("train", "calibration", "evaluation")})
    for part, text in vars(read_corpus(recipe.corpus)).items():
        if part in other.corpus:
            (tmp_path / part).write_text("\n\n".join(text))
    stamped, loads = [], 0
    for command in (ask.commands_of(recipe)[0], other):
        post(folder, command)
    for event in serve(bench, Inbox(folder=folder), lambda: False):
        stamped.append(Stamped(len(stamped), 0.0, event))
        loads += type(event).__name__ == last
        if loads == 2 and type(event).__name__ == last:
            post(folder, ask.Stop())
    state = fold(RunState(), stamped)
    assert isinstance(stamped[-1].fact, CommandStopped) and state.replaced is None
    assert state.corpus.corpus == bench.desk.texts.splits.name == (recipe.corpus if last == "ModelLoaded" else "paths")
    bench.close()


def test_a_recovery_that_diverges_is_a_failure_and_no_bad_recipe(recipe):
    """The run's last event blames no field, which the command line would take for a recipe that cannot be."""
    bench, last = Workbench(None, recipe), None
    for last in serve(bench, Inbox((*ask.commands_of(recipe), ask.Finish(whole=True))), lambda: False):
        if isinstance(last, StepTrained) and last.step == 2:
            bench.desk.model.transformer.wte.weight.data[5] = math.nan
    bench.close()
    assert isinstance(last, RunFailed) and last.field == "" and "lower the learning rate" in last.reason


def test_an_error_that_nobody_knows_ends_a_run_with_what_its_recovery_had_learnt(recipe, tmp_path, monkeypatch):
    """It is checkpointed and measured, the reason is one line, the error goes on to the caller, and the model can be exported."""
    step = torch._fused_adamw_
    made = []

    def breaks(*given, **named):
        if len(made) == 4:  # two of each step: matrices, and the rest
            raise RuntimeError("something new happened\nin many lines")
        made.append(step(*given, **named))

    monkeypatch.setattr(torch, "_fused_adamw_", breaks)
    events = run(recipe, tmp_path / "run")
    with pytest.raises(RuntimeError, match="something new happened"):
        list(events)
    state = open_run(tmp_path / "run")
    assert state.failure == RunFailed("RuntimeError: something new happened") and state.step.step == 2
    saved = [each.fact for each in read_events(tmp_path / "run") if isinstance(each.fact, CheckpointSaved)]
    assert [fact.reason for fact in saved] == ["prune", "tune, failed"] and state.checkpoint == saved[-1].checkpoint
    assert "tuned" in state.standing.perplexity and not (tmp_path / "run" / "checkpoints" / "bookmarks").exists()
    model, _ = load_pruned(export(tmp_path / "run", tmp_path / "out").folder)
    assert sum(one.numel() for one in model.parameters()) == state.standing.gates.parameters_after


def test_a_first_load_that_is_stopped_leaves_nothing(recipe, tmp_path):
    """No model in the record, and none on the workbench."""
    bench, folder, stamped = Workbench(tmp_path, recipe), create(recipe, tmp_path / "run"), []
    post(folder, ask.commands_of(recipe)[0])
    for event in serve(bench, Inbox(folder=folder), lambda: False):
        stamped.append(Stamped(len(stamped), 0.0, event))
        if isinstance(event, ModelLoaded):
            post(folder, ask.Stop())
    state = fold(RunState(), stamped)
    assert bench.desk is None and state.model is None and state.corpus is None and state.status == "idle"


def test_a_stop_drops_what_was_waiting_when_it_was_posted(recipe, tmp_path):
    """Nobody who presses Stop expects the next thing in the queue to begin."""
    bench = Workbench(tmp_path, recipe)
    for command in (*ask.commands_of(recipe)[:3], ask.Stop(), ask.Undo()):
        post(tmp_path, command)
    events = list(serve(bench, Inbox(folder=tmp_path), lambda: False))
    bench.close()
    assert [type(event).__name__ for event in events] == ["CommandStopped"] * 3 + ["CommandStarted", "CommandRefused"]


def test_the_first_event_carries_the_recipe(recipe):
    """Whoever has the events has the recipe that made them."""
    first = next(iter(run(recipe)))
    assert isinstance(first, RunStarted)
    assert first.recipe == recipe.model_dump(mode="json")


def test_the_record_of_a_run_says_how_much_was_asked(recipe, tmp_path):
    """All that is in its folder."""
    events = run(recipe, tmp_path / "run")
    asked = (tmp_path / "run" / "commands.jsonl").read_bytes().count(b"\n")
    assert next(events).asked == asked
    events.close()


def test_a_command_whose_fields_do_not_fit_is_refused_in_its_turn(recipe, tmp_path):
    """As a recipe would be, with the field and the sentence; what follows is carried out."""
    bench = Workbench(tmp_path, recipe)
    post(tmp_path, ask.commands_of(recipe)[0])
    with open(tmp_path / "commands.jsonl", "a", encoding="utf-8") as file:
        file.write('{"seq": 1, "at": 0.0, "command": "Tune", "tuning": {"steps": -1}}\n')
    post(tmp_path, ask.Finish())
    *_, refused, last = serve(bench, Inbox(folder=tmp_path), lambda: False)
    bench.close()
    why = "tuning.steps -1 is not allowed; it takes a whole number from 0 to 1,000,000."
    assert refused == CommandRefused(1, "Tune", "tuning.steps", why)
    assert isinstance(last, RunFinished)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_recovery_whose_checkpoint_finds_no_room_goes_on_from_its_bookmark_when_it_is_asked_again(
    stopped, recipe, tmp_path, monkeypatch
):
    """The model is as it was before; then the same weights as with room from the start, of which only the last steps are made
    again. So it is where what was learnt until a stop finds no room."""
    monkeypatch.setenv(EVERY, "2")
    tune = ask.Tune(recipe.tuning.model_copy(update={"steps": 7, "control": False}), recipe.evaluation, recipe.prompt)
    asked, weights = (ask.commands_of(recipe)[0], ask.prune_of(recipe), tune), []
    for faults in ("", "checkpoint@2"):
        monkeypatch.setenv("ESPALIER_FAULTS", faults)
        folder, events = create(recipe, tmp_path / f"run{faults}"), []
        with closing(Workbench(folder, recipe)) as bench:
            for command in asked:
                post(folder, command)
            for event in serve(bench, inbox := Inbox(folder=folder), lambda: False):
                events.append(event)
                if faults and stopped and isinstance(event, StepTrained) and event.step == 5:
                    post(folder, ask.Stop())
            if faults:
                answer, why = events[-1], "could not be written to disk (No space left on device); make room there and ask again."
                assert isinstance(answer, CommandStopped) if stopped else answer.reason == f"The checkpoint {why}"
                assert bench.desk.stand.name == "step-000001"
                post(folder, tune)
                again = list(serve(bench, inbox, lambda: False))
                (resumed,) = (event.step for event in again if isinstance(event, TrainingResumed))
                assert resumed == (4 if stopped else 6) and isinstance(again[-1], CommandFinished)
            weights.append([one.detach().clone() for one in bench.desk.model.parameters()])
        assert not (folder / "checkpoints" / "bookmarks").exists()
    assert all(map(torch.equal, *weights))


def test_a_run_that_is_left_halfway_can_be_gone_on_with(recipe, tmp_path):
    """Whoever leaves the loop, by a break or by Ctrl-C, leaves it as a process that was killed: not over, and held by nobody."""
    events = run(recipe, tmp_path / "run")
    for event in events:
        if isinstance(event, Evaluated):
            break
    events.close()
    assert not open_run(tmp_path / "run").is_over and not is_held(tmp_path / "run")
    assert read_events(tmp_path / "run")[-1].fact == event
