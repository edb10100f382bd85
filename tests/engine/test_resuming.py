"""Tests of engine/resuming.py: what is left to do of a command that a process died in, whenever in it that was."""

import os
import shutil
from dataclasses import replace

import pytest

from engine.inbox import Inbox
from engine.interrupted import interrupted
from engine.record import commands as ask
from engine.record import events as tell
from engine.record.errors import BadInput
from engine.record.folder import Tail, Writer, create, post, read_events
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    Degraded,
    RunStarted,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.line import Stamped
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from engine.record.whole_runs import begin as begun
from engine.record.whole_runs import is_whole
from engine.recovery.bookmarks import VARIABLE as EVERY
from engine.resuming import catch_up, done_again, first_line, see_to, take_up, threads_in_hand
from engine.session import carry_out, run, serve
from engine.workbench import Workbench

SAVED = tell.CheckpointSaved("step-000001", None, "prune")
CHANGES = ("CorpusLoaded", "CheckpointSaved", "Undone", "ModelCut", "ModelSaved", "StepTrained")
CUT = 6  # the line of the cut in the run that dies
DIED = WorkerRestarted("killed", None)
OUTSIDE = WorkerRestarted("killed", None, outside=True)
ALL_DIED = WorkerRestarted("all that worked on the run ended", None, supervised=False)


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


def test_a_recovery_is_trained_whichever_process_has_trained_it(folder):
    """Two have died in it, the second in the control; but not where what the first had checkpointed is done again."""
    begun, again = CommandStarted(0, "Tune"), CommandStarted(0, "Tune", afresh=True)
    second = (DIED, WorkerStarted(2, 1), begun, tell.TuningStarted("control", "full", 4, "float32"), DIED)
    assert record(folder, ask.Tune(), SAVED, *second).is_trained
    guarded = (tell.RoundRefused(2, 3, 9.0, 8.0), tell.Undone("step-000001"), *second)
    assert record(folder, ask.Tune(part=(2, 3)), *guarded).is_trained
    events = [Stamped(place, 0.0, fact) for place, fact in enumerate((begun, SAVED, DIED, again, begun, DIED))]
    assert not interrupted(folder, events).is_trained


def test_a_recovery_that_had_been_stopped_is_not_taken_up_again(folder):
    """It has kept what it had learnt; what it would have been measured at was not what was asked."""
    left = record(folder, ask.Tune(), tell.CheckpointSaved("step-000002", None, "tune, stopped"), DIED)
    assert left.has_taken_effect and not left.is_trained and see_to(left, None, False) == (CommandStopped(0, "Tune"),)


def test_a_recovery_that_had_diverged_is_refused_as_it_was_about_to_be(folder):
    """Also where it had kept what it had learnt, and had not been answered yet."""
    left = record(folder, ask.Tune(), tell.CheckpointSaved("step-000002", None, "tune, diverged"), DIED)
    why = "Tune was given up: its training diverged; lower the learning rate."
    assert left.has_taken_effect and see_to(left, None, False) == (CommandRefused(0, "Tune", "", why),)


@pytest.mark.parametrize(
    ("facts", "given_up"),
    [
        ((DIED,), False),
        ((DIED, WorkerStarted(2, 1), DIED), False),  # the second died before it took the command up
        (
            (WorkerStarted(2, 1), CommandStarted(0, "Tune"), WorkerStarted(3, 1), CommandStarted(0, "Tune")),
            False,
        ),  # supervisors died
        ((ALL_DIED, *resumed(4), ALL_DIED, *resumed(4), DIED, *resumed(4), ALL_DIED), False),  # and one worker, once
        ((DIED, WorkerStarted(2, 1), CommandStarted(0, "Tune"), DIED), True),
        ((DIED, WorkerStarted(2, 1), CommandStarted(0, "Tune"), SAVED, DIED), False),
        ((DIED, *resumed(4), DIED), True),
        ((DIED, *resumed(4), DIED, *resumed(8), DIED, *resumed(12)), False),
        ((DIED, *resumed(4), DIED, *resumed(8), DIED), True),
        ((*resumed(4), *resumed(4)), False),  # supervisors died
        ((DIED, *resumed(4), *(OUTSIDE, *resumed(4)) * 9), False),  # somebody killed them
        ((OUTSIDE, *resumed(4), DIED, *resumed(4), OUTSIDE, *resumed(4), DIED), True),
    ],
)
def test_a_command_is_given_up_that_two_workers_died_of_without_getting_further(facts, given_up, folder):
    """Only deaths of workers count, only in the command, and only since its last checkpoint or at the same bookmark. Once more a
    process looks what there is to keep of it; one that dies of that as well is the last."""
    left = record(folder, ask.Tune(), *facts)
    assert see_to(left, None, False) == () and (left.recovery == "given up") == given_up
    again = replace(left, deaths=left.deaths + 1)
    refused = (CommandRefused(0, "Tune", "", "Tune was given up: the worker ended twice while doing it."),)
    assert (see_to(again, None, False) == refused and again.recovery == "") == given_up


