"""The draft: what a recipe would do to a loaded model, without torch."""

import subprocess
import sys
from dataclasses import replace

import pytest

from engine.record import events as tell
from engine.record.errors import BadInput
from engine.record.recipe import Recipe, Schedule
from engine.record.state import RunState
from tests.widgets.charts.states import folded, previewed
from tests.widgets.page import LOADED, RECIPE, SCORES, gates
from widgets.theme import LIGHT
from widgets.view import View, draft_of

SCORED = tell.UnitsScored("activation", SCORES, 10, None)


def test_nothing_is_drafted_before_a_model_is_there() -> None:
    """There is nothing to count."""
    assert draft_of(Recipe(), RunState()) is None


def test_the_lowest_heads_of_each_layer_would_go() -> None:
    """As many as its share says, and no higher score than any that stays."""
    draft = draft_of(Recipe(heads=Schedule(level=0.5)), folded(LOADED, SCORED))
    assert draft.head_counts == (2,) * 6
    for layer, scores in enumerate(SCORES):
        gone = {head for at, head in draft.heads if at == layer}
        assert max(scores[head] for head in gone) < min(scores[head] for head in set(range(4)) - gone)


def test_counts_need_no_scores_and_names_do() -> None:
    """With another criterion's scores, how many would go is known and which is not."""
    draft = draft_of(Recipe(criterion="magnitude"), folded(LOADED, SCORED))
    assert draft.head_counts == (1,) * 6 and draft.heads == ()


def test_parameters_are_counted_by_what_each_unit_weighs() -> None:
    """Two heads of 1,000 and fifty neurons of 10 from each of six layers."""
    draft = draft_of(Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.5)), folded(LOADED))
    assert draft.parameters_before - draft.parameters_after == 6 * (2 * 1000 + 50 * 10)


def test_a_group_weighs_more_than_its_heads() -> None:
    """One group of two heads from each of six layers, with the key and the value that the two share."""
    shared = replace(LOADED, groups=(2,) * 6, group_parameters=(2500,) * 6)
    draft = draft_of(Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.0)), folded(shared))
    assert draft.head_counts == (2,) * 6
    assert draft.parameters_before - draft.parameters_after == 6 * 2500


def test_what_stands_already_is_no_draft() -> None:
    """The same criterion and counts as the plan in force, or no units at all; another criterion is a draft again."""
    plan = tell.PlanMade((), (1,) * 6, (30,) * 6, (0.3,) * 6, (0.3,) * 6, 10, 8, "activation")
    assert draft_of(RECIPE, folded(LOADED, plan)) is None
    assert draft_of(RECIPE.model_copy(update={"criterion": "random"}), folded(LOADED, plan)) is not None
    none = Recipe(heads=Schedule(level=0.0), neurons=Schedule(level=0.0))
    assert draft_of(none, folded(LOADED)) is None
    assert draft_of(none, folded(LOADED, plan)) is not None


def test_gates_that_were_moved_by_hand_are_a_draft() -> None:
    """Prune would open what was closed by hand, and close what was opened, although its counts are those of the plan."""
    heads = tuple((layer, 0) for layer in range(6))
    plan = tell.PlanMade(heads, (1,) * 6, (30,) * 6, (0.3,) * 6, (0.3,) * 6, 10, 8, "activation")
    assert draft_of(RECIPE, folded(LOADED, plan, gates(heads, 30))) is None
    assert draft_of(RECIPE, folded(LOADED, plan, gates(heads, 30), gates(((0, 1), *heads[1:]), 30, "by hand"))) is not None
    none = Recipe(heads=Schedule(level=0.0), neurons=Schedule(level=0.0))
    assert draft_of(none, folded(LOADED, gates(((2, 1),), reason="by hand"))) is not None
    assert draft_of(none, folded(LOADED, gates((), reason="by hand"))) is None


@pytest.mark.parametrize("kind", ["heads", "neurons"])
def test_shares_for_another_number_of_layers_are_refused(kind: str) -> None:
    """The sentence names the field and the numbers, and blames the field."""
    with pytest.raises(BadInput, match=rf"{kind}\.layers: .*2 values, but the model has 6 layers") as caught:
        draft_of(Recipe(**{kind: Schedule(shape="custom", layers=(0.1, 0.2))}), folded(LOADED))
    assert caught.value.field == f"{kind}.layers"


def test_a_preview_is_of_just_what_the_controls_say() -> None:
    """The counts may agree, and the heads; by another criterion or with another compensation the cost is another."""
    state = folded(LOADED, SCORED)
    draft = draft_of(RECIPE, state)
    seen = View(folded(LOADED, SCORED, previewed(draft, 50.0, RECIPE)), draft, LIGHT, RECIPE)
    assert seen.preview is not None
    for change in ({"criterion": "random"}, {"compensation": "none"}, {"seed": 1}):
        assert replace(seen, recipe=RECIPE.model_copy(update=change)).preview is None
    assert replace(seen, recipe=None).preview is None


def test_the_page_imports_no_torch() -> None:
    """Nothing of what the kernel loads brings in torch, transformers or datasets, not even through others."""
    code = (
        "import sys, widgets.dashboard\n"
        "from widgets.dashboard import CHARTS, PANELS\n"
        "[registry.load(name) for registry in (CHARTS, PANELS) for name in registry.names()]\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'gensim'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
