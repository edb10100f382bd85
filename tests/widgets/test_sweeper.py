"""The sweeps of this machine on the page: asked for, read on while they are shown, loaded into the controls, deleted."""

from pathlib import Path

import pytest

from engine.record import running_sweeps
from engine.record.cells import SweepStarted
from engine.record.claim import take_lock
from engine.record.folder import Writer
from engine.record.lifecycle import CommandStarted, RunStopped
from engine.record.recipe import Recipe
from engine.record.sweep import Sweep
from engine.record.sweep_folder import begin
from tests.widgets.page import Page, tell_run
from tests.widgets.sweeps.swept import TWO, came_of
from widgets.requests import (
    AskSweep,
    ChooseSweep,
    DiscardSweep,
    Download,
    GoOnSweep,
    KeepSweep,
    LoadCell,
    StartSweep,
    StopSweep,
    Turn,
)
from widgets.sweeper import DOUBT, Sweeps
from widgets.words import BOUND


@pytest.fixture
def folder(home) -> Path:
    """A sweep that this process holds, four cells of which are done, one each second."""
    folder = begin(TWO, home / "runs" / "20250101T000000Z-gpt2-tiny-00aa11")
    assert take_lock(folder)
    tell(folder, SweepStarted(TWO.plain(), 6, 0, 0, "0"), *map(came_of, TWO.cells[:4]))
    return folder


@pytest.fixture
def page(folder) -> Page:
    """A page that stands ready, its experiments open."""
    page = Page().ready()
    page.pump.act(Turn("sweeps"))
    page.tick()
    page.tick()
    return page


def tell(folder: Path, *facts: object) -> None:
    """Write what happened in a sweep, a second apart."""
    times = iter(range(1000, 2000))
    writer = Writer(folder / "events.jsonl", clock=lambda: next(times))
    for fact in facts:
        writer.append(fact)
    writer.close()


def after(page: Page, *asked: object) -> Sweeps:
    """The sweeps once something was asked."""
    for each in asked:
        page.pump.act(each)
    page.tick()
    page.tick()
    return page.view.sweeps


def test_nothing_is_read_while_the_laboratory_is_shown(folder) -> None:
    """The part of the page that nobody looks at costs nothing."""
    page = Page().ready()
    page.tick(10)
    assert page.view.sweeps == Sweeps()


def test_the_newest_sweep_is_shown_and_read_on(page, folder) -> None:
    """With its pace, by the cells of the process that is at it."""
    sweeps = page.view.sweeps
    assert (sweeps.chosen, sweeps.going, sweeps.state.status) == (folder.name, True, "busy")
    assert sweeps.found[0].title == "Criterion × Neurons removed, measure, gpt2-tiny"
    assert (sweeps.pace.cells, sweeps.pace.seconds) == (4, 3.0)
    tell(folder, came_of(TWO.cells[4]))
    assert len(after(page).state.done) == 5
    (folder / "lock.json").unlink()
    assert (after(page).going, page.view.sweeps.state.status) == (False, "interrupted")
    tell(folder, RunStopped())
    assert after(page).state.status == "stopped"
    same = page.view.sweeps.state
    assert after(page).state is same, "nothing is drawn again where nothing came"


def test_a_cell_is_loaded_into_the_controls(page) -> None:
    """As a recipe in the address would be; the training of the controls stays, and words say what happened."""
    steps, cell = page.shown("steps"), TWO.cells[3]
    sweeps = after(page, LoadCell(3))
    assert page.shown("criterion") == cell.set["criterion"]
    assert page.shown("neurons") == pytest.approx(cell.set["neurons.level"])
    assert page.shown("steps") == "200" != "0" and steps == "200"
    assert sweeps.loaded == 3 and "In the controls now" in sweeps.cell_said and cell.set["criterion"] in sweeps.cell_said
    assert page.view.recipe.neurons.shape == "linear"


def test_a_cell_of_another_model_begins_another_run(home) -> None:
    """Which takes the place of the run on the page once its model is there."""
    folder = begin(Sweep(Recipe(), {"model": ["gpt2-tiny", "opt-tiny"]}), home / "runs" / "20250101T000000Z-gpt2-tiny-00aa11")
    page = Page().ready()
    after(page, Turn("sweeps"))
    assert page.view.sweeps.chosen == folder.name
    after(page, LoadCell(1))
    assert page.session.is_changing and page.shown("model") == "opt-tiny"


