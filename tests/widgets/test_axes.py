"""What was typed for a sweep, and what it comes to: a plain sweep, or a sentence beside the field that cannot be."""

from dataclasses import replace

import pytest

from engine.record.fields import leaves
from engine.record.recipe import Recipe, Schedule
from engine.record.sweep import IDLE, sweep_of
from widgets.axes import FIELDS, MODES, Asked, planned, read_values, usual
from widgets.choices import choices_of
from widgets.effects import without_effect

RECIPE = Recipe()
CUSTOM = Recipe(neurons=Schedule(shape="custom", blocks=(0.1, 0.2, 0.3)))


def plan(recipe: Recipe = RECIPE, **changes: str):
    """What the form comes to with these changes."""
    return planned(replace(Asked(), **changes), recipe)


@pytest.mark.parametrize("mode", MODES.values())
@pytest.mark.parametrize("field", [name for name, _ in FIELDS.values()])
def test_every_field_of_the_menu_makes_a_sweep_with_its_usual_values(field: str, mode: str) -> None:
    """In some mode; in others it is refused in the words of the menu."""
    idle = without_effect(choices_of(RECIPE, 4), 4).get(field)
    found = plan(first=field, first_values=usual(field), second="", mode=mode)
    trains = field.partition(".")[0] in IDLE["measure"]
    if trains and mode != "recover" or mode == "search" and not field.startswith(("heads", "neurons")):
        label = next(words for words, (name, _) in FIELDS.items() if name == field)
        assert found.plain is None and found.wrong["first_values"].startswith(label)
        return
    if idle is not None:
        assert found.plain is None and found.wrong == {"first": idle}
        return
    assert found.wrong == {} and len(sweep_of(dict(found.plain)).cells) == found.cells > 1


def test_the_menu_has_every_field_that_has_one_value_and_changes_a_number() -> None:
    """The common ones first; those that a file alone can go over are named here."""
    known = [name for name, _ in FIELDS.values()]
    assert set(leaves()) - set(known) == {
        "heads.blocks", "heads.layers", "neurons.blocks", "neurons.layers", "prompt", "cut", "device", "seed",
    }  # fmt: skip
    assert known[0] == "neurons.level" and known.index("tuning.rank") > known.index("tuning.learning_rate")


def test_a_field_has_an_effect_where_the_other_one_gives_it_one() -> None:
    """The rank is LoRA's, so it goes with a method that is, in some of the cells."""
    rank = {"first": "tuning.rank", "first_values": "4, 8", "mode": "recover"}
    assert "choose the training method lora" in plan(**rank).wrong["first"]
    assert plan(**rank, second="tuning.method", second_values="full, distil").wrong.keys() == {"first"}
    assert plan(**rank, second="tuning.method", second_values="full, lora").cells == 4


def test_values_are_a_list_or_a_range() -> None:
    """Numbers for a field of numbers, words for any other."""
    assert read_values("neurons.level", "0, 0.25 ,0.5") == [0, 0.25, 0.5]
    assert read_values("neurons.blocks.0", "0.5; .25") == [0.5, 0.25]
    assert read_values("criterion", "random, taylor") == ["random", "taylor"]
    for text in ("0 to 0.8 in 5 steps", "0–0.8–5", "0 - 0.8 - 5"):
        assert read_values("neurons.level", text) == {"from": 0.0, "to": 0.8, "steps": 5}
    assert read_values("neurons.level", "nan") == ["nan"]
    assert read_values("tuning.control", "True, false, no") == [True, False, "no"]
    assert read_values("ridge", "0.001 to 10 in 5, log") == {"from": 0.001, "to": 10.0, "steps": 5, "scale": "log"}


def test_draws_by_chance_are_asked_for_in_words() -> None:
    """Those of two fields go together, as in a file."""
    assert read_values("neurons.level", "8 draws from 0 to 0.8") == {"from": 0.0, "to": 0.8, "draws": 8}
    drawn = {"from": 1e-5, "to": 0.01, "draws": 4, "scale": "log"}
    assert read_values("tuning.learning_rate", "4 draws 1e-5 to 1e-2, log") == drawn
    both = plan(first_values="5 draws from 0 to 0.8", second="heads.level", second_values="5 draws from 0 to 0.5", seeds="0, 1")
    assert both.cells == len(sweep_of(dict(both.plain)).cells) == 10
    assert plan(first_values="5 draws from 0 to 0.8", second_values="random, taylor").cells == 10


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
        ({"seeds": "0, 0"}, "seeds", "must be whole numbers, each once"),
        ({"seeds": ""}, "seeds", "must be whole numbers"),
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
