"""The fold of all that the controls above it do not show: every field of a recipe is on the page, and is heard."""

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import ipywidgets
import pytest
from pydantic import Field, ValidationError

from engine.record.fields import explain, leaves
from engine.record.knobs import knobs_of
from engine.record.recipe import Compensation, Recipe, Schedule, Tuning
from widgets.choices import MAIN, MORE, choices_of, criterion_help, moved, recipe_of
from widgets.controls import MEANINGS, Controls
from widgets.form import Form
from widgets.meanings import GROUPS, LABELS

WORDS = {name: words for of_group in GROUPS.values() for name, words in of_group.items()}
OTHER = {
    "heads.layers": (0.0, 0.5, 0.25), "neurons.layers": (0.1, 0.2, 0.3), "heads.cap": 0.9, "neurons.cap": 0.9,
    "calibration.sequence_length": 64, "evaluation.sequence_length": 64,
}  # fmt: skip


@pytest.fixture
def controls() -> Controls:
    """The form of the default recipe, with the fold open."""
    return unfolded(Controls(choices_of(Recipe(), 3), lambda: None))


def unfolded(controls: Controls) -> Controls:
    """The same form after its fold was opened."""
    controls.more.toggle.value = True
    controls.hold({})
    return controls


def fields_of(schema: dict, at: dict, before: str = "") -> Iterator[str]:
    """The dotted names of all fields in a JSON schema that hold no further fields."""
    for name, field in at["properties"].items():
        inner = next((each["$ref"] for each in (field, *field.get("allOf", ())) if "$ref" in each), None)
        if inner is None:
            yield before + name
        else:
            yield from fields_of(schema, schema["$defs"][inner.rpartition("/")[2]], f"{before}{name}.")


def another(name: str) -> object:
    """A value of a field that is not the default one, and that the default recipe takes."""
    knob = MORE[name]
    if name in OTHER:
        return OTHER[name]
    if knob.choices:
        return knob.choices[-1]
    return not knob.default if isinstance(knob.default, bool) else type(knob.default)(knob.default + 1 if knob.high > 1 else 0.5)


def test_every_field_of_a_recipe_is_on_the_page(controls: Controls) -> None:
    """By the schema that other programs read: either one of the main controls shows it, or the fold does, and none is in both."""
    schema = Recipe.model_json_schema()
    wanted = list(fields_of(schema, schema))
    assert len(wanted) > 40 and list(leaves()) == wanted
    assert sorted([*MAIN, *controls.more.names]) == sorted(wanted)


@pytest.mark.parametrize("name", MORE)
def test_what_is_written_in_the_fold_is_in_the_recipe(controls: Controls, name: str) -> None:
    """One field set by hand, and that one alone is another than before; shown again, it stands where it was put."""
    before = recipe_of(controls.read(), Recipe()).model_dump()
    wanted = another(name)
    controls.more.show({name: wanted})
    choices = controls.read()
    for touched in controls.drain() or [name]:
        choices = moved(choices, touched, 3)
    recipe = recipe_of(choices, Recipe())
    after, expected = recipe.model_dump(), before
    for part in name.split(".")[:-1]:
        after, expected = after[part], expected[part]
    last = name.rpartition(".")[2]
    assert after[last] == wanted or MORE[name].choices == (wanted,)
    if last == "layers":
        assert after["shape"] == "custom"
    else:
        assert {key: value for key, value in after.items() if key != last} == {
            key: value for key, value in expected.items() if key != last
        }
    controls.show(choices_of(recipe, 3))
    assert controls.more.read()[name] == after[last]
    assert recipe_of(controls.read(), Recipe()) == recipe


def test_a_fold_that_was_never_opened_has_no_controls_and_its_values() -> None:
    """What it was shown is what it says; opened, its controls say the same, and opening it moves none of them."""
    closed = Controls(choices_of(Recipe(), 3), lambda: None)
    closed.show(choices_of(Recipe(rounds=3, ridge=0.5), 3))
    before = closed.more.read()
    assert (before["rounds"], before["ridge"]) == (3, 0.5)
    assert not any(isinstance(each, ipywidgets.Text) for each in closed.more._fields.children)
    assert unfolded(closed).more.read() == before and closed.drain() == []
    headings = [each.value for each in closed.more._fields.children if isinstance(each, ipywidgets.HTML)]
    assert len(closed.more._fields.children) == len(MORE) + len(GROUPS) and headings == [f"<h3>{each}</h3>" for each in GROUPS]


def test_a_field_says_its_reason_and_its_range(controls: Controls) -> None:
    """As a tooltip, and in the list below the fields; each compensation is explained."""
    for name, widget in controls.more._each.items():
        assert widget.description == WORDS[name] and widget.tooltip.endswith(f"In a recipe: {name}.")
        assert widget.tooltip.startswith(MORE[name].reason) and len(MORE[name].reason) > 15
    assert "From 1 to 64." in controls.more._each["rounds"].tooltip
    assert set(MEANINGS["compensation"]) == set(get_args(Compensation))
    text = controls.more.widget.children[-1].value
    assert all(words in text for words in MEANINGS["compensation"].values())