def test_a_cell_of_another_model_waits_for_what_is_being_done(home) -> None:
    """A recovery is not cut short by a click on a map; the sentence stands where the click was."""
    begin(Sweep(Recipe(), {"model": ["gpt2-tiny", "opt-tiny"]}), home / "runs" / "20250101T000000Z-gpt2-tiny-00aa11")
    page = Page().ready()
    tell_run(page.session.client, CommandStarted(9, "Tune"))
    sweeps = after(page, Turn("sweeps"), LoadCell(1))
    sweeps = after(page, LoadCell(1))
    assert sweeps.cell_refused and sweeps.cell_said == BOUND and sweeps.loaded is None
    assert not page.session.is_changing and page.shown("model") == "gpt2-tiny"


def test_the_form_says_what_it_comes_to(page) -> None:
    """Another field brings values of its own; what cannot be is beside its field, and begins nothing."""
    searched = after(page, AskSweep("mode", "search"))
    assert searched.asked.second == "" and not searched.planned.wrong, "the second field to begin with is none of a search"
    after(page, AskSweep("mode", "measure"))
    sweeps = after(page, AskSweep("second", "compensation"))
    assert sweeps.asked.second_values.startswith("none, bias") and sweeps.planned.cells == 16
    sweeps = after(page, AskSweep("first_values", "0, 7"), StartSweep())
    assert "not allowed" in sweeps.planned.wrong["first_values"]
    assert sweeps.refused and "put right first" in sweeps.said and len(sweeps.found) == 1
    page.controls._each["heads"].value = 0.5
    after(page, AskSweep("first_values", "0, 0.7"))
    assert page.view.sweeps.planned.plain["recipe"]["heads"]["level"] == 0.5


def test_a_sweep_is_begun_with_what_was_typed_last(page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the press comes together with the last word; it is the one that is shown then."""
    begun = []
    monkeypatch.setattr(running_sweeps, "carry_on", begun.append)  # the seam to another process
    page.pump._trials._sweeper._started = _Nobody()
    sweeps = after(page, AskSweep("first_values", "0, 0.7"), AskSweep("second", ""), StartSweep())
    assert [folder.name for folder in begun] == [sweeps.chosen] and not sweeps.refused
    assert sweeps.state.sweep.axes == {"neurons.level": [0, 0.7]} and sweeps.state.status == "new"


class _Nobody(dict):
    """Processes that were started and are none: there is no process behind a sweep that nobody carries out."""

    def get(self, name: str) -> None:
        return None


def test_a_late_press_is_answered_by_a_sentence(page, folder) -> None:
    """And changes nothing."""
    assert "goes on already" in after(page, GoOnSweep(folder.name)).said
    assert "by this very process" in after(page, StopSweep(folder.name)).said
    assert "is not in" in after(page, ChooseSweep("../else")).said and page.view.sweeps.refused
    after(page, LoadCell(999))
    assert "not there any more" in page.pump.transport._status.value


def test_a_sweep_is_deleted_once_that_is_confirmed(page, folder) -> None:
    """Not while a process holds it, not unasked, and not long after the question."""
    assert after(page, DiscardSweep(folder.name)).doubt and not after(page, KeepSweep()).doubt
    after(page, DiscardSweep(folder.name))
    page.tick(DOUBT + 1)
    assert not page.view.sweeps.doubt
    assert "is held by a process" in after(page, DiscardSweep(folder.name), DiscardSweep(folder.name, sure=True)).said
    (folder / "lock.json").unlink()
    sweeps = after(page, DiscardSweep(folder.name), DiscardSweep(folder.name, sure=True))
    assert "is deleted" in sweeps.said and sweeps.state is None and sweeps.found == () and not folder.exists()


def test_a_sweep_that_another_page_deletes_is_gone_here_too(page, folder) -> None:
    """Without a fault."""
    (folder / "lock.json").unlink()
    running_sweeps.discard(folder.name)
    assert (after(page).state, page.view.sweeps.found) == (None, ())


def test_a_sweep_that_cannot_be_read_is_said_to_be(page, folder) -> None:
    """And the page goes on."""
    broken = folder.parent / "20260101T000000Z-gpt2-tiny-00aa11"
    broken.mkdir()
    (broken / "sweep.json").write_text("[", encoding="utf-8")
    assert "not JSON" in after(page, ChooseSweep(broken.name)).said
    assert page.view.sweeps.found[0].title == "a sweep that cannot be read"


def test_what_came_of_a_sweep_can_be_taken_away(page) -> None:
    """By the same way as what came of a run."""
    after(page, Download("sweep-csv"), Download("sweep-charts"))
    assert page.delivered == ["sweep-csv", "sweep-charts"]
