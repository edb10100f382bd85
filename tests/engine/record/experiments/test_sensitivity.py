"""Tests of engine/record/experiments/sensitivity.py: with numbers whose truth is known."""

import math
from dataclasses import replace

import pytest

from engine.record.experiments import sensitivity
from tests.engine.record.experiments.made_up import DENSE, found_by, in_text, shaken

SWEEPS = sensitivity.sweeps("gpt2-tiny", "medium")


def law(weights, noise):
    """Each block's share costs its weight in nats, and chance as much as the noise says."""

    def pruned(recipe, draw):
        shares = next((kind.blocks for kind in (recipe.neurons, recipe.heads) if kind.blocks), (0, 0, 0))
        rise = sum(weight * share for weight, share in zip(weights, shares, strict=True))
        return {"pruned": DENSE * math.exp(rise + draw.gauss(0, noise))}

    return shaken(pruned)


@pytest.mark.parametrize(("weights", "block", "than"), [((3, 1, 0), "front", "middle"), ((0, 1, 4), "back", "middle")])
def test_the_block_that_costs_most_is_named(weights, block, than):
    """For both kinds of unit, with the ratio to the next."""
    said = in_text(sensitivity.answer(found_by(SWEEPS, law(weights, 0.01))))
    ratio = math.exp(0.5 * (max(weights) - 1))  # at the mean share of a half
    assert said.startswith(f"Removing neurons: the {block} block is the most sensitive")
    assert f"Removing heads: the {block} block is the most sensitive" in said and f"gone from the {than}" in said
    assert float(said.split(" times")[0].split()[-1]) == pytest.approx(ratio, rel=0.05)


def test_where_chance_is_larger_than_the_difference_it_cannot_be_told():
    """Equal blocks; and one measurement alone has no spread to be larger than."""
    assert in_text(sensitivity.answer(found_by(SWEEPS, law((1, 1, 1), 0.2)))).count("cannot be told") == 2
    one = {name: sweep for name, sweep in SWEEPS.items() if name.endswith("by layer")}
    assert in_text(sensitivity.answer(found_by(one, lambda recipe: {"pruned": 110.0}))).count("cannot be told") == 2


def test_a_model_without_a_middle_block_is_told_as_that():
    """Once a share was measured there that takes of any units, and of nothing happened; till then it is only not measured."""
    none = sensitivity.sweeps("gpt2-tiny", "full")
    found = found_by(none, law((3, 1, 0), 0.01))
    for name in (name for name in found if "by block" in name):
        for cell in list(found[name].values()):
            share = next(iter(cell.set.values()))[1]
            if share:
                same = replace(cell, parameters=10**6, perplexities={"baseline": DENSE, "pruned": DENSE})
                found[name][cell.number] = same
    untold = "which block is the most sensitive cannot be told"
    why = "the model has fewer than three layers, and none in its middle block"
    said = [f"Removing {kind}: {untold}; {why}." for kind in sensitivity.KINDS]
    assert in_text(sensitivity.answer(found)) == " ".join(said)
    few = {
        name: {at: cell for at, cell in cells.items() if max(next(iter(cell.set.values()))) < 0.5}
        for name, cells in found.items()
    }
    assert in_text(sensitivity.answer(few)).count("cannot be told yet; not every block was measured") == 2


def test_a_row_of_the_map_is_a_layer():
    """Its columns are the shares, its colours the rise of the loss there."""

    def layers(recipe):
        shares = next((kind.layers for kind in (recipe.neurons, recipe.heads) if kind.layers), ())
        return {"pruned": DENSE * math.exp(sum((place + 1) * share for place, share in enumerate(shares)))}

    _, heat, _, _ = sensitivity.figures(found_by(SWEEPS, layers))
    assert heat.kind == "heat" and [row.name for row in heat.series] == [f"layer {place}" for place in range(6)]
    for place, row in enumerate(heat.series):
        assert row.y == pytest.approx([(place + 1) * share for share in row.x])
        shares = [SWEEPS[cell.sweep].cells[cell.number].recipe.neurons.layers[place] for cell in row.cells]
        assert list(row.x) == shares == [0.1, 0.3, 0.5, 0.7, 0.9]
