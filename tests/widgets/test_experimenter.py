"""The experiments that ship, on the page: read as their cells come, answered from what there is, begun and stopped by a press."""

import json
import math
from pathlib import Path
from threading import Event

import pytest

from engine.record.catalogue import EXPERIMENTS
from engine.record.cells import SweepCellDone, SweepStarted
from engine.record.claim import claimed, take_lock
from engine.record.experiment_folder import default_folder, folder_of
from engine.record.lifecycle import RunFinished
from engine.record.result import shipped, shipped_for
from engine.record.sweep import Cell, Sweep
from engine.record.sweep_folder import begin
from tests.widgets.page import Clock
from tests.widgets.test_sweeper import tell
from widgets import experimenter
from widgets.experimenter import NOTHING, Experimenter, Tried, questions
from widgets.export import experiment_json
from widgets.followed import Pace
from widgets.requests import ChooseExperiment, PickCell, StartExperiment, StopExperiment

NAME = "sensitivity"
CHOICE = ChooseExperiment(NAME, "gpt2-tiny", "medium")


def came_of(cell: Cell) -> SweepCellDone:
    """A cell that is done, worse the later it stands in the sweep; with all that a recovery would measure."""
    perplexity = 100 * math.exp(0.01 * cell.number) + cell.seed
    stages = {"baseline": 100.0, "pruned": perplexity, "tuned": perplexity - 0.5, "control": 98.0}
    return SweepCellDone(
        cell.number, dict(cell.set), cell.seed, "done", perplexity, 1_000_000 - cell.number, 0.5, None, stages, 99
    )


def done(called: str, sweep: Sweep, many: int | None = None) -> Path:
    """The folder of one sweep of the experiment, with so many of its cells done."""
    folder = begin(sweep, folder_of(default_folder(CHOICE.name, CHOICE.model, CHOICE.form), called))
    tell(folder, SweepStarted(sweep.plain(), len(sweep.cells), 0, 0, "0"), *map(came_of, sweep.cells[:many]), RunFinished())
    return folder


def look(of: Experimenter, clock: Clock) -> Tried:
    """The experiment after some seconds."""
    clock.now += 5
    return of.look(True)


@pytest.fixture
def clock() -> Clock:
    """Seconds that pass when told to."""
    return Clock()


@pytest.fixture
def chosen(home, clock) -> Experimenter:
    """The experiment on the smallest model, nothing of it done."""
    chosen = Experimenter(clock)
    assert chosen.obey(CHOICE) is None
    return chosen


def test_every_experiment_is_a_question_in_words() -> None:
    """With a title for the menu and how it is judged."""
    assert [one.name for one in questions()] == list(EXPERIMENTS.names())
    for one in questions():
        assert one.title and one.question.endswith("?") and len(one.how) > 40


