"""Tests of engine/resuming.py: what is left to do of a command that a process died in, whenever in it that was."""

import os

import pytest

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.folder import Tail, Writer, create, post, read_events
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from engine.recovery.bookmarks import VARIABLE as EVERY
from engine.resuming import catch_up, first_line, interrupted, see_to
from engine.session import Inbox, carry_out, run
from engine.workbench import Workbench

SAVED = tell.CheckpointSaved("step-000001", None, "prune")
CHANGES = ("CorpusLoaded", "CheckpointSaved", "Undone", "ModelCut", "ModelSaved", "StepTrained")
CUT = 6  # the line of the cut in the run that dies
DIED = WorkerRestarted("killed", None)


def resumed(step: int) -> tuple[object, ...]:
    """Another worker goes on from a bookmark after so many steps."""
    return WorkerStarted(2, 1), CommandStarted(0, "Tune"), tell.TrainingResumed("tuned", step, 0)


@pytest.fixture
def folder(recipe, tmp_path):
    """A run folder in which something was asked."""
    return create(recipe, tmp_path / "run")


def record(folder, command: ask.Command, *facts: object):
    """What is left of a command in which these things happened."""
    for name, lines in (("commands.jsonl", (command,)), ("events.jsonl", (CommandStarted(0, type(command).__name__), *facts))):
        writer = Writer(folder / name)
        for line in lines:
            writer.append(line)
        writer.close()
    return interrupted(folder, read_events(folder))


