"""A suggestion on the page: asked for, shown, used, and held against what came of it."""

from dataclasses import replace

import ipywidgets
import pytest

from engine.record.commands import Suggest
from engine.record.events import Evaluated, PlanMade
from engine.record.lifecycle import WorkerStarted
from engine.record.recipe import Recipe, Schedule
from engine.record.state import RunState
from engine.record.suggestions import Suggested, SuggestionMeasured
from tests.widgets.charts.states import folded, loaded
from tests.widgets.charts.test_charts import inside
from widgets.panels.suggestion import build, came_of
from widgets.requests import Adopt
from widgets.theme import LIGHT
from widgets.view import Drawn, View

RECIPE = Recipe(heads=Schedule(level=0.0), ridge=0.5)
SHARES = (0.25, 0.5, 0.0)
FOUND = Suggested("activation", (0.0,) * 3, SHARES, "layer", "predicted", 0.031, 0.045, 1000, 880)
MODEL = replace(loaded((4,) * 3), neurons=(8,) * 3)
PLAN = PlanMade((), (0, 0, 0), (2, 4, 0), (0.0,) * 3, SHARES, 1000, 880, "activation")


def measured(stage: str, nats: float) -> Evaluated:
    """A stage with so many nats per token."""
    return Evaluated(stage, 20.0, 100 * nats, 100, "text", 32, "float32")


def shown(*facts: object, asked: list | None = None) -> Drawn:
    """The panel of a run."""
    made = build(LIGHT, (asked if asked is not None else []).append)
    made.draw(View(folded(WorkerStarted(1, 1), *facts), None, LIGHT, RECIPE))
    return made


def words(drawn: Drawn) -> str:
    """Its HTML."""
    return " ".join(each.value for each in inside(drawn.widget) if isinstance(each, ipywidgets.HTML))


def test_nothing_is_made_before_there_is_a_model() -> None:
    """The first paint of the page waits for none of it."""
    made = build(LIGHT, lambda command: None)
    made.draw(View(RunState(), None, LIGHT))
    assert made.widget.children == ()


def test_a_share_is_asked_for_as_the_controls_would_prune() -> None:
    """And what was suggested is given to the controls; there is nothing to use before."""
    asked = []
    drawn = shown(MODEL, asked=asked)
    share, suggest, use = (
        each for each in inside(drawn.widget) if isinstance(each, ipywidgets.Button | ipywidgets.BoundedFloatText)
    )
    assert use.disabled and "Nothing is suggested yet" in use.tooltip and not suggest.disabled
    share.value = 0.25
    suggest.click()
    drawn.draw(View(folded(WorkerStarted(1, 1), MODEL, FOUND), None, LIGHT, RECIPE))
    use.click()
    assert asked == [Suggest(0.25, "activation", RECIPE.heads, RECIPE.neurons, ridge=0.5), Adopt((0.0,) * 3, SHARES)]


def test_a_suggestion_is_told_with_its_promise() -> None:
    """In words and as bars by layer, beside what the same share of every layer would cost."""
    text = words(shown(MODEL, FOUND))
    assert "By activation, layer by layer, 12 % of the parameters would go." in text.replace("\u00a0", " ")
    assert (
        "rise by 0.031 nats per token (foretold from statistics and gradients); with the same share from every layer by 0.045"
        in text
    )
    assert "No heads would go." in text and text.count("<rect") == 3 and "most from layer 1" in text
    assert "told here once it was followed" in text


def test_what_came_of_it_stands_beside_its_promise() -> None:
    """Once just this plan was pruned and measured; a plan of other counts, or another criterion's, is none of it."""
    before, after = measured("baseline", 3.0), measured("pruned", 3.04)
    assert came_of(folded(MODEL, FOUND, before, PLAN, after)) == (0.031, pytest.approx(0.04))
    assert "+0.031 nats per token were promised, +0.040 measured" in words(shown(MODEL, FOUND, before, PLAN, after))
    for other in (replace(PLAN, neuron_counts=(3, 3, 0)), replace(PLAN, criterion="random")):
        assert came_of(folded(MODEL, FOUND, before, other, after)) is None
    assert came_of(folded(MODEL, FOUND, PLAN, after)) is None, "without a baseline there is nothing to hold it against"
    assert came_of(folded(MODEL, before, PLAN, after, SuggestionMeasured(0.1, 0.2))) == (0.1, 0.2)
