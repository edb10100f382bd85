"""Tests of engine/record/sweep.py: which cells a sweep has, in which order, and what is refused with which sentence."""

import itertools
import json

import pytest

from engine.record.errors import BadInput
from engine.record.recipe import Recipe, Tuning
from engine.record.sweep import Sweep, parse_sweep

SPELLED = {
    "recipe": {"neurons": {"shape": "custom", "blocks": [0, 0.1, 0.2]}, "tuning": {"steps": 5}},
    "axes": {"neurons.blocks.0": [0, 0.25, 0.5], "criterion": ["random", "activation"]},
    "mode": "measure",
    "seeds": [0, 7],
}


def test_every_value_meets_every_value_once_for_every_seed():
    """Each cell's recipe is the sweep's with those fields changed; nothing is trained, and nothing is cut."""
    sweep = parse_sweep(json.dumps(SPELLED))
    found = {(*cell.set.values(), cell.seed) for cell in sweep.cells}
    assert found == set(itertools.product([0, 0.25, 0.5], ["random", "activation"], [0, 7])) and len(sweep.cells) == 12
    assert [cell.number for cell in sweep.cells] == list(range(12))
    for cell in sweep.cells:
        changes = {"shape": "custom", "blocks": [cell.set["neurons.blocks.0"], 0.1, 0.2]}
        plain = {"neurons": changes, "criterion": cell.set["criterion"], "seed": cell.seed, "cut": False, "tuning": {"steps": 0}}
        assert cell.recipe == Recipe.model_validate(plain)
    assert parse_sweep(json.dumps(sweep.plain())) == sweep
    timed = parse_sweep(json.dumps(SPELLED | {"mode": "recover", "latency": True}))
    assert all(cell.recipe.cut for cell in timed.cells) and parse_sweep(json.dumps(timed.plain())) == timed
    recovering = parse_sweep(json.dumps(SPELLED | {"mode": "recover"}))
    assert all(cell.recipe.tuning.steps == 5 for cell in recovering.cells)


def test_the_corners_come_first_then_the_middle_then_the_rest():
    """Of a grid of five by five: four corners, the centre, the middles of the edges, and then what is between; seed by seed."""
    values = [0.0, 0.1, 0.2, 0.3, 0.4]
    sweep = Sweep({}, {"heads.level": values, "neurons.level": values}, seeds=[3, 4])
    line = [(*cell.set.values(), cell.seed) for cell in sweep.cells]
    corners = {(one, other) for one in (0.0, 0.4) for other in (0.0, 0.4)}
    assert {one[:2] for one in line[:4]} == {one[:2] for one in line[4:8]} == corners
    assert [one[2] for one in line[:8]] == [3] * 4 + [4] * 4
    assert line[8][:2] == line[13][:2] == (0.2, 0.2)
    assert [cell.stage for cell in sweep.cells] == [0] * 8 + [1] * 10 + [2] * 32
    assert len(set(line)) == 50


def test_draws_of_several_fields_go_together():
    """As many cells as draws, and each of them with every value of a list."""
    draws = {"from": 0, "to": 0.5, "draws": 6}
    sweep = Sweep({}, {"heads.level": draws, "neurons.level": draws, "criterion": ["random", "magnitude"]})
    assert len(sweep.cells) == 12
    assert len({(cell.set["heads.level"], cell.set["neurons.level"]) for cell in sweep.cells}) == 6
    with pytest.raises(BadInput, match="draws go together"):
        Sweep({}, {"heads.level": draws, "neurons.level": draws | {"draws": 5}})


def test_the_share_of_one_block_leaves_the_others_whole():
    """Where the recipe says nothing of blocks; a recipe in Python counts as all that it says."""
    (cell,) = Sweep({}, {"heads.blocks.2": [0.5]}).cells
    assert cell.recipe.heads.blocks == (0, 0, 0.5) and cell.recipe.heads.shape == "custom"
    (cell,) = Sweep(Recipe(tuning=Tuning(steps=9)), {"neurons.level": [0.5]}, "recover").cells
    assert cell.recipe.neurons.shape == "linear" and cell.recipe.tuning.steps == 9


def test_the_share_of_one_layer_leaves_the_others_what_the_schedule_takes_of_them():
    """As many shares as the model has layers, whichever model and level the cell has; a recipe's own list stays as it is."""
    linear = {"heads": {"level": 0.3, "shape": "linear", "steepness": 2}}
    (cell,) = Sweep(linear, {"heads.layers.3": [0.9]}).cells
    assert cell.recipe.heads.layers == pytest.approx((0.2, 0.2, 0.3, 0.9, 0.4, 0.4)) and cell.recipe.heads.shape == "custom"
    blocks = {"neurons": {"shape": "custom", "blocks": [0.1, 0.2, 0.3]}}
    (cell,) = Sweep(blocks, {"neurons.layers.0": [0], "neurons.layers.5": [1]}).cells
    assert cell.recipe.neurons.layers == (0, 0.1, 0.2, 0.2, 0.3, 1) and cell.recipe.neurons.blocks is None
    axes = {"heads.layers.1": [0.5], "heads.level": [0, 0.25], "model": ["gpt2-tiny", "smollm2-135m"], "heads.shape": ["uniform"]}
    for cell in Sweep({}, axes).cells:
        first, second, *others = cell.recipe.heads.layers
        assert second == 0.5 and {first, *others} == {cell.set["heads.level"]} and len(others) in (4, 28)
    (cell,) = Sweep({"heads": {"shape": "custom", "layers": [0, 0.5]}}, {"heads.layers.0": [1]}).cells
    assert cell.recipe.heads.layers == (1, 0.5)


