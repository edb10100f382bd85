"""Tests of engine/resuming.py: what is left to do of a command that a process died in, whenever in it that was."""

import pytest

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.folder import Tail, Writer, create, read_events
from engine.record.lifecycle import CommandFinished, CommandRefused, CommandStarted, WorkerRestarted, WorkerStarted
from engine.record.state import RunState, fold
from engine.resuming import catch_up, first_line, interrupted, see_to
from engine.session import Inbox, carry_out
from engine.workbench import Workbench

SAVED = tell.CheckpointSaved("step-000001", None, "prune")
DIED = WorkerRestarted("killed", None)


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
    ],
)
def test_a_command_is_given_up_that_two_workers_died_of_without_getting_further(facts, given_up, folder):
    """Only deaths of workers count, only in the command, and only since its last checkpoint."""
    left = record(folder, ask.Tune(), *facts)
    told = see_to(left, None, False)
    assert (told == (CommandRefused(0, "Tune", "", "Tune was given up: the worker ended twice while doing it."),)) == given_up
    assert bool(told) == given_up


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
        left, state = interrupted(folder, events), fold(RunState(), events)
        fell_back = catch_up(folder, self.bench, state, events, left is not None and left.is_trained)
        told = see_to(left, self.bench, bool(fell_back)) if left is not None else ()
        for fact in (*fell_back, *told):
            self.writer.append(fact)
        self.next = first_line(events, left) + bool(told)

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
    """How a run stands at its end: all that was measured, and the logits of its model and of what was saved."""
    state = fold(RunState(), read_events(folder))
    numbers = [json for json in sorted((folder / "model").glob("*.safetensors"))]
    standing = state.standing
    return state.status, standing.perplexity, standing.curves, standing.gates, [path.read_bytes() for path in numbers]


def test_a_run_that_dies_after_any_of_its_events_comes_to_the_same_end(recipe, tmp_path):
    """Pruned, trained with a control, cut, saved, undone and made again: the same numbers and weights, whenever it died."""
    asked = [*ask.commands_of(recipe), ask.Undo(), ask.Undo(), ask.commands_of(recipe)[4], ask.Cut(recipe.evaluation), ask.Save()]
    whole = None
    total = events = 0
    while whole is None or events < total:
        folder = create(recipe, tmp_path / f"run-{total and events + 1}")
        for command in asked:
            writer = Writer(folder / "commands.jsonl")
            writer.append(command)
            writer.close()
        if whole is None:
            driver = Driver(folder, recipe)
            total = driver.go()
            driver.die()
            whole = ended(folder)
            assert total > 40 and not any(isinstance(one.fact, CommandRefused) for one in read_events(folder))
        else:
            first = Driver(folder, recipe)
            first.go(events)
            first.die()
            second = Driver(folder, recipe)
            second.go()
            second.die()
            assert ended(folder) == whole, f"after {events} events, the last {read_events(folder)[events - 1].fact}"
            events += 1
