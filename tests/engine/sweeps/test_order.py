"""Tests of engine/sweeps/order.py: cells that begin alike follow one another, and no coarser picture waits for a finer one."""

from engine.record.sweep import Sweep
from engine.sweeps.order import side_by_side


def test_the_shares_of_the_back_change_first():
    """In each stage and for each seed, whatever the order of the axes and of the cells that are given."""
    axes = {f"neurons.blocks.{block}": [0, 0.5, 1] for block in (2, 0, 1)}
    sweep = Sweep({"model": "gpt2-tiny"}, axes, seeds=[3, 0])
    line = side_by_side(sweep.cells[::-1])
    keys = [(cell.stage, cell.seed) for cell in line]
    assert keys == sorted(keys) and {cell.number for cell in line} == {cell.number for cell in sweep.cells}
    middle = [tuple(cell.set[f"neurons.blocks.{block}"] for block in range(3)) for cell in line if cell.stage == cell.seed == 0]
    changes = [sum(one[block] != other[block] for one, other in zip(middle, middle[1:], strict=False)) for block in range(3)]
    assert changes == [1, 3, 7]


def test_values_that_are_no_numbers_stay_together():
    """Lists and names as well; nothing of nothing."""
    axes = {"criterion": ["random", "magnitude"], "neurons.blocks": [[0, 0, 0.5], [0.5, 0, 0]], "protect.first": [0, 1]}
    line = side_by_side(Sweep({"model": "gpt2-tiny", "neurons": {"shape": "custom", "blocks": [0, 0, 0]}}, axes).cells)
    criteria = [cell.set["criterion"] for cell in line]
    assert len(line) == 8 and sum(one != other for one, other in zip(criteria, criteria[1:], strict=False)) == 1
    assert side_by_side([]) == []