TRAINS = (WorkerStarted(2, 1), CommandStarted(0, "Tune"), tell.TuningStarted("tuned", "full", 4, "float32"))
SHORT, UNKNOWN = (WorkerRestarted("killed", None, short=short) for short in (True, None))


@pytest.mark.parametrize(
    ("facts", "shortages", "given_up"),
    [
        ((*TRAINS, SHORT), 1, False),
        ((*TRAINS, SHORT, *TRAINS, SHORT, *TRAINS, SHORT), 3, False),  # less each time
        ((SHORT, *TRAINS, SHORT), 1, False),  # the first died before it trained
        ((*TRAINS, DIED, *TRAINS, SHORT), 1, False),
        ((*TRAINS, DIED, *TRAINS, SHORT, *TRAINS, DIED), 1, True),
        ((*TRAINS, SHORT, *TRAINS, SAVED, SHORT), 0, False),  # in a measurement
        ((*TRAINS, SHORT, *TRAINS, *resumed(4)[2:], SHORT, *TRAINS, *resumed(8)[2:], SHORT), 2, False),  # since the last bookmark
        ((*TRAINS, UNKNOWN), 0, False),  # it may have been its user
        ((*TRAINS, UNKNOWN, *TRAINS, UNKNOWN), 1, False),
        ((*TRAINS, UNKNOWN, *TRAINS, DIED), 0, True),
    ],
)
def test_a_training_that_memory_ran_out_for_is_not_given_up_but_goes_on_with_less(facts, shortages, given_up, folder):
    """As often as its workers were killed for that since it last got further, as far as that is known."""
    left = record(folder, ask.Tune(), *facts)
    assert (left.shortages, left.is_hopeless) == (shortages, given_up)


def test_what_two_workers_died_of_once_a_model_was_trained_takes_the_rest_alone(folder):
    """The recovery is done, without a control, and says so: a run that is one recipe goes on to its cut."""
    left = record(folder, ask.Tune(), SAVED, *(DIED, WorkerStarted(2, 1), CommandStarted(0, "Tune"), DIED))
    told = see_to(left, None, False)
    assert [type(fact) for fact in told] == [Degraded, CommandFinished] and "control" in told[0].asked
    assert left.recovery == ""


def test_a_training_that_has_come_to_another_bookmark_is_not_given_up(folder):
    """The worker that is to take it up goes on from there; where that is the one before, it has not got on."""
    facts = (DIED, *resumed(4), DIED)
    place = folder / "checkpoints" / "bookmarks" / "000002-tuned-4"
    place.mkdir(parents=True)
    assert record(folder, ask.Tune(), *facts).is_hopeless
    place.with_name("000003-tuned-8").mkdir()
    left = interrupted(folder, read_events(folder))
    assert not left.is_hopeless and left.recovery == "begun" and see_to(left, None, False) == ()


@pytest.mark.parametrize(
    ("facts", "threads"),
    [
        ((), None),
        ((WorkerStarted(1, 1),), 1),
        ((WorkerStarted(1, 1), DIED, WorkerStarted(2, 10_000)), None),
        ((RunStarted({}, "1", 3, 1),), 1),
        ((WorkerStarted(1, 1), CommandFinished(0, "Tune")), None),
    ],
)
def test_a_command_in_hand_goes_on_with_as_many_threads(facts, threads, folder):
    """As the last process had that says so, if this machine has the cores; with others its sums were not the same to the bit."""
    record(folder, ask.Tune(), *facts)
    assert threads_in_hand(folder, read_events(folder)) == threads


