"""Tests of engine/record/experiments/criteria.py: with numbers whose truth is known."""

import math
from dataclasses import replace

import pytest

from engine.record.catalogue import CRITERIA
from engine.record.experiments import criteria
from engine.record.scale import scale_of
from engine.record.schedules import count
from tests.engine.record.experiments.made_up import DENSE, found_by, in_text

SWEEPS = criteria.sweeps("gpt2-tiny", "medium")


def law(weights, noise):
    """What goes costs its level, times the weight of its criterion; only random's numbers have chance in them, half of its seeds
    as much above as the others below."""

    def pruned(recipe):
        rise = (recipe.heads.level + recipe.neurons.level) * weights.get(recipe.criterion, 1.0)
        return {"pruned": DENSE * math.exp(rise + (noise * (-1) ** recipe.seed if recipe.criterion == "random" else 0))}

    return pruned


def test_every_criterion_has_its_turn_at_all_that_it_scores():
    """Ablation at heads alone, and nowhere where it cannot be afforded."""
    asked = {name: {cell.recipe.criterion for cell in sweep.cells} for name, sweep in SWEEPS.items()}
    assert asked["heads"] | asked["heads, random"] == set(CRITERIA.names())
    assert asked["neurons"] == asked["heads"] - {"ablation"} == asked["heads and neurons, 40 percent"]
    larger = [cell.recipe.criterion for sweep in criteria.sweeps("smollm2-135m", "medium").values() for cell in sweep.cells]
    assert "taylor" in larger and "ablation" not in larger


def test_criteria_beat_chance_are_beaten_or_cannot_be_told():
    """One of each, by the ratio at the mean level; the lowest is named."""
    told = criteria.against_chance(found_by(SWEEPS, law({"taylor": 0.5, "magnitude": 2.0}, 0.01)), "neurons")
    assert {name: found.sign for name, found in told.items() if found.sign} == {"taylor": -1, "magnitude": 1}
    assert (
        told["taylor"].count == len(scale_of("gpt2-tiny", "medium").draws) == 8 and abs(told["taylor"].mean + 0.5 * 0.35) < 0.01
    )
    said = in_text(criteria.answer(found_by(SWEEPS, law({"taylor": 0.5, "magnitude": 2.0}, 0.01))))
    assert "Removing neurons: 1 of 8 criteria beats chance, 1 does worse, 6 cannot be told from it;" in said
    assert "the lowest, taylor, has 0.84 times" in said and "Removing heads and neurons: 1 of 8 criteria beats chance" in said


def test_levels_that_come_to_the_same_heads_count_once():
    """10 and 20 % of six heads are one head, and one measurement."""
    found = found_by(SWEEPS, law({"taylor": 0.5}, 0.01))
    whole = {
        name: {number: replace(cell, parameters=_left(cell)) for number, cell in cells.items()} for name, cells in found.items()
    }
    told = criteria.against_chance(whole, "heads")["taylor"]
    assert told.mean == pytest.approx(-0.5 * (0.1 + 0.3 + 0.5 + 0.6) / 4, abs=0.01)


def _left(cell):
    return 1000 - 100 * count(cell.set.get("heads.level", 0), 6)


def test_where_chance_is_wild_nothing_is_told():
    """A weight that is clear beside little noise is not beside much."""
    said = in_text(criteria.answer(found_by(SWEEPS, law({"taylor": 0.9}, 1.0))))
    assert "Removing neurons: none of 8 criteria can be told from chance" in said
