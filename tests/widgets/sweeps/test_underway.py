"""The list of sweeps: how far the chosen one is in words, what can be pressed and why not, and what each button asks for."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.record.cells import SweepBestFound, SweepStarted
from engine.record.lifecycle import RunStopped
from engine.record.sweep import Sweep
from engine.record.sweep_folder import begin, open_sweep
from tests.widgets.sweeps.swept import SHARES, TWO, WORDS, button, inside, swept, view_of, words
from tests.widgets.test_sweeper import tell
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
    halted = "Nothing goes on: process 4711, which carries this sweep out, is stopped. Continue it (kill -CONT 4711), or end it."
    assert said(busy, going=True, pace=Pace(4, 30.0), halted=4711) == f"{halted} 4 of 6 cells done."
    assert "Stopped: 4 of 6 cells done. It can go on." in said(swept(TWO, 4))
    assert "ended unasked" in said(replace(busy, status="interrupted"), trouble="Killed")
    assert "The last it said: Killed" in said(replace(busy, status="interrupted"), trouble="Killed")
    assert said(replace(busy, status="failed", failure="No model.")) == "It came to nothing: No model."
    assert "1 of them failed" in said(swept(TWO, failing=1))
    assert said(replace(busy, status="new")) == "It was not begun."


def test_a_sweep_that_a_cluster_carried_out_says_that_the_page_goes_on_without(tmp_path: Path) -> None:
    """By what its folder tells; not once the page has gone on with it."""
    folder, started = begin(TWO, tmp_path / "sweep"), SweepStarted(TWO.plain(), 6, 0, 0, "0", "tcp://10.0.0.1:8786")
    tell(folder, started, RunStopped())
    assert "with --scheduler tcp://10.0.0.1:8786; “Go on” does the rest in one process of this machine" in said(
        open_sweep(folder)
    )
    assert "No model. It was carried out with" in said(replace(open_sweep(folder), status="failed", failure="No model."))
    tell(folder, replace(started, scheduler=None), RunStopped())
    assert said(open_sweep(folder)) == "Stopped: 0 of 6 cells done. It can go on."


def test_what_is_said_of_the_best_cell_is_not_that_the_least_pruned_has_the_lowest_perplexity() -> None:
    """But how small a model may be that is nearly as good; where all are of one size it is the lowest perplexity."""
    near = Sweep({"criterion": "taylor"}, {"neurons.level": [0, 0.05, 0.25]})
    within = "within 5\u00a0% of the unpruned model's perplexity"
    best = "980,000 parameters, perplexity 103, with Neurons removed 5\u00a0%."
    assert said(swept(near)).endswith(f"The smallest {within}: {best}")
    assert said(swept(Sweep({}, {"neurons.level": [0.4, 0.5]}))).endswith(f"None is {within}.")
    assert "Lowest perplexity: 116, with Criterion taylor." in said(swept(WORDS))


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
    rows = [each for each in inside(drawn.widget) if "esp-buttons" in each._dom_classes]
    assert [row.layout.display for row in rows] == ["none", None], "the other buttons stood between the question and its answers"
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