def test_a_run_that_is_one_recipe_has_as_many_threads_between_its_commands_too(recipe, tmp_path):
    """All of it is in hand until its end, and its weights are to be the same to the bit."""
    folder = tmp_path / "run"
    begun(recipe, folder, (ask.Undo(), ask.Finish(whole=True))).release()
    facts = (RunStarted({}, "1", 2, 1), CommandStarted(0, "Undo"), CommandFinished(0, "Undo"))
    writer = Writer(folder / "events.jsonl")
    for fact in facts:
        writer.append(fact)
    writer.close()
    assert interrupted(folder, read_events(folder)) is None and threads_in_hand(folder, read_events(folder)) == 1


def test_nothing_is_left_of_a_command_that_was_answered(folder):
    """The next line is the first to be seen to; before the first command that is line 0."""
    assert interrupted(folder, []) is None and first_line([], None) == 0
    left = record(folder, ask.Tune(), CommandFinished(0, "Tune"))
    assert left is None and first_line(read_events(folder), left) == 1


def spoil(path, what: bytes, instead: bytes) -> None:
    """Change the last line of a file that says something."""
    before, found, after = path.read_bytes().rpartition(what)
    assert found
    path.write_bytes(before + instead + after)


def test_a_run_whose_record_is_damaged_does_not_go_on_but_where_that_is_no_matter(recipe, folder):
    """Without the line that a command was begun it would be done twice; a step that cannot be read costs a point of a curve, and
    is told."""
    record(folder, ask.Load(recipe.model, recipe.corpus), tell.StepTrained("tuned", 1, 2, 1.0, 1.0), DIED)
    path = folder / "events.jsonl"
    spoil(path, b"1.0", b"1.5")
    events = read_events(folder)
    told = ("every event of the run", "all but one", "line 2 of events.jsonl is not as it was written")
    assert fold(RunState(), events).degraded == (Degraded(*told),)
    assert catch_up(folder, None, RunState(), events, None) == ()
    spoil(path, b"CommandStarted", b"CommandStarteD")
    with pytest.raises(BadInput, match="^line 1 of events.jsonl is not as it was written, so nobody knows"):
        catch_up(folder, None, RunState(), read_events(folder), None)


def test_a_command_that_is_damaged_is_answered_by_who_takes_it_up(recipe, folder):
    """It is not passed over: whoever asked for it hears of it."""
    left = record(folder, ask.Tune(), DIED)
    assert left.command == ask.Tune()
    spoil(folder / "commands.jsonl", b"Tune", b"Tunf")
    left = interrupted(folder, read_events(folder))
    assert see_to(left, None, False) == () and first_line(read_events(folder), left) == 0
    told = list(serve(Workbench(folder, recipe), Inbox(folder=folder), lambda: False))
    assert told == [CommandRefused(0, "", "", "line 1 of commands.jsonl is not as it was written.")]


def line_of(lines: list[bytes], event: str) -> int:
    """The place of the first line of such an event."""
    return next(place for place, line in enumerate(lines) if b'"event": "%s"' % event.encode() in line)


def without(lines: list[bytes], event: str) -> list[bytes]:
    """The lines but for the first of such an event."""
    place = line_of(lines, event)
    return lines[:place] + lines[place + 1 :]


def twice(lines: list[bytes], event: str) -> list[bytes]:
    """The lines, the first of such an event two times."""
    place = line_of(lines, event)
    return lines[: place + 1] + lines[place:]


def exchanged(lines: list[bytes], event: str) -> list[bytes]:
    """The lines, the first of such an event before the one that it came after."""
    place = line_of(lines, event)
    return [*lines[: place - 1], lines[place], lines[place - 1], *lines[place + 1 :]]


