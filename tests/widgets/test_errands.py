"""What the page asks for although nobody pressed a button."""

from dataclasses import replace

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.recipe import Recipe, Schedule
from tests.widgets.charts.states import folded, previewed
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


def test_what_an_undo_leaves_unmeasured_is_measured_again() -> None:
    """It stood beside a baseline on another text. A recovered model's pruned one is no more, and a bare one has none."""
    back = (*PRUNED[:2], tell.CheckpointSaved("step-2", "step-1", "prune"), tell.Undone("step-1"), gates(reason="undo"))
    here = view(Recipe().prompt, *back)
    assert "pruned" not in here.state.standing.perplexity
    errands = Errands()
    assert errands.next(here, 9.0)[0] == ask.Evaluate("pruned", Recipe().evaluation)
    assert not any(isinstance(each, ask.Evaluate) for each in errands.next(here, 9.0))
    trained = replace(here, state=replace(here.state, weights={"step-1": "step-1"}))
    for other in (trained, view(Recipe().prompt, tell.Undone(None), gates((), reason="undo"))):
        assert not any(isinstance(each, ask.Evaluate) for each in Errands().next(other, 9.0))


def test_a_preview_is_asked_for_once_until_something_else_was() -> None:
    """A refusal of it is not answered by asking again."""
    errands, here = Errands(), view(Recipe().prompt)
    assert [type(each) for each in errands.next(here, 9.0)] == [ask.Preview]
    assert errands.next(here, 9.0) == ()
    errands.begin_again()
    assert [type(each) for each in errands.next(here, 9.0)] == [ask.Preview]
    assert Errands().next(here, 0.01) == ()


def test_every_other_recipe_has_a_preview_of_its_own() -> None:
    """Another criterion, another compensation, and the first again: a preview of something else is no answer."""
    errands, first = Errands(), view(Recipe().prompt)
    for change in ({}, {"criterion": "random"}, {"compensation": "none"}, {}):
        recipe = Recipe(**change)
        (asked,) = errands.next(replace(first, recipe=recipe), 9.0)
        assert asked == ask.preview_of(recipe)
        scores = replace(first.state.scores, criterion=recipe.criterion)  # which the preview tells
        state = replace(first.state, scores=scores, preview=previewed(first.draft, recipe=recipe))
        assert errands.next(replace(first, recipe=recipe, state=state), 9.0) == ()


def test_scores_are_asked_for_where_those_shown_are_others() -> None:
    """Of another criterion, or of weights that a recovery has changed since; once, and only where no preview tells them."""
    nothing = Recipe(heads=Schedule(level=0.0), neurons=Schedule(level=0.0))
    here = replace(view(nothing.prompt), draft=None, recipe=nothing)
    assert Errands().next(here, 9.0) == ()
    other = replace(here, recipe=nothing.model_copy(update={"criterion": "random"}))
    stale = replace(here, state=replace(here.state, scored="step-000009"))
    assert stale.state.scores_stale
    for each in (other, stale):
        errands = Errands()
        assert [type(command) for command in errands.next(each, 9.0)] == [ask.Score]
        assert errands.next(each, 9.0) == ()