def test_nothing_is_read_before_somebody_looks(home, clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the first experiment is there, with so many cells to do, and where no result ships no answer is made up."""
    monkeypatch.setattr("widgets.experimenter.shipped", lambda *_: None)
    monkeypatch.setattr("widgets.experimenter.shipped_for", lambda *_: iter(()))
    fresh = Experimenter(clock)
    assert fresh.look(False) == Tried()
    tried = look(fresh, clock)
    assert tried.name == EXPERIMENTS.names()[0] and tried.cells > 0 == tried.done
    assert tried.answer == (NOTHING,) and tried.figures == () and tried.table is None


def test_where_nothing_was_measured_here_the_result_that_ships_is_shown_and_said_to_be_that(home, clock) -> None:
    """With the day and the machine; all cells are still to be done here, and the first of them takes its place."""
    fresh = Experimenter(clock)
    tried = look(fresh, clock)
    kept = shipped(tried.name, tried.model, tried.form)
    assert tried.figures and tried.table is not None and tried.answer == EXPERIMENTS.load(tried.name).answer(kept.found)
    assert tried.done == 0 < tried.cells and kept.at in tried.shipped and kept.machine in tried.shipped
    fresh.obey(CHOICE)
    assert look(fresh, clock).shipped
    called, sweep = next(iter(EXPERIMENTS.load(NAME).sweeps(CHOICE.model, CHOICE.form).items()))
    done(called, sweep, 1)
    tried = look(fresh, clock)
    assert (tried.shipped, tried.done) == ("", 1)


def test_an_experiment_is_shown_where_it_ships_and_where_it_does_not_that_is_offered(chosen, clock) -> None:
    """Choosing another question goes to the model and form of its result, and says so; a model chosen by hand stays."""
    name = "front-against-back"
    there = next(shipped_for(name))
    where = there.model, there.form
    chosen.obey(ChooseExperiment(name, CHOICE.model, CHOICE.form))
    tried = look(chosen, clock)
    assert (tried.model, tried.form) == where != (CHOICE.model, CHOICE.form) and tried.shipped and tried.instead is None
    assert f"Nothing of it was measured on {CHOICE.model}, {CHOICE.form}" in tried.said and not tried.refused
    chosen.obey(ChooseExperiment(name, CHOICE.model, CHOICE.form))
    tried = look(chosen, clock)
    assert (tried.model, tried.form, tried.figures, tried.instead) == (CHOICE.model, CHOICE.form, (), where)


def test_what_was_begun_is_shown_where_it_was_begun(chosen, clock) -> None:
    """A result that ships elsewhere takes nobody away from what he has started."""
    default_folder("front-against-back", CHOICE.model, CHOICE.form).mkdir(parents=True)
    chosen.obey(ChooseExperiment("front-against-back", CHOICE.model, CHOICE.form))
    assert look(chosen, clock).model == CHOICE.model


def test_the_experiment_that_was_begun_last_is_shown_first(home, clock) -> None:
    """By whichever page or command line it was."""
    default_folder(EXPERIMENTS.names()[-1], "opt-tiny", "full").mkdir(parents=True)
    tried = look(Experimenter(clock), clock)
    assert (tried.name, tried.model, tried.form) == (EXPERIMENTS.names()[-1], "opt-tiny", "full")


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_an_experiment_is_answered_from_whatever_there_is(home, clock, name: str) -> None:
    """From its first cells on, in every one that ships, with figures and a table."""
    sweeps = EXPERIMENTS.load(name).sweeps(CHOICE.model, CHOICE.form)
    of, (first, *others) = Experimenter(clock), sweeps
    of.obey(ChooseExperiment(name, CHOICE.model, CHOICE.form))
    folder = default_folder(name, CHOICE.model, CHOICE.form)
    for called, many in ((first, 1), *((other, None) for other in others)):
        at = begin(sweeps[called], folder_of(folder, called))
        tell(at, *map(came_of, sweeps[called].cells[:many]))
        tried = look(of, clock)
        assert tried.answer and tried.table is not None and not tried.refused
    assert tried.done == 1 + sum(len(sweeps[other].cells) for other in others)
    assert tried.figures


def test_another_model_or_form_is_another_experiment_and_a_wrong_one_is_refused(chosen, clock) -> None:
    """In a sentence; what was there before is not shown as its own."""
    short = look(chosen, clock).cells
    chosen.obey(ChooseExperiment(NAME, "gpt2-tiny", "full"))
    assert look(chosen, clock).cells > short
    chosen.obey(ChooseExperiment(NAME, "no model", "medium"))
    assert "is not known" in look(chosen, clock).said and chosen.look(True).refused and chosen.look(True).cells == 0
    chosen.obey(ChooseExperiment("nothing", "gpt2-tiny", "medium"))
    assert "is not known" in chosen.look(True).said


def test_it_is_begun_once_and_stopped_while_a_process_holds_it(chosen, clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the line that the command line takes."""
    begun = []
    monkeypatch.setattr(experimenter, "start_apart", lambda arguments, log, what: begun.append(arguments) or _Process())
    chosen.obey(StartExperiment())
    assert begun[0][:5] == ["-m", "engine", "experiment", NAME, "--model"] and look(chosen, clock).going
    chosen.obey(StartExperiment())
    assert len(begun) == 1 and "goes on already" in look(chosen, clock).said
    called, sweep = next(iter(EXPERIMENTS.load(NAME).sweeps(CHOICE.model, CHOICE.form).items()))
    folder = done(called, sweep, 2)
    claim = take_lock(folder)
    assert look(chosen, clock).pace == Pace(2, 1.0)
    chosen.obey(StopExperiment())
    assert "by this very process" in look(chosen, clock).said
    claim.release()


def test_stop_ends_a_process_that_was_started_just_now(chosen, clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it holds anything; once it has ended there is nothing to stop."""
    process = _Process()
    monkeypatch.setattr(experimenter, "start_apart", lambda *_: process)
    chosen.obey(StartExperiment())
    chosen.obey(StopExperiment())
    assert process.ended.is_set() and "told to stop" in look(chosen, clock).said and not chosen.look(True).going
    chosen.obey(StopExperiment())
    assert "No process" in look(chosen, clock).said


def test_an_experiment_goes_on_between_its_sweeps_for_every_page(chosen, clock) -> None:
    """By the claim on its folder: it is not begun a second time, and told to stop by whichever page."""
    with claimed(default_folder(CHOICE.name, CHOICE.model, CHOICE.form)):
        assert look(chosen, clock).going
        chosen.obey(StartExperiment())
        assert "goes on already" in look(chosen, clock).said
        chosen.obey(StopExperiment())
        assert "by this very process" in look(chosen, clock).said
    assert not look(chosen, clock).going


def test_all_of_an_experiment_can_be_taken_away(chosen, clock) -> None:
    """Its answer, its table and every cell; what ships, and what was measured here in its place."""
    called, sweep = next(iter(EXPERIMENTS.load(NAME).sweeps(CHOICE.model, CHOICE.form).items()))
    for many in (0, 2):
        done(called, sweep, many)
        tried = look(chosen, clock)
        told = json.loads(experiment_json({"answer": "a"}, tried.table, tried.states))
        assert told["answer"] == "a" and len(told["table"]) == len(tried.table.rows)
        cells = told["sweeps"][called]["cells"]
        assert len(cells) == len(sweep.cells) and told["sweeps"][called]["sweep"] == sweep.plain()
        assert not many or [cell["status"] for cell in cells] == ["done"] * many + ["waiting"] * (len(cells) - many)


class _Process:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.ended = Event()

    def poll(self) -> int | None:
        return 0 if self.ended.is_set() else None

    def wait(self) -> int:
        self.ended.wait(60)
        return 0

    def terminate(self) -> None:
        self.ended.set()


def test_a_point_puts_its_recipe_into_the_controls(chosen, clock) -> None:
    """Of the sweep that it is of; one that is not there is refused."""
    called, sweep = list(EXPERIMENTS.load(NAME).sweeps(CHOICE.model, CHOICE.form).items())[0]
    cell = sweep.cells[3]
    recipe = chosen.obey(PickCell(called, 3))
    assert recipe.neurons == cell.recipe.neurons and recipe.criterion == cell.recipe.criterion and recipe.cut is True
    assert "In the controls now" in look(chosen, clock).picked
    assert chosen.obey(PickCell("nothing", 3)) is None and look(chosen, clock).refused


def test_a_folder_that_holds_something_else_is_said(chosen, clock) -> None:
    """An older version of the experiment, perhaps; its numbers are none of this one's."""
    called = next(iter(EXPERIMENTS.load(NAME).sweeps(CHOICE.model, CHOICE.form)))
    done(called, Sweep({}, {"neurons.level": [0, 0.5]}))
    assert "holds another sweep" in look(chosen, clock).said and chosen.look(True).done == 0
