"""What came of a sweep's cells, arranged: axes, places, means, the front, and the recipe that a cell puts into the controls."""

from engine.record.recipe import Recipe, Tuning
from engine.record.sweep import Sweep
from tests.widgets.sweeps.swept import ONE, TWO, swept
from widgets.grid import axles_of, front, recipe_of_cell, spots, told, value_of


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
    """Of those that are done."""
    found = spots(swept(ONE), axles_of(ONE))
    assert len(found) == 3 and all(len(spot.cells) == 2 for spot in found.values())
    assert found[0,].perplexity == (95.0 + 96.0) / 2
    half = spots(swept(ONE, many=1), axles_of(ONE))
    assert sum(spot.perplexity is not None for spot in half.values()) == 1


def test_a_place_of_several_recipes_has_a_mean_once_each_of_them_has_one() -> None:
    """Without the others the mean would be that of the mildest alone; a failure is why there is none."""
    sweep = Sweep({}, {"criterion": ["random", "taylor"], "compensation": ["none", "bias"], "neurons.level": [0, 0.5]})
    first = axles_of(sweep)[:2]
    assert all(spot.perplexity is not None for spot in spots(swept(sweep), first).values())
    lost = sweep.cells[-1]
    found = spots(swept(sweep, failing=lost.number), first)
    (gone,) = [spot for spot in found.values() if spot.perplexity is None]
    assert gone.number == lost.number and len(gone.done) == 1
    assert all(spot.perplexity is None for spot in spots(swept(sweep, 1), first).values())


def test_a_failed_cell_has_no_number() -> None:
    """Nor has one that waits."""
    found = spots(swept(TWO, failing=0), axles_of(TWO))
    assert sum(spot.perplexity is None for spot in found.values()) == 1


def test_the_front_has_what_no_other_beats() -> None:
    """By ascending parameters; of two alike the first, and nothing that is as good and larger."""
    points = [(3.0, 10.0), (1.0, 30.0), (2.0, 20.0), (2.0, 25.0), (3.0, 10.0), (4.0, 10.0), (2.5, 22.0)]
    assert front(points) == (1, 2, 0) and front([]) == ()


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
    """With its seed where there are several."""
    assert told(TWO.cells[0]) == f"Criterion {TWO.cells[0].set['criterion']}, Neurons removed {TWO.cells[0].set['neurons.level']}"
    assert told(ONE.cells[0], seeds=2).endswith("seed 0")
