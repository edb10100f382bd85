"""Tests of engine/record/experiments/criteria.py: with numbers whose truth is known."""

import math

from engine.record.catalogue import CRITERIA
from engine.record.experiments import criteria
from tests.engine.record.experiments.made_up import DENSE, found_by, shaken

SWEEPS = criteria.sweeps("gpt2-tiny", "short")


def law(weights, noise):
    """What goes costs its level, times the weight of its criterion; only random's numbers have chance in them."""

    def pruned(recipe, draw):
        rise = (recipe.heads.level + recipe.neurons.level) * weights.get(recipe.criterion, 1.0)
        return {"pruned": DENSE * math.exp(rise + (draw.gauss(0, noise) if recipe.criterion == "random" else 0))}

    return shaken(pruned)


def test_every_criterion_has_its_turn_at_all_that_it_scores():
    """Ablation at heads alone, and nowhere where it cannot be afforded."""
    asked = {name: {cell.recipe.criterion for cell in sweep.cells} for name, sweep in SWEEPS.items()}
    assert asked["heads"] | asked["heads, random"] == set(CRITERIA.names())
    assert asked["neurons"] == asked["heads"] - {"ablation"} == asked["heads and neurons, 40 percent"]
    larger = [cell.recipe.criterion for sweep in criteria.sweeps("smollm2-135m", "short").values() for cell in sweep.cells]
    assert "taylor" in larger and "ablation" not in larger


def test_criteria_beat_chance_are_beaten_or_cannot_be_told():
    """One of each, by the ratio at the mean level; the lowest is named."""
    told = criteria.against_chance(found_by(SWEEPS, law({"taylor": 0.5, "magnitude": 2.0}, 0.01)), "neurons")
    assert {name: found.sign for name, found in told.items() if found.sign} == {"taylor": -1, "magnitude": 1}
    assert told["taylor"].count == 3 and abs(told["taylor"].mean + 0.5 * 0.35) < 0.01
    said = criteria.answer(found_by(SWEEPS, law({"taylor": 0.5, "magnitude": 2.0}, 0.01)))
    assert "Of neurons 1 of 8 criteria beat chance and 1 are beaten by it, of 6 it cannot be told;" in said
    assert "the lowest, taylor, has 0.84 times" in said and "Of heads and neurons 1 of 8 criteria beat chance" in said


def test_where_chance_is_wild_nothing_is_told():
    """A weight that is clear beside little noise is not beside much."""
    said = criteria.answer(found_by(SWEEPS, law({"taylor": 0.9}, 1.0)))
    assert (
        "beat chance" in said and "Of neurons 0 of 8 criteria beat chance and 0 are beaten by it, of 8 it cannot be told" in said
    )
