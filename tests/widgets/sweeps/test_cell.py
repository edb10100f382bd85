"""The keyboard's way to a cell: a menu for each field, what came of it in words, and its recipe for the controls."""

from dataclasses import replace

import ipywidgets

from engine.record.lifecycle import Degraded
from engine.record.sweep import Sweep
from tests.widgets.sweeps.swept import ONE, TWO, button, inside, swept, view_of, words
from widgets.requests import LoadCell
from widgets.sweeps.cell import build, came_of
from widgets.theme import LIGHT


def menus(drawn) -> dict[str, ipywidgets.Dropdown]:
    """The menus by their labels."""
    return {each.description: each for each in inside(drawn.widget) if isinstance(each, ipywidgets.Dropdown)}


def test_a_cell_is_named_by_its_values_and_loaded() -> None:
    """The seed is one of them where there are several."""
    asked = []
    drawn = build(LIGHT, asked.append)
    drawn.draw(view_of(swept(ONE)))
    assert list(menus(drawn)) == ["Neurons removed", "Seed"]
    menus(drawn)["Neurons removed"].value, menus(drawn)["Seed"].value = 2, 1
    button(drawn, "Load this recipe").click()
    (cell,) = [cell for cell in ONE.cells if (cell.set["neurons.level"], cell.seed) == (0.5, 1)]
    assert asked == [LoadCell(cell.number)]
    assert "Neurons removed 50\u00a0%, seed 1</b>: perplexity 124" in words(drawn) and "before training 129" in words(drawn)
    assert "the control 90" in words(drawn) and "800,000 parameters" in words(drawn)


def test_the_menus_follow_a_click_on_a_chart_and_what_comes() -> None:
    """And stay where a hand has put them while cells come."""
    drawn = build(LIGHT, lambda request: None)
    drawn.draw(view_of(swept(TWO, 0)))
    number = next(cell.number for cell in TWO.cells if cell.set == {"criterion": "taylor", "neurons.level": 0.5})
    drawn.draw(view_of(swept(TWO, 0), loaded=number))
    assert (menus(drawn)["Criterion"].value, menus(drawn)["Neurons removed"].value) == (1, 2)
    assert "not measured yet" in words(drawn)
    menus(drawn)["Criterion"].value = 0
    drawn.draw(view_of(swept(TWO), loaded=number))
    assert menus(drawn)["Criterion"].value == 0 and "perplexity 165" in words(drawn)


def test_of_draws_of_two_fields_one_that_is_there_is_named_first() -> None:
    """The least values of both meet in none of the cells."""
    drawn = build(LIGHT, lambda request: None)
    draws = {"from": 0, "to": 0.8, "draws": 5}
    sweep = Sweep({}, {"neurons.level": draws, "heads.level": draws})
    drawn.draw(view_of(swept(sweep)))
    assert "no such cell" not in words(drawn) and menus(drawn)["Neurons removed"].value != menus(drawn)["Heads removed"].value


def test_a_cell_without_a_recipe_cannot_be_loaded_and_says_why() -> None:
    """A combination that makes none."""
    sweep = Sweep({"neurons": {"level": 0.3, "shape": "uniform"}, "heads": {"level": 0}},
                  {"neurons.cap": [0.2, 1], "neurons.level": [0.1, 0.5]})  # fmt: skip
    drawn = build(LIGHT, lambda request: None)
    (bad,) = [cell for cell in sweep.cells if cell.recipe is None]
    drawn.draw(view_of(swept(sweep, 0), loaded=bad.number))
    assert button(drawn, "Load this recipe").disabled and "cap" in button(drawn, "Load this recipe").tooltip


def test_a_failure_is_said_with_its_reason() -> None:
    """With whatever it was, and with what was done otherwise than asked before."""
    failed = swept(TWO, failing=0).done[0]
    assert came_of(failed) == "failed: It is <b>too</b> much."
    moved = replace(failed, degraded=(Degraded("cuda", "the CPU", "it was full"),))
    assert came_of(moved) == "failed: It is <b>too</b> much. The CPU instead of cuda: it was full."