def test_a_run_whose_record_lacks_a_line_does_not_go_on(recipe, tmp_path):
    """Whichever it is, of a run that died in its recovery: without the line of the checkpoint the model would not be pruned,
    without that of the text nothing could be done at all. So with lines that are there twice or in another order."""
    folder = waiting(recipe, tmp_path / "dies")
    driver = Driver(folder, recipe)
    driver.until("tuned", 3)
    driver.die()
    path = folder / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    changes = [
        (change, event) for change in (without, twice, exchanged) for event in ("CorpusLoaded", "CheckpointSaved", "Evaluated")
    ]
    for change, event in (*changes, (without, "WorkerStarted"), (without, "Validated")):
        place = line_of(lines, event)
        why = {
            without: f"line {place + 1} of events.jsonl is gone, or not in its place",
            twice: f"line {place + 2} of events.jsonl is a copy of line {place + 1}",
            exchanged: f"line {place} of events.jsonl is gone, or not in its place",
        }[change]
        path.write_bytes(b"".join(change(lines, event)))
        with pytest.raises(BadInput, match=f"^{why}, so nobody knows what was done.$"):
            Driver(folder, recipe)
    path.write_bytes(b"".join(lines[len(lines) // 2 :]))
    with pytest.raises(BadInput, match=f"^lines 1 to {len(lines) // 2} of events.jsonl are gone, or not in their places, so"):
        Driver(folder, recipe)


def waiting(recipe, folder):
    """The folder of a run of which everything is asked and nothing is begun."""
    create(recipe, folder)
    for command in ask.commands_of(recipe):
        post(folder, command)
    return folder


class Driver:
    """Carries commands out as a worker does, and dies when it is told to."""

    def __init__(self, folder, recipe):
        self.folder, self.bench = folder, Workbench(folder, recipe)
        self.writer = Writer(folder / "events.jsonl")
        events = read_events(folder)
        self.writer.append(WorkerStarted(1, 1))
        told, first = take_up(folder, self.bench, fold(RunState(), events), events, is_whole(folder))
        for fact in told:
            self.writer.append(fact)
        asked = Tail(folder / "commands.jsonl").read()[first:]
        self.left = [stamped for stamped in asked if not isinstance(stamped.fact, ask.Finish)]

    def until(self, arm: str, step: int) -> None:
        """Do what is left up to that step of an arm's training, which is told, and what comes after it, which is not."""
        for stamped in self.left:
            last = None
            for event in carry_out(self.bench, stamped.seq, stamped.fact, Inbox(), lambda seconds: None):
                if isinstance(last, tell.StepTrained) and (last.arm, last.step) == (arm, step):
                    return
                self.writer.append(event)
                last = event

    def short_of(self, stage: str) -> None:
        """Do what is left until that stage is measured, which is not told."""
        for stamped in self.left:
            for event in carry_out(self.bench, stamped.seq, stamped.fact, Inbox(), lambda seconds: None):
                if isinstance(event, tell.Evaluated) and event.stage == stage:
                    return
                self.writer.append(event)

    def stopped_after(self, step: int) -> None:
        """Do what is left, the training of the model up to that step, after which it is stopped."""
        for stamped in self.left:
            inbox = Inbox()
            for event in carry_out(self.bench, stamped.seq, stamped.fact, inbox, lambda seconds: None):
                self.writer.append(event)
                if isinstance(event, tell.StepTrained) and event.step == step:
                    inbox.holds.append(Stamped(stamped.seq + 1, 0.0, ask.Stop()))

    def go(self, events: int | None = None) -> int:
        """Do what is left, or so many events of it; how many there were."""
        made = 0
        for stamped in self.left:
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


def otherwise(folder) -> tuple:
    """What was done otherwise than asked in a run, its record included."""
    return fold(RunState(), read_events(folder)).degraded


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
        assert otherwise(first.folder) == otherwise(whole.folder)


def test_what_was_done_since_a_damaged_checkpoint_is_done_again_where_the_run_is_one_recipe(recipe, tmp_path):
    """A bit flips in the pruned model while it is trained: it is pruned again, and comes to the same end, whenever a process dies
    in that again. Without a record of what had made it the run cannot go on."""
    for _ in run(recipe, tmp_path / "whole"):
        pass
    folder = tmp_path / "dies"
    begun(recipe, folder, (*ask.commands_of(recipe), ask.Finish(whole=True))).release()
    first = Driver(folder, recipe)
    first.until("tuned", 3)
    first.die()
    fitted = folder / "checkpoints" / "step-000001" / "fitted.safetensors"
    data = bytearray(fitted.read_bytes())
    data[-3] ^= 4
    fitted.write_bytes(data)
    events = read_events(folder)
    with pytest.raises(BadInput, match="checkpoint step-000001 is damaged, and the record does not say what has made it"):
        done_again([], fold(RunState(), events), None)
    for died in (0, 2, 20, None):  # before anything, in the pruning, after it
        driver = Driver(folder, recipe)
        assert driver.go(died) > (died or 0) or died is not None
        driver.die()
    facts = [each.fact for each in read_events(folder)]
    (told,) = {fact for fact in facts if isinstance(fact, tell.Degraded) and fact.asked == "checkpoint step-000001"}
    assert told.did == "the model as it was loaded"
    assert ended(folder)[1:] == ended(tmp_path / "whole")[1:]


@pytest.mark.parametrize("after", [(), (ask.Pause(), "load", "tune")], ids=["alone", "before another model"])
def test_what_waits_for_a_model_whose_checkpoint_is_damaged_is_refused(after, recipe, tmp_path):
    """Nobody trains the model as it was loaded where the pruned one was asked for; what has a model of its own goes on."""
    load, prune, tune = (ask.commands_of(recipe)[place] for place in (0, 4, 7))
    named = {"load": load, "tune": tune}
    folder = create(recipe, tmp_path / "run")
    for command in (load, prune):
        post(folder, command)
    first = Driver(folder, recipe)
    first.go()
    first.die()
    for command in (tune, ask.Evaluate("pruned", recipe.evaluation), *(named.get(one, one) for one in after)):
        post(folder, command)
    shutil.rmtree(folder / "checkpoints")
    second = Driver(folder, recipe)
    second.die()
    refused = [each.fact for each in read_events(folder) if isinstance(each.fact, CommandRefused)]
    assert [(fact.command, fact.reason) for fact in refused] == [
        (2, "Tune was given up: the checkpoint that it began from is damaged."),
        (3, "Evaluate was given up: the checkpoint that it began from is damaged."),
    ]
    assert [stamped.fact for stamped in second.left] == [named[one] for one in after[1:]]
    assert fold(RunState(), read_events(folder)).checkpoint is None


WAYS = {
    "distil": {"method": "distil"},
    "cut first": {"cut_first": True},
    "full in rounds": {"rounds": 2},
    "lora in rounds": {"method": "lora", "rounds": 2},
    "distil by lora in rounds": {"method": "distil", "student": "lora", "rounds": 2},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_dies_goes_on_from_its_bookmark(way, recipe, tmp_path, monkeypatch):
    """Of the pruned model and then of its control, in a later round too, twice in one run, and once more when the control is
    trained and not yet measured: at its end the same numbers, curves and weights; no step is in the record twice but those after
    the bookmark, and no bookmark is left."""
    monkeypatch.setenv(EVERY, "2")
    changes = dict(WAYS[way])
    level = {"level": 0.5, "shape": "uniform"}
    rounds = {"rounds": changes.pop("rounds", 1), "recover": "rounds"}
    plain = recipe.model_dump() | rounds | {"heads": level, "neurons": level}
    asked = Recipe.model_validate(plain | {"tuning": plain["tuning"] | {"steps": 8} | changes})

    for _ in run(asked, tmp_path / "whole"):
        pass
    folder = waiting(asked, tmp_path / "dies")
    for arm in ("tuned", "control"):
        driver = Driver(folder, asked)
        driver.until(arm, 7)
        driver.die()
    driver = Driver(folder, asked)
    driver.short_of("control")
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
    assert otherwise(folder) == otherwise(tmp_path / "whole")
    assert not list((folder / "checkpoints").glob("bookmarks"))


def test_a_training_that_two_workers_died_of_keeps_what_its_newest_bookmark_has(recipe, tmp_path, monkeypatch):
    """It is given up as one that was stopped there: the same checkpoint, numbers and smaller model, and no bookmark left."""
    monkeypatch.setenv(EVERY, "2")
    asked = recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"steps": 8})})
    dies, stopped = (waiting(asked, tmp_path / name) for name in ("dies", "stopped"))
    for _ in range(2):
        driver = Driver(dies, asked)
        driver.until("tuned", 7)
        driver.writer.append(DIED)
        driver.die()
    last, reference = Driver(dies, asked), Driver(stopped, asked)
    last.go()
    reference.stopped_after(6)
    last.die()
    reference.die()
    facts = [each.fact for each in read_events(dies)]
    (refused,) = [fact for fact in facts if isinstance(fact, CommandRefused)]
    why = "the worker ended twice while doing it; what it had learnt in 6 steps is kept"
    assert refused.reason == f"Tune was given up: {why}."
    assert [fact.reason for fact in facts if isinstance(fact, tell.CheckpointSaved)] == ["prune", "tune, failed"]
    status, measured, curves, *rest = ended(dies)
    assert [status, measured, *rest] == [ended(stopped)[0], ended(stopped)[1], *ended(stopped)[3:]] and "tuned" in measured
    assert not list((dies / "checkpoints").glob("bookmarks"))


