"""What the lines that do it again leave out, said."""

from dataclasses import replace

from engine.record import events as tell
from engine.record.recipe import Recipe, Tuning
from tests.widgets.charts.states import folded
from tests.widgets.page import LOADED, RECIPE, TEXT, gates
from widgets.beyond import PLAIN, beyond_the_recipe
from widgets.panels.downloads import build
from widgets.theme import LIGHT
from widgets.view import View, draft_of

HEADS = tuple((layer, 0) for layer in range(6))
PLAN = tell.PlanMade(HEADS, (1,) * 6, (30,) * 6, (0.3,) * 6, (0.3,) * 6, 10, 8, "activation")
PRUNED = (LOADED, TEXT, PLAN, gates(HEADS, 30), tell.CheckpointSaved("a", None, "prune"))


def said(*facts: object, recipe: Recipe = RECIPE) -> str:
    """What is said of a run in which these things happened, under the controls of a recipe."""
    state = replace(folded(*facts), status="idle")
    return beyond_the_recipe(View(state, draft_of(recipe, state), LIGHT, recipe))


def recovery(name: str, parent: str, done: int, steps: int = 200) -> tuple[object, ...]:
    """A recovery that was stopped after `done` of its steps, or came to its end."""
    trained = (tell.StepTrained("tuned", step, steps, 3.0, 0.1) for step in range(1, done + 1))
    return (tell.TuningStarted("tuned", "full", steps, "float32"), *trained, tell.CheckpointSaved(name, parent, "tune"))


def test_what_the_controls_led_to_is_all_in_the_lines() -> None:
    """Nothing but what the lines do is said, after Prune and after a whole recovery."""
    assert said(*PRUNED) == PLAIN
    assert said(*PRUNED, *recovery("b", "a", 200)) == PLAIN


def test_heads_that_were_moved_by_hand_are_named() -> None:
    """Closed, opened, or both; with a plan and without one."""
    assert "One head was closed by hand, which a recipe cannot say" in said(LOADED, TEXT, gates(((2, 1),), reason="by hand"))
    more = gates(((0, 1), (0, 2), *HEADS[1:]), 30, "by hand")
    assert "2 heads were closed by hand and one head was opened by hand" in said(*PRUNED, more)


def test_controls_that_were_moved_after_prune_are_told() -> None:
    """The lines follow the controls, not the model."""
    moved = RECIPE.model_copy(update={"criterion": "random"})
    assert "moved after Prune" in said(*PRUNED, recipe=moved)


def test_a_recovery_that_was_stopped_or_came_again_is_told() -> None:
    """So is one of other steps than the controls say by now."""
    assert "came to 12 steps; they train 200" in said(*PRUNED, *recovery("b", "a", 12))
    assert "recovered 2 times; they recover it once" in said(*PRUNED, *recovery("b", "a", 200), *recovery("c", "b", 200))
    other = RECIPE.model_copy(update={"tuning": Tuning(steps=7)})
    assert "they train 7" in said(*PRUNED, *recovery("b", "a", 200), recipe=other)


def test_the_card_says_it_over_the_lines() -> None:
    """Where somebody who copies them reads it."""
    state = folded(LOADED, TEXT, gates(((2, 1),), reason="by hand"))
    drawn = build(LIGHT, lambda asked: None)
    drawn.draw(View(state, draft_of(RECIPE, state), LIGHT, RECIPE))
    text = drawn.widget.children[-1].value
    assert 0 < text.index("closed by hand") < text.index("python -m engine run")
