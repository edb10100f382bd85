"""What the page counts without torch is what the engine takes: with key-value groups, caps, floors and protected layers."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.models.anatomy import dissect
from engine.pruning.allocate import by_schedule, parts_of, plan_of, shares_of
from engine.pruning.cut import cut
from engine.pruning.plan import Plan, Scores
from engine.record import events as tell
from engine.record.commands import fingerprint, preview_of
from engine.record.recipe import Protection, Recipe, Schedule
from tests.families import grouped, like_llama
from tests.widgets.charts.states import folded
from tests.widgets.page import LOADED
from widgets import drafting, words
from widgets.theme import LIGHT
from widgets.view import View, draft_of

MODELS = {
    "a key each": like_llama("Llama", num_hidden_layers=4),
    "two heads a key": grouped("Llama", num_hidden_layers=4),
    "three heads a key": grouped("Llama", num_hidden_layers=4, num_key_value_heads=2),
    "one key for all": grouped("Llama", num_hidden_layers=4, num_key_value_heads=1),
}
RECIPES = (
    Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.35)),
    Recipe(heads=Schedule(level=0.4, shape="linear", steepness=5.0), neurons=Schedule(level=1.0)),
    Recipe(heads=Schedule(level=0.5, floor=3), neurons=Schedule(level=0.6, cap=0.7, floor=11)),
    Recipe(heads=Schedule(level=0.8, cap=0.85), neurons=Schedule(level=0.55, cap=0.55)),
    Recipe(heads=Schedule(level=0.3), neurons=Schedule(level=0.3), protect=Protection(first=1, last=1)),
    Recipe(heads=Schedule(shape="custom", layers=(0.0, 0.2, 0.7, 1.0)), neurons=Schedule(shape="custom", blocks=(0.1, 0.9, 0.5))),
)
BUDGETED = Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.5), allocation="global")


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("first", [False, True], ids=["dense", "cut"])
def test_the_page_counts_what_the_engine_takes(config: object, recipe: Recipe, first: bool) -> None:
    """The same heads by name, and as many neurons of each layer; also of a model that has one key-value group left by a cut,
    which may go, unlike one that the model was built with."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    whole = dissect(model)
    gone = {(layer.index, head) for layer in whole.layers for group in layer.removable_groups[1:] for head in group}
    anatomy = dissect(cut(model, Plan(gone, {(0, 3)}))) if first else whole
    heads = tuple(tuple(torch.rand(layer.heads).tolist()) for layer in anatomy.layers)
    neurons = tuple(tuple(torch.rand(layer.neurons).tolist()) for layer in anatomy.layers)
    schedules = {"heads": recipe.heads, "neurons": recipe.neurons}
    parts = parts_of(Scores(heads, neurons), anatomy, schedules, recipe.protect)
    plan = plan_of(parts, by_schedule(parts, shares_of(schedules, 4, recipe.protect)))
    told = {
        name: tuple(getattr(layer, name) for layer in anatomy.layers) for name in ("heads", "neurons", "groups", "keeps_heads")
    }
    model = replace(LOADED, head_parameters=(1,) * 4, neuron_parameters=(1,) * 4, group_parameters=(1,) * 4, **told)

    of_heads, of_neurons = (drafting.asked_shares(recipe, kind, 4) for kind in schedules)
    counts = drafting.head_counts(recipe, model, of_heads)
    assert counts == tuple(len(plan.heads_of(layer)) for layer in range(4))
    assert set(drafting.heads_that_go(model, heads, counts)) == plan.heads
    assert drafting.neuron_counts(recipe, model, of_neurons) == tuple(len(plan.neurons_of(layer)) for layer in range(4))


@pytest.mark.parametrize("allocation", ["global", "suggest"])
def test_where_units_compete_nothing_is_said_before_a_preview_found_it(allocation: str) -> None:
    """Then its counts are shown, its heads and what they save; those of a preview of something else are not."""
    recipe = BUDGETED.model_copy(update={"allocation": allocation})
    state = folded(LOADED)
    draft = draft_of(recipe, state)
    assert not draft.is_counted and draft.heads == ()
    assert "worked out by a preview" in words.draft_words(View(state, draft, LIGHT, recipe))
    found = tell.Previewed(((5, 0),), (0, 0, 0, 0, 0, 1), (9,) * 6, 1_000_000, 990_000, 50.0, 9, 256)
    other = recipe.model_copy(update={"ridge": 7.0})
    assert not draft_of(recipe, folded(LOADED, replace(found, asked=fingerprint(preview_of(other))))).is_counted
    state = folded(LOADED, replace(found, asked=fingerprint(preview_of(recipe))))
    draft = draft_of(recipe, state)
    assert (draft.heads, draft.head_counts, draft.neuron_counts) == (found.heads, found.head_counts, found.neuron_counts)
    assert "take 1 of 24 heads and 54 of 600 neurons and save 10,000" in words.draft_words(View(state, draft, LIGHT, recipe))


def test_no_head_is_named_where_scores_change_between_rounds() -> None:
    """How many go is known all the same."""
    scores = tell.UnitsScored("activation", tuple((0.1, 0.2, 0.3, 0.4) for _ in range(6)), 9, None)
    recipe = Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.5), rounds=2)
    draft = draft_of(recipe, folded(LOADED, scores))
    assert draft.heads == () and draft.head_counts == (2,) * 6
    assert len(draft_of(recipe.model_copy(update={"rounds": 1}), folded(LOADED, scores)).heads) == 12


def test_nothing_to_compete_for_is_no_competition() -> None:
    """With both levels at nought an allocation changes nothing."""
    none = Schedule(level=0.0)
    assert draft_of(Recipe(heads=none, neurons=none, allocation="suggest"), folded(LOADED)) is None
