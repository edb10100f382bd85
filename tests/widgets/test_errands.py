"""What the page asks for although nobody pressed a button."""

from dataclasses import replace

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.recipe import Recipe
from tests.widgets.charts.states import folded
from tests.widgets.page import LOADED, SCORES, gates, measured
from widgets.errands import Errands
from widgets.theme import LIGHT
from widgets.view import View, draft_of

PRUNED = (gates(), tell.CheckpointSaved("step-1", None, "prune"), measured("pruned", 60.0))


def view(prompt: str, *facts: object) -> View:
    """An idle run that was scored and has a text of the baseline's, to the recipe's first prompt."""
    text = tell.TextSampled("baseline", Recipe().prompt, 0, ("a",), (1.0,), 1)
    state = replace(folded(LOADED, text, tell.UnitsScored("activation", SCORES, 1, None), *facts), status="idle")
    recipe = Recipe(prompt=prompt)
    return View(state, draft_of(recipe, state), LIGHT, recipe)


def test_the_baselines_text_is_renewed_once_the_unpruned_model_stands_again() -> None:
    """A prompt that changed while the model was pruned: only the unpruned one can write the left side anew; it is asked once."""
    errands = Errands()
    assert not any(isinstance(each, ask.Sample) for each in errands.next(view("Other", *PRUNED), 9.0))
    assert errands.next(view("Other"), 9.0) == (ask.Sample("baseline", "Other"),)
    assert not any(isinstance(each, ask.Sample) for each in errands.next(view("Other"), 9.0))


def test_a_text_of_the_prompt_that_stands_is_left_alone() -> None:
    """A page that is opened again asks for no text."""
    assert not any(isinstance(each, ask.Sample) for each in Errands().next(view(Recipe().prompt), 9.0))


def test_a_preview_is_asked_for_once_until_something_else_was() -> None:
    """A refusal of it is not answered by asking again."""
    errands, here = Errands(), view(Recipe().prompt)
    assert [type(each) for each in errands.next(here, 9.0)] == [ask.Preview]
    assert errands.next(here, 9.0) == ()
    errands.begin_again()
    assert [type(each) for each in errands.next(here, 9.0)] == [ask.Preview]
    assert Errands().next(here, 0.01) == ()
