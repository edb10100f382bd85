"""What came of a sweep's cells, arranged: axes, places, means, the front, and the recipe that a cell puts into the controls."""

import math
from dataclasses import replace

import pytest

from engine.record.recipe import Recipe, Tuning
from engine.record.sweep import Sweep
from engine.record.sweep_folder import SweepState
from tests.widgets.sweeps.swept import CUBE, ONE, TWO, came_of, swept
from widgets.grid import axles_of, recipe_of_cell, spots, told, value_of


def test_the_axes_are_the_fields_that_vary() -> None:
    """Numbers ascend, words stay in their order; the seeds are an axis where nothing else is; a value may be a list."""
    sweep = Sweep({}, {"neurons.level": [0.5, 0, 0.25], "criterion": ["taylor", "random"], "rounds": [2]})
    assert [(axle.field, axle.values) for axle in axles_of(sweep)] == [
        ("neurons.level", (0, 0.25, 0.5)), ("criterion", ("taylor", "random"))
    ]  # fmt: skip
    assert [(axle.field, axle.values) for axle in axles_of(Sweep(seeds=[3, 1]))] == [("seed", (1, 3))]
    lists = Sweep({"neurons": {"shape": "custom"}}, {"neurons.blocks": [[0, 0, 0.5], [0.5, 0, 0]]})
    assert [axle.place(cell) for axle in axles_of(lists) for cell in lists.cells] == [0, 1]


def test_seeds_stand_at_one_place_with_their_mean() -> None:
    """Of those that are done, by their logarithms, as everything else is averaged."""
    found = spots(swept(ONE), axles_of(ONE))
    assert len(found) == 3 and all(len(spot.cells) == 2 for spot in found.values())
    assert found[0,].perplexity == pytest.approx(math.sqrt(95.0 * 96.0)) and found[0,].recipes == found[0,].measured == 1
    half = spots(swept(ONE, many=1), axles_of(ONE))
    assert sum(spot.perplexity is not None for spot in half.values()) == 1


def test_a_place_of_several_recipes_shows_the_best_of_them_from_the_first_one_on() -> None:
    """With how many are measured; its cell is the one with that recipe, so that a click loads what is shown."""
    first = axles_of(CUBE)[:2]
    for many in range(1, len(CUBE.cells) + 1):
        state = swept(CUBE, many)
        for place, spot in spots(state, first).items():
            inside = [cell for cell in CUBE.cells if tuple(axle.place(cell) for axle in first) == place]
            done = {cell.number: state.done[cell.number].perplexity for cell in inside if cell.number in state.done}
            assert (spot.measured, spot.recipes) == (len(done), 2) and spot.perplexity == min(done.values(), default=None)
            assert spot.number == min(done, key=done.get, default=inside[0].number)


def test_a_place_has_failed_only_where_all_of_it_has() -> None:
    """One failure leaves what else was measured there, and is not taken for what still waits."""
    first, (one, other) = axles_of(CUBE)[:2], [cell.number for cell in CUBE.cells if cell.set["criterion"] == "taylor"][:2]
    measured = {spot.number: spot for spot in spots(swept(CUBE, failing=one), first).values()}[other]
    assert measured.measured == 1 and measured.perplexity == came_of(CUBE.cells[other]).perplexity
    lost = {number: replace(came_of(CUBE.cells[number]), status="failed", perplexity=None) for number in (one, other)}
    for some, number in (({one: lost[one]}, other), (lost, one)):
        (spot,) = [spot for spot in spots(SweepState(CUBE, done=some), first).values() if spot.cells[0].number == one]
        assert (spot.perplexity, spot.measured, spot.number) == (None, 0, number)


def test_a_failed_cell_has_no_number() -> None:
    """Nor has one that waits."""
    found = spots(swept(TWO, failing=0), axles_of(TWO))
    assert sum(spot.perplexity is None for spot in found.values()) == 1


def test_the_recipe_of_a_measured_cell_keeps_the_training_of_the_controls() -> None:
    """A sweep that measures trains nothing, which is no wish of whoever loads the cell."""
    base = Recipe(tuning=Tuning(steps=33), cut=False)
    sweep = Sweep(base, {"neurons.level": [0, 0.5]})
    assert {cell.recipe.tuning.steps for cell in sweep.cells} == {0}
    recipe = recipe_of_cell(sweep, sweep.cells[1])
    assert recipe.neurons.level == value_of(sweep.cells[1], "neurons.level") == 0.5
    assert recipe.tuning == base.tuning and recipe.cut is False
    assert recipe_of_cell(ONE, ONE.cells[0]).cut is True


def test_a_cell_is_told_in_the_words_of_the_menu() -> None:
    """With its seed where there are several; a share in hundredths."""
    cell = next(cell for cell in TWO.cells if cell.set == {"criterion": "taylor", "neurons.level": 0.25})
    assert told(cell) == "Criterion taylor, Neurons removed 25\u00a0%"
    assert told(ONE.cells[0], seeds=2).endswith("seed 0")
