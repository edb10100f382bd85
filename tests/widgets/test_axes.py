"""What was typed for a sweep, and what it comes to: a plain sweep, or a sentence beside the field that cannot be."""

from dataclasses import replace

import pytest

from engine.record.recipe import Recipe, Schedule
from engine.record.sweep import sweep_of
from widgets.axes import FIELDS, MODES, Asked, planned, read_values, usual

RECIPE = Recipe()
CUSTOM = Recipe(neurons=Schedule(shape="custom", blocks=(0.1, 0.2, 0.3)))


def plan(recipe: Recipe = RECIPE, **changes: str):
    """What the form comes to with these changes."""
    return planned(replace(Asked(), **changes), recipe)


@pytest.mark.parametrize("mode", MODES.values())
@pytest.mark.parametrize("field", [name for name, _ in FIELDS.values()])
def test_every_field_of_the_menu_makes_a_sweep_with_its_usual_values(field: str, mode: str) -> None:
    """In some mode; in others it is refused in the words of the menu."""
    found = plan(first=field, first_values=usual(field), second="", mode=mode)
    allowed = mode == "recover" if field.startswith("tuning.") else mode != "search" or field.startswith(("heads", "neurons"))
    if not allowed:
        label = next(words for words, (name, _) in FIELDS.items() if name == field)
        assert found.plain is None and found.wrong["first_values"].startswith(label)
        return
    assert found.wrong == {} and len(sweep_of(dict(found.plain)).cells) == found.cells > 1


def test_values_are_a_list_or_a_range() -> None:
    """Numbers for a field of numbers, words for any other."""
    assert read_values("neurons.level", "0, 0.25 ,0.5") == [0, 0.25, 0.5]
    assert read_values("neurons.blocks.0", "0.5; .25") == [0.5, 0.25]
    assert read_values("criterion", "random, taylor") == ["random", "taylor"]
    for text in ("0 to 0.8 in 5 steps", "0–0.8–5", "0 - 0.8 - 5"):
        assert read_values("neurons.level", text) == {"from": 0.0, "to": 0.8, "steps": 5}
    assert read_values("neurons.level", "nan") == ["nan"]


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"first_values": " , "}, "first_values", "No value is given"),
        ({"first_values": "0, 2"}, "first_values", "Neurons removed 2 is not allowed"),
        ({"first_values": "0, 0"}, "first_values", "Neurons removed names 0 twice"),
        ({"first_values": "0.5 to 0.1 in 3"}, "first_values", "Neurons removed goes from 0.5 to 0.1"),
        ({"second_values": "randm"}, "second_values", "did you mean 'random'"),
        ({"second": "neurons.level"}, "second", "Choose another field"),
        ({"second": "neurons.blocks.0", "second_values": "0, 0.5"}, "second", "take the place of a level"),
        ({"seeds": "0, 0"}, "seeds", "write whole numbers, each once"),
        ({"seeds": ""}, "seeds", "write whole numbers"),
        ({"mode": "search", "second": "", "budget": "1.5"}, "budget", "the share of the parameters to leave"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(changes: dict, field: str, sentence: str) -> None:
    """In words, and there is no sweep then."""
    found = plan(**changes)
    assert found.plain is None and found.cells == 0
    assert list(found.wrong) == [field] and sentence in found.wrong[field]


def test_a_shape_of_what_does_not_go_is_refused() -> None:
    """It would be the same number in every cell."""
    none = Recipe(neurons=Schedule(level=0.0))
    assert "changes nothing" in plan(none, first="neurons.shape", first_values="uniform, linear").wrong["second"]


def test_the_rest_is_as_the_controls_say() -> None:
    """With one block as an axis the others keep their shares; with a level as one custom shares are left out."""
    assert plan(CUSTOM, first="neurons.blocks.0", first_values="0, 0.5").plain["recipe"]["neurons"]["blocks"] == [0.1, 0.2, 0.3]
    linear = plan(first="neurons.blocks.0", first_values="0, 0.5").plain["recipe"]["neurons"]
    assert linear["shape"] == "custom" and linear["blocks"] == [0.2, 0.3, 0.4]
    level = plan(CUSTOM).plain["recipe"]["neurons"]
    assert level["shape"] == "uniform" and level["blocks"] is None
    steep = plan(CUSTOM, first="neurons.steepness", first_values="1, 2").plain["recipe"]["neurons"]
    assert steep["shape"] == "linear"


def test_cells_are_counted_with_their_seeds() -> None:
    """Without making them; whole numbers that a range rounds to the same are refused when it is begun."""
    assert plan(first_values="0 to 0.8 in 5", second_values="random, taylor", seeds="0 1 2").cells == 30
