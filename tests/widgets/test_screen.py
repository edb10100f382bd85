"""When the page is drawn: at once where it answers somebody, at a calm pace where a command merely goes on."""

from pathlib import Path

import ipywidgets
import pytest

from engine.record import commands as ask
from engine.record import events as tell
from tests.widgets.page import Page, tell_run
from widgets.screen import ASIDE, CALM
from widgets.view import Drawn, View


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """A page in the middle of a recovery; `drawn` has the views that its one chart was given."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    page = Page().ready()
    tell_run(page.session.client, tell.CommandStarted(9, "Tune"), tell.TuningStarted("tuned", "full", 1000, "float32"))
    seen: list[View] = page.drawn
    page.pump.screen.drawn = (Drawn(ipywidgets.HTML(), seen.append, answers=True),)
    page.tick()
    seen.clear()
    return page


def step(page: Page, number: int, seconds: float) -> None:
    """One training step is done, and a tick comes."""
    tell_run(page.session.client, tell.StepTrained("tuned", number, 1000, 3.0, 0.1))
    page.tick(seconds)


def test_a_recovery_that_goes_on_is_drawn_about_three_times_a_second(page: Page) -> None:
    """Thirty ticks in three seconds, a training step in each: charts and status line change nine times at most."""
    lines = []
    page.transport._status.observe(lambda change: lines.append(change.new), "value")
    for number in range(30):
        step(page, number + 1, 0.1)
    assert 6 <= len(page.drawn) <= 3 / CALM
    assert len(lines) <= 3 / CALM
    page.tick(CALM)
    assert page.drawn[-1].state.step.step == 30 and "step 30 of" in lines[-1]


def test_a_movement_is_answered_in_its_tick_and_the_charts_follow(page: Page) -> None:
    """The line about the draft waits for nothing; a chart that has just been drawn does."""
    step(page, 1, 1.0)
    drawn = len(page.drawn)
    page.move("neurons", 0.8)
    page.tick(0.05)
    assert "480 of 600 neurons" in page.transport._draft.value
    assert len(page.drawn) == drawn
    page.tick(CALM)
    assert page.drawn[-1].draft.neuron_counts == (80,) * 6


def test_what_does_not_follow_a_hand_waits_while_one_moves(page: Page) -> None:
    """A chart of what goes on and the count of steps change once a second, a chart of what the controls would do as before."""
    aside: list[View] = []
    lines = []
    page.pump.screen.drawn = (*page.pump.screen.drawn, Drawn(ipywidgets.HTML(), aside.append))
    page.transport._status.observe(lambda change: lines.append(change.new), "value")
    for number in range(30):
        page.move("neurons", 0.5 + 0.01 * number)
        step(page, number + 1, 0.1)
    assert len(page.drawn) >= 6 and len(aside) <= 3 / ASIDE and len(lines) <= 3 / ASIDE
    page.tick(ASIDE)
    assert aside[-1].state.step.step == 30 and "step 30 of" in lines[-1]


def test_the_status_line_answers_a_hold_in_its_tick(page: Page) -> None:
    """Another sentence is no count that goes on."""
    step(page, 1, 1.0)
    tell_run(page.session.client, tell.RunPaused())
    page.tick(0.05)
    assert "Paused" in page.status
    assert page.drawn[-1].state.status == "paused"


def test_a_refusal_is_said_in_its_tick(page: Page) -> None:
    """While a recovery goes on as well."""
    step(page, 1, 1.0)
    page.pump.act(ask.SetGate(0, 0, False))
    page.tick(0.05)
    assert "when nothing else is being done" in page.status


def test_a_page_at_rest_is_drawn_as_soon_as_something_happens(page: Page) -> None:
    """What is not part of a command that goes on waits for nothing."""
    step(page, 1, 1.0)
    tell_run(page.session.client, tell.CommandFinished(9, "Tune"))
    page.tick(0.05)
    drawn = len(page.drawn)
    page.move("heads", 0.5)
    page.tick(0.05)
    assert len(page.drawn) == drawn + 1


def test_what_need_not_be_seen_to_move_is_drawn_less_often(page: Page) -> None:
    """A part of the page may ask for a slower pace; when the command is done it is drawn like all others."""
    seen: list[View] = []
    page.pump.screen.drawn = (Drawn(ipywidgets.HTML(), seen.append, 5.0),)
    page.pump.screen.forget()
    for number in range(11):
        step(page, number + 1, 1.0)
    assert [view.state.step.step for view in seen] == [1, 6, 11]
    step(page, 12, 1.0)
    tell_run(page.session.client, tell.CommandFinished(9, "Tune"))
    page.tick(0.05)
    assert seen[-1].state.status == "idle" and len(seen) == 4


def test_block_sliders_follow_when_the_hand_rests_while_a_command_runs(page: Page) -> None:
    """What they were set to counts at once; they stand there after half a second, or after two if the hand never rests."""
    page.move("neurons", 0.8)
    page.tick(0.05)
    assert page.view.recipe.neurons.level == 0.8
    shown = [page.shown("front")]
    for number in range(12):
        page.move("neurons", 0.81 + 0.01 * number)
        page.tick(0.2)
        shown.append(page.shown("front"))
        assert page.view.draft.neuron_counts == (81 + number,) * 6
    assert 2 <= len(set(shown)) <= 3
    page.tick(0.5)
    assert page.shown("front") == page.shown("back") == 0.92
    assert page.controls.drain() == []


def test_a_hand_on_a_slider_that_was_to_follow_goes_first(page: Page) -> None:
    """It is not set back to where another one had sent it."""
    page.tick(5.0)
    page.move("neurons", 0.8)
    page.tick(0.05)
    page.move("neurons", 0.7)
    page.tick(0.05)
    page.move("back", 0.1)
    page.tick(0.05)
    assert page.shown("shape") == "custom"
    assert page.view.recipe.neurons.blocks == (0.7, 0.7, 0.1)
    page.tick(1.0)
    assert (page.shown("front"), page.shown("back")) == (0.7, 0.1)