@pytest.mark.parametrize(
    ("command", "fact", "done"),
    [
        (ask.Undo(), None, False),
        (ask.Undo(), tell.Undone(None), True),
        (ask.Reset(), tell.Undone(None), True),
        (ask.SetGate(0, 1, False), None, False),
        (ask.SetGate(0, 1, False), SAVED, True),
        (ask.Evaluate("tuned"), tell.Evaluated("baseline", 9.0, 1.0, 1, "a", 8, "float32"), False),
        (ask.Evaluate("tuned"), tell.Evaluated("tuned", 9.0, 1.0, 1, "a", 8, "float32"), True),
        (ask.Evaluate("pruned"), tell.Evaluated("pruned", 9.0, 1.0, 1, "a", 8, "float32"), False),
        (ask.Save(), tell.ModelSaved("model", 9), True),
        (ask.Cut(), None, False),
        (ask.Tune(), SAVED, False),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_has_taken_effect_is_not_done_again(command, fact, done, folder):
    """It has, once the record says so; the replacement of the worker that is told after it changes nothing."""
    facts = () if fact is None else (fact,)
    left = record(folder, command, *facts, DIED, WorkerStarted(2, 1))
    assert (left.line, left.command, left.has_taken_effect) == (0, command, done)
    assert left.is_trained == (isinstance(command, ask.Tune) and fact is SAVED)


def test_a_recovery_that_had_been_stopped_is_not_taken_up_again(folder):
    """It has kept what it had learnt; what it would have been measured at was not what was asked."""
    left = record(folder, ask.Tune(), tell.CheckpointSaved("step-000002", None, "tune, stopped"), DIED)
    assert left.has_taken_effect and not left.is_trained and see_to(left, None, False) == (CommandStopped(0, "Tune"),)


@pytest.mark.parametrize(
    ("facts", "given_up"),
    [
        ((DIED,), False),
        ((DIED, WorkerStarted(2, 1), DIED), False),  # the second died before it took the command up
        (
            (WorkerStarted(2, 1), CommandStarted(0, "Tune"), WorkerStarted(3, 1), CommandStarted(0, "Tune")),
            False,
        ),  # supervisors died
        ((DIED, WorkerStarted(2, 1), CommandStarted(0, "Tune"), DIED), True),
        ((DIED, WorkerStarted(2, 1), CommandStarted(0, "Tune"), SAVED, DIED), False),
        ((DIED, *resumed(4), DIED), True),
        ((DIED, *resumed(4), DIED, *resumed(8), DIED, *resumed(12)), False),
        ((DIED, *resumed(4), DIED, *resumed(8), DIED, *resumed(8), DIED), True),
        ((*resumed(4), *resumed(4)), False),  # supervisors died
    ],
)
def test_a_command_is_given_up_that_two_workers_died_of_without_getting_further(facts, given_up, folder):
    """Only deaths of workers count, only in the command, and only since its last checkpoint or at the same bookmark."""
    left = record(folder, ask.Tune(), *facts)
    told = see_to(left, None, False)
    assert (told == (CommandRefused(0, "Tune", "", "Tune was given up: the worker ended twice while doing it."),)) == given_up
    assert bool(told) == given_up


def test_a_training_that_has_come_to_another_bookmark_is_not_given_up(folder):
    """The worker that is to take it up goes on from there; where that is the one before, it has not got on."""
    facts = (DIED, *resumed(4), DIED)
    place = folder / "checkpoints" / "bookmarks" / "000002-tuned-4"
    place.mkdir(parents=True)
    assert record(folder, ask.Tune(), *facts).is_hopeless
    place.with_name("000003-tuned-8").mkdir()
    left = interrupted(folder, read_events(folder))
    assert not left.is_hopeless and left.recovery == "begun" and see_to(left, None, False) == ()


def test_nothing_is_left_of_a_command_that_was_answered(folder):
    """The next line is the first to be seen to; before the first command that is line 0."""
    assert interrupted(folder, []) is None and first_line([], None) == 0
    left = record(folder, ask.Tune(), CommandFinished(0, "Tune"))
    assert left is None and first_line(read_events(folder), left) == 1


class Driver:
    """Carries commands out as a worker does, and dies when it is told to."""

    def __init__(self, folder, recipe):
        self.folder, self.bench = folder, Workbench(folder, recipe)
        self.writer = Writer(folder / "events.jsonl")
        events = read_events(folder)
        self.writer.append(WorkerStarted(1, 1))
        left, state = interrupted(folder, events), fold(RunState(), events)
        fell_back = catch_up(folder, self.bench, state, events, left)
        told = see_to(left, self.bench, bool(fell_back)) if left is not None else ()
        for fact in (*fell_back, *told):
            self.writer.append(fact)
        self.next = first_line(events, left) + bool(told)

    def until(self, arm: str, step: int) -> None:
        """Do what is left up to that step of an arm's training, which is told, and what comes after it, which is not."""
        for stamped in Tail(self.folder / "commands.jsonl").read()[self.next :]:
            last = None
            for event in carry_out(self.bench, stamped.seq, stamped.fact, Inbox(), lambda seconds: None):
                if isinstance(last, tell.StepTrained) and (last.arm, last.step) == (arm, step):
                    return
                self.writer.append(event)
                last = event

    def go(self, events: int | None = None) -> int:
        """Do what is left, or so many events of it; how many there were."""
        made = 0
        for stamped in Tail(self.folder / "commands.jsonl").read()[self.next :]:
            for event in carry_out(self.bench, stamped.seq, stamped.fact, Inbox(), lambda seconds: None):
                if made == events:
                    return made
                self.writer.append(event)
                made += 1
        return made

    def die(self) -> None:
        """Leave everything as it is."""
        self.writer.close()
        self.bench.close()


def ended(folder) -> tuple:
    """How a run stands at its end: all that was measured, and the weights that were saved."""
    state = fold(RunState(), read_events(folder))
    standing, saved = state.standing, (folder / "model" / "model.safetensors").read_bytes()
    return state.status, standing.perplexity, standing.curves, standing.gates, standing.samples, saved


def telling(facts: list[object]) -> list[int]:
    """The places of events after which a death may make a difference; but for the long soak, only those that told a change, and
    that between a cut and its saving."""
    names = [type(fact).__name__ for fact in facts]
    last = [place for place in range(1, len(names)) if names[place] != names[place - 1]]
    told = [place for place in last if names[place - 1] in CHANGES or facts[place - 1] == CommandFinished(CUT, "Cut")]
    return last if "ESPALIER_SOAK" in os.environ else told


def test_a_run_that_dies_after_any_of_its_events_comes_to_the_same_end(recipe, tmp_path):
    """A gate set and reset; then pruned, trained with a control, made smaller, saved, undone: the same numbers and weights."""
    measuring, gate = recipe.evaluation, ask.SetGate(0, 1, open=False)
    load, measure, prune, tune = (ask.commands_of(recipe)[place] for place in (0, 1, 4, 7))
    after = (ask.Undo(), ask.SetGate(1, 1, open=False), ask.Evaluate("pruned", measuring))
    asked = (load, measure, gate, ask.Reset(), prune, tune, ask.Cut(measuring), ask.Save(), *after)
    assert isinstance(asked[CUT], ask.Cut)

    def begin(name: str) -> Driver:
        folder = create(recipe, tmp_path / name)
        for command in asked:
            post(folder, command)
        return Driver(folder, recipe)

    whole = begin("whole")
    whole.go()
    whole.die()
    events = read_events(whole.folder)
    assert [type(each.fact).__name__ for each in events].count("CommandFinished") == len(asked)
    for place in telling([each.fact for each in events]):
        first = begin(f"dies-{place}")
        first.go(place - 1)  # the first of them is that it was there
        first.die()
        second = Driver(first.folder, recipe)
        second.go()
        second.die()
        assert ended(first.folder) == ended(whole.folder), f"after {place} events, the last {events[place - 1].fact}"


WAYS = {
    "distil": {"method": "distil"},
    "cut first": {"cut_first": True},
    "full in rounds": {"rounds": 2},
    "lora in rounds": {"method": "lora", "rounds": 2},
    "distil by lora in rounds": {"method": "distil", "student": "lora", "rounds": 2},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_dies_goes_on_from_its_bookmark(way, recipe, tmp_path, monkeypatch):
    """Of the pruned model and then of its control, in a later round too, twice in one run: at its end the same numbers, curves
    and weights; no step is in the record twice but those after the bookmark, and no bookmark is left."""
    monkeypatch.setenv(EVERY, "2")
    changes = dict(WAYS[way])
    level = {"level": 0.5, "shape": "uniform"}
    rounds = {"rounds": changes.pop("rounds", 1), "recover": "rounds"}
    plain = recipe.model_dump() | rounds | {"heads": level, "neurons": level}
    asked = Recipe.model_validate(plain | {"tuning": plain["tuning"] | {"steps": 8} | changes})

    for _ in run(asked, tmp_path / "whole"):
        pass
    folder = create(asked, tmp_path / "dies")
    for command in ask.commands_of(asked):
        post(folder, command)
    for arm in ("tuned", "control"):
        driver = Driver(folder, asked)
        driver.until(arm, 7)
        driver.die()
    last = Driver(folder, asked)
    last.go()
    last.die()
    facts = [each.fact for each in read_events(folder)]
    resumed = [(fact.arm, fact.step) for fact in facts if isinstance(fact, tell.TrainingResumed)]
    assert resumed == [("tuned", 6), ("control", 6)]
    steps = [(fact.arm, fact.step) for fact in facts if isinstance(fact, tell.StepTrained)]
    assert sorted(step for step in set(steps) if steps.count(step) > 1) == [("control", 7), ("tuned", 7)]
    assert ended(folder)[1:] == ended(tmp_path / "whole")[1:]  # the other was told that it was finished
    assert not list((folder / "checkpoints").glob("bookmarks"))