def test_a_combination_that_makes_no_recipe_is_a_cell_with_a_reason():
    """Both values are fine by themselves."""
    sweep = Sweep({}, {"neurons.level": [0.2, 0.6], "neurons.cap": [0.4, 0.9]})
    bad = [cell for cell in sweep.cells if cell.recipe is None]
    assert [dict(cell.set) for cell in bad] == [{"neurons.level": 0.6, "neurons.cap": 0.4}]
    assert bad[0].error == "neurons.level 0.6 cannot be reached under a cap of 0.4."


@pytest.mark.parametrize(
    ("axes", "seeds", "said"),
    [
        ({"neurons.level": [0.1, 1.5]}, [0], "neurons.level 1.5 is not allowed; it takes a number from 0 to 1."),
        ({"criterion": ["activaton", "random"]}, [0], "criterion 'activaton' is not known (did you mean 'activation'?)"),
        ({"neurons": [{"level": 0.1}, 5]}, [0], "neurons 5 is not allowed"),
        ({"neurons.level": [0.1]}, [0, -1], "seed -1 is not allowed"),
    ],
)
def test_a_value_that_does_not_fit_costs_its_own_cells(axes, seeds, said):
    """By itself, whatever stands beside it; the others are done."""
    sweep = Sweep({}, axes, seeds=seeds)
    bad = [cell for cell in sweep.cells if cell.recipe is None]
    assert len(bad) == 1 and len(sweep.cells) == 2 and said in bad[0].error


BAD = {
    '{"axes": {"neurons.levl": [0.1]}}': "field 'neurons.levl' is not known (did you mean 'neurons.level'?)",
    '{"axes": {"neurons.level": [1.5, 3]}}': "neurons.level 1.5 is not allowed; it takes a number from 0 to 1.",
    '{"axes": {"neurons.level": []}}': "axis neurons.level [] is empty",
    '{"axes": {"criterion": ["activaton"]}}': "criterion 'activaton' is not known (did you mean 'activation'?)",
    '{"axes": {"neurons.blocks.3": [0.1]}}': "the recipe has no place for a field 'neurons.blocks.3'",
    '{"axes": {"neurons.layers.6": [0.1]}}': "the recipe has no place for a field 'neurons.layers.6'",
    '{"recipe": {"model": "some/body"}, "axes": {"heads.layers.1": [0.1]}}': "how many 'some/body' has is not known "
    "here until it was loaded; give the recipe heads.layers, one share for each layer.",
    '{"axes": {"tuning.steps": [1, 2]}}': "axis tuning.steps changes nothing in the mode 'measure'",
    '{"axes": {"seed": [1, 2]}}': "axis 'seed' is named by the sweep's own field seeds",
    '{"axes": {"neurons": [{"level": 0.1}], "neurons.level": [0.5]}}': "axes neurons and neurons.level set the same place",
    '{"axes": {"ridge": {"from": 0, "to": 1, "steps": 9000}, "rounds": [1, 2]}}': "18,000 cells",
    '{"axes": [1]}': "axes [1] are none",
    '{"axis": {}}': "field 'axis' is not known (did you mean 'axes'?)",
    '{"mode": "recove"}': "mode 'recove' is not known (did you mean 'recover'?)",
    '{"latency": true}': "latency True does not go with the mode 'measure'",
    '{"mode": "recover", "latency": 1}': "latency 1 does not go with",
    '{"seeds": []}': "seeds [] are none",
    '{"seeds": [1, 1]}': "must be whole numbers, each named once",
    '{"seeds": [-1, -2]}': "seed -1 is not allowed; it takes a whole number from 0 to 2,147,483,647.",
    '{"recipe": {"modle": 1}}': "field 'modle' is not known (did you mean 'model'?)",
    '{"recipe": 3}': "recipe 3 is no recipe",
    "[]": "The sweep [] is not allowed",
    "{": "The sweep is not JSON",
}


@pytest.mark.parametrize(("text", "said"), BAD.items())
def test_what_can_be_no_sweep_is_refused_in_one_sentence(text, said):
    """As a recipe is, naming field and value."""
    with pytest.raises(BadInput) as raised:
        parse_sweep(text)
    assert said in str(raised.value) and "\n" not in str(raised.value)
