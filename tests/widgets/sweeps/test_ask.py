"""The form of a sweep: what is typed goes to the page, what it comes to stands under it, what cannot be beside its field."""

from dataclasses import replace

import ipywidgets
import pytest

from engine.record.lifecycle import CommandStarted, WorkerStarted
from engine.record.recipe import Recipe
from engine.record.run_list import LiveRun
from tests.widgets.charts.states import folded, loaded
from tests.widgets.sweeps.swept import button, inside, view_of, words
from widgets.axes import Asked, planned
from widgets.requests import AskSweep, StartSweep
from widgets.roster import Runs
from widgets.sweeper import Listed
from widgets.sweeps.ask import beside_words, build
from widgets.theme import LIGHT
from widgets.view import Drawn


@pytest.fixture
def asked() -> list:
    """What the form has asked for."""
    return []


@pytest.fixture
def form(asked) -> Drawn:
    """The form, nothing typed yet."""
    form = build(LIGHT, asked.append)
    show(form)
    return form


def show(form: Drawn, **changes: str) -> None:
    """Draw the form as it is after something was typed."""
    now = replace(Asked(), **changes)
    form.draw(view_of(None, asked=now, planned=planned(now, Recipe())))


def field(form: Drawn, label: str) -> ipywidgets.DOMWidget:
    """A field by its label."""
    return next(each for each in inside(form.widget) if getattr(each, "description", "") == label)


def test_what_is_typed_is_told_and_what_is_drawn_is_not(form, asked) -> None:
    """A field is set by the page without an echo."""
    show(form, first="heads.level", first_values="0, 0.5")
    assert field(form, "Field").value == "heads.level" and field(form, "Values").value == "0, 0.5" and asked == []
    field(form, "Values").value = "0.1"
    field(form, "For each cell").value = "recover"
    button(form, "Start the sweep").click()
    assert asked == [AskSweep("first_values", "0.1"), AskSweep("mode", "recover"), StartSweep()]


def test_what_it_comes_to_is_counted_in_words(form) -> None:
    """And what all cells have in common, but for what they differ in."""
    assert "16 cells, each measured" in words(form) and "criterion activation" not in words(form)
    show(form, second="", seeds="0 1")
    assert "8 cells" in words(form) and "criterion activation" in words(form)
    show(form, mode="search", second="")
    assert "4 cells, of which 1 are measured" in words(form)


def test_what_cannot_be_stands_beside_its_field_and_greys_the_button(form) -> None:
    """The button says why."""
    show(form, seeds="one")
    alerts = [each for each in inside(form.widget) if isinstance(each, ipywidgets.HTML) and 'role="alert"' in each.value]
    rows = list(form.widget.children)
    assert len(alerts) == 1 and rows.index(alerts[0]) == rows.index(field(form, "Seeds")) + 1
    assert button(form, "Start the sweep").disabled and "marked" in button(form, "Start the sweep").tooltip


def test_a_field_that_says_nothing_is_not_shown(form) -> None:
    """The budget is for a search, second values for a second field."""
    assert field(form, "Leave at most").layout.display == "none" and field(form, "Second values").layout.display is None
    show(form, mode="search", second="")
    assert field(form, "Leave at most").layout.display is None and field(form, "Second values").layout.display == "none"


def test_what_else_is_at_work_is_said(form) -> None:
    """The run of the page, other runs, other sweeps; and nothing where nothing is."""
    assert beside_words(view_of(None)) == ""
    busy = folded(WorkerStarted(1, 1), loaded(), CommandStarted(4, "Tune"))
    other = LiveRun("a", "doing Tune", "busy", "m", None, True, 7, "/")
    view = replace(view_of(None, found=(Listed("a", "b", True),)), state=busy, runs=Runs((other,)))
    said = beside_words(view)
    assert "the run of this page (recovering), 1 other run, 1 sweep" in said and "takes longer" in said
