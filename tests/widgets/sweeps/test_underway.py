"""The list of sweeps: how far the chosen one is in words, what can be pressed and why not, and what each button asks for."""

from dataclasses import replace

import pytest

from engine.record.cells import SweepBestFound
from engine.record.sweep import Sweep
from tests.widgets.sweeps.swept import SHARES, TWO, button, inside, swept, view_of, words
from widgets.followed import Pace
from widgets.requests import ChooseSweep, DiscardSweep, Download, GoOnSweep, KeepSweep, StopSweep
from widgets.sweeper import Listed
from widgets.sweeps.underway import build, status_words
from widgets.theme import LIGHT


def said(state, **changes) -> str:
    """The sentence about a sweep."""
    return status_words(view_of(state, **changes).sweeps)


def test_how_far_a_sweep_is_and_how_long_it_takes_is_said() -> None:
    """The time only once some cells are done, by how long those took."""
    busy = replace(swept(TWO, 4), status="busy")
    assert said(replace(busy, status="new"), going=True).startswith("It is starting")
    assert "not known yet" in said(busy, going=True, pace=Pace(2, 1.0))
    assert "4 of 6 cells done; about 20 s left, if the others take as long as the last 4" in said(
        busy, going=True, pace=Pace(4, 30.0)
    )
    assert "Stopped: 4 of 6 cells done. It can go on." in said(swept(TWO, 4))
    assert "ended unasked" in said(replace(busy, status="interrupted"), trouble="Killed")
    assert "The last it said: Killed" in said(replace(busy, status="interrupted"), trouble="Killed")
    assert said(replace(busy, status="failed", failure="No model.")) == "It came to nothing: No model."
    assert "Lowest perplexity: 100, with Criterion" in said(swept(TWO)) and "1 of them failed" in said(swept(TWO, failing=1))
    assert said(replace(busy, status="new")) == "It was not begun."


def test_a_search_says_what_it_has_found() -> None:
    """Of a tenth of the cells."""
    search = Sweep({}, {"neurons.level": {"from": 0, "to": 0.9, "steps": 20}}, "search", budget=0.9)
    state = swept(search, 2)
    best = SweepBestFound(1, dict(search.cells[1].set), 120.0, 900_000, 2, 7)
    assert "2 of 2 cells done. Best of 7 that fit the budget, after 2 measurements" in said(
        replace(state, status="finished", best=best)
    )


def test_the_buttons_say_why_they_are_grey_and_what_they_ask() -> None:
    """For the sweep that is shown."""
    asked = []
    drawn = build(LIGHT, asked.append)
    drawn.draw(view_of(None))
    assert all(button(drawn, name).disabled for name in ("Stop", "Go on", "Delete", "Cells (CSV)"))
    found = (Listed("one", "A × B", True), Listed("two", "C", False))
    drawn.draw(view_of(replace(swept(TWO, 3), status="busy"), found=found, going=True))
    assert not button(drawn, "Stop").disabled and "stop it first" in button(drawn, "Delete").tooltip
    drawn.draw(view_of(swept(TWO, 3), found=found))
    for name in ("Go on", "Delete", "Cells (CSV)", "Sweep (JSON)", "Charts (PNG)"):
        button(drawn, name).click()
    drawn.draw(view_of(swept(TWO, 3), found=found, doubt=True))
    assert "It cannot be undone" in words(drawn)
    for name in ("Delete it", "Keep it"):
        button(drawn, name).click()
    menu = next(each for each in inside(drawn.widget) if getattr(each, "description", "") == "Sweep")
    menu.value = "two"
    taken = [Download(f"sweep-{what}") for what in ("csv", "json", "charts")]
    asks = [GoOnSweep("one"), DiscardSweep("one"), *taken, DiscardSweep("one", sure=True), KeepSweep(), ChooseSweep("two")]
    assert asked == asks
    drawn.draw(view_of(swept(TWO), found=found))
    assert button(drawn, "Go on").tooltip == "Every cell is done."
    assert StopSweep("one") not in asked


@pytest.mark.parametrize("failing", [None, 2])
def test_a_sweep_with_a_failed_cell_can_go_on(failing: int | None) -> None:
    """It is tried once more."""
    drawn = build(LIGHT, lambda request: None)
    drawn.draw(view_of(swept(TWO, failing=failing), found=(Listed("one", "A", False),)))
    assert button(drawn, "Go on").disabled == (failing is None) and len(SHARES) == 3