def test_a_stop_that_no_process_answered_keeps_what_the_newest_bookmark_has(recipe, tmp_path, monkeypatch):
    """Posted, and the worker died before it heard it: the next one goes on from the bookmark, and stops there."""
    monkeypatch.setenv(EVERY, "2")
    asked = recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"steps": 8})})
    folder = waiting(asked, tmp_path / "dies")
    driver = Driver(folder, asked)
    driver.until("tuned", 7)
    driver.die()
    post(folder, ask.Stop())
    driver = Driver(folder, asked)
    begun = {each.fact.command for each in read_events(folder) if isinstance(each.fact, CommandStarted)}
    inbox, facts = Inbox(folder=folder, done=driver.left[0].seq, begun=begun), []
    for event in serve(driver.bench, inbox, lambda: False):
        driver.writer.append(event)
        facts.append(event)
    driver.die()
    assert [fact.step for fact in facts if isinstance(fact, tell.TrainingResumed)] == [6]
    assert not [fact for fact in facts if isinstance(fact, tell.StepTrained)]
    assert [fact.reason for fact in facts if isinstance(fact, tell.CheckpointSaved)] == ["tune, stopped"]
    assert [fact.stage for fact in facts if isinstance(fact, tell.Evaluated)] == ["tuned"]
    stopped = [fact.name for fact in facts if isinstance(fact, CommandStopped)]
    assert stopped[0] == "Tune" and not [fact for fact in facts if isinstance(fact, tell.ModelSaved)]