def test_every_field_has_words_of_its_own_under_a_heading() -> None:
    """None is left with its dotted name in sentence case, and no two controls of the page are called alike."""
    assert sorted(WORDS) == sorted(MORE)
    assert len({*WORDS.values(), *LABELS.values()}) == len(WORDS) + len(LABELS)


def test_a_new_field_draws_itself() -> None:
    """A model that nobody has thought of: a menu, a number with its range, a row of numbers."""

    class Novel(Tuning):
        depth: int = Field(3, ge=1, le=9, description="How deep.")

    form = Form("More", knobs_of(Novel), {}, lambda name: None)
    form.toggle.value = True
    form.hold({})
    assert form.read()["depth"] == 3 and "From 1 to 9." in form._each["depth"].tooltip
    assert isinstance(form._each["control"], ipywidgets.Dropdown) and form.read()["control"] is True


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [("rounds", "1e1", 10), ("rounds", "2.5", 2.5), ("rounds", "many", "many"), ("rounds", "", ""), ("ridge", "1e-3", 0.001),
     ("heads.layers", "0.1 0.2", (0.1, 0.2)), ("heads.layers", " ", None), ("heads.layers", "a half", "a half")],
)  # fmt: skip
def test_a_number_is_read_as_it_is_written_or_left_to_be_refused(
    controls: Controls, name: str, written: str, read: object
) -> None:
    """Never as another number."""
    controls.more._each[name].value = written
    assert controls.more.read()[name] == read


def test_a_criterion_says_what_it_costs_and_what_it_does_not_score() -> None:
    """In the list of what the controls mean."""
    assert criterion_help("taylor").startswith("Cost: pass + backward. ")
    assert "Scores heads only." in criterion_help("ablation")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("rounds", "0", "from 1 to 64"), ("rounds", "2.5", "from 1 to 64"), ("ridge", "-1", "from 0 to"),
     ("heads.layers", "a half", "must be a list of shares"),
     ("heads.layers", "0.5, 2", "holds 2.0"), ("calibration.tokens", "300", "does not fill one sequence"),
     ("tuning.batch_size", "0", "from 1 to 4,096"), ("neurons.cap", "0.2", "cannot be reached under a cap of 0.2")],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_the_recipe_under_its_field(
    controls: Controls, name: str, value: object, words: str
) -> None:
    """In the recipe's own sentence; the fold opens to show it, and the sentence goes when it is put right."""
    controls.show(choices_of(Recipe().model_copy(update={"calibration": replace_tokens()}), 3))
    controls.more._each[name].value = value
    choices = moved(controls.read(), name, 3)
    with pytest.raises(ValidationError) as refused:
        recipe_of(choices, Recipe())
    field, sentence = explain(refused.value)
    assert words in sentence
    assert controls.refuse(field, sentence)
    if field == name:
        rows = controls.more._fields.children
        assert rows[rows.index(controls.more._each[name]) + 1] is controls.more._error
        assert words in controls.more._error.value and controls.more.toggle.value
        assert f">{WORDS[name]} " in controls.more._error.value
        assert controls._error.value == ""
    controls.refuse("", "")
    assert controls.more._error not in controls.more._fields.children


def replace_tokens() -> object:
    """A calibration whose sequences are longer than the fewest tokens that are allowed."""
    return Recipe().calibration.model_copy(update={"sequence_length": 512})


def test_shares_by_layer_and_the_controls_above_give_way_to_each_other() -> None:
    """Written shares make the level; a hand on the level takes them away again."""
    start = choices_of(Recipe(heads=Schedule()), 3)
    written = moved(replace(start, more=start.more | {"heads.layers": (0.0, 0.5, 1.0)}), "heads.layers", 3)
    assert written.heads == 0.5
    assert recipe_of(written, Recipe()).heads.layers == (0.0, 0.5, 1.0)
    again = moved(replace(written, heads=0.4), "heads", 3)
    assert recipe_of(again, Recipe()).heads == Schedule(level=0.4)


def test_the_block_sliders_know_of_protected_layers_and_of_a_cap() -> None:
    """Nothing goes from a protected block, and no slider stands above the cap."""
    start = choices_of(Recipe(neurons=Schedule(level=0.4, shape="linear", steepness=4.0)), 3)
    protected = moved(replace(start, more=start.more | {"protect.first": 1}), "protect.first", 3)
    assert protected.blocks[0] == 0.0 and sum(protected.blocks) == pytest.approx(1.2, abs=1e-3)
    capped = moved(replace(start, more=start.more | {"neurons.cap": 0.45}), "neurons.cap", 3)
    assert max(capped.blocks) == 0.45
    impossible = moved(replace(start, more=start.more | {"protect.first": 3}), "protect.first", 3)
    assert impossible.blocks == start.blocks