def test_a_run_whose_record_has_lost_its_end_says_so_and_does_again_what_came_after(recipe, tmp_path, monkeypatch):
    """At a line's end, so that the rest is whole: in the training of the model, from whose bookmark it goes on, and before its
    pruning. The numbers are those of a run that nothing happened to, but for the steps that no line tells of, which is said."""
    monkeypatch.setenv(EVERY, "2")
    asked = recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"steps": 8})})
    for _ in run(asked, tmp_path / "whole"):
        pass
    _, *whole, saved = ended(tmp_path / "whole")
    folder = waiting(asked, tmp_path / "dies")
    driver = Driver(folder, asked)
    driver.until("tuned", 7)
    driver.die()
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    first = line_of(lines, "StepTrained")
    why = f"events.jsonl has lost its end: it had {len(lines) - 1} lines when a bookmark was written"  # before step 7
    said = Degraded("every event of the run", "those that are there; what came after them is done again", why)
    steps = (
        "the losses of every step of the recovery",
        "none of steps 2 to 6",
        "the record of the run has lost them",
        "tuned",
        6,
    )
    for left, told in ((first + 1, (said, Degraded(*steps))), (line_of(lines, "CheckpointSaved"), (said,))):
        again = tmp_path / f"has-{left}"
        shutil.copytree(folder, again)
        (again / "events.jsonl").write_bytes(b"".join(lines[:left]))
        for go in (False, True):  # the first dies before it has done anything, and what it has said counts once
            driver = Driver(again, asked)
            driver.go(None if go else 0)
            driver.die()
        _, perplexity, curves, *rest, weights = ended(again)
        assert otherwise(again) == told
        assert (perplexity, rest, weights) == (whole[0], whole[2:], saved)
        missing = range(2, 7) if len(told) > 1 else ()
        assert curves["control"] == whole[1]["control"]
        assert curves["tuned"].training == tuple(one for one in whole[1]["tuned"].training if one[0] not in missing)
