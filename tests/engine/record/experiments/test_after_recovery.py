"""Tests of engine/record/experiments/after_recovery.py: with numbers whose truth is known."""

import math

import pytest

from engine.record.catalogue import CRITERIA
from engine.record.experiments import after_recovery
from tests.engine.record.experiments.made_up import DENSE, found_by, in_text, shaken

SWEEPS = after_recovery.sweeps("gpt2-tiny", "medium")
ORDER = {name: place for place, name in enumerate(CRITERIA.names())}


def law(left, noise):
    """Criteria cost by their place in the alphabet, schedules by what they take from the back; of that `left` is left after
    recovery, and chance beside it."""

    def costs(recipe, draw):
        back = {"uniform": 3, "custom": 0}.get(recipe.neurons.shape, 3 + 2 * math.log(recipe.neurons.steepness))
        rise = 0.1 * (ORDER[recipe.criterion] if recipe.criterion != "random" else back)
        return {"pruned": DENSE * math.exp(rise), "tuned": 0.9 * DENSE * math.exp(left * rise + draw.gauss(0, noise))}

    return shaken(costs)


@pytest.mark.parametrize(
    ("left", "noise", "verdict"),
    [
        (0.5, 0.001, "The ranking of criteria survives recovery"),
        (-0.5, 0.001, "The ranking of criteria does not survive recovery"),
        (0.0, 0.5, "Whether the ranking of criteria survives recovery cannot be told"),
    ],
)
def test_a_ranking_survives_is_turned_round_or_drowns(left, noise, verdict):
    """For criteria; a ranking that is turned round has a correlation of -1."""
    found = found_by(SWEEPS, law(left, noise))
    said = in_text(after_recovery.answer(found))
    assert said.startswith(f"{verdict}; rank correlation ") and "the training itself ma" in said.lower()
    if noise < 0.01:
        assert abs(after_recovery.survival(found, "criteria").mean) > 0.9
        assert after_recovery.survival(found, "criteria").count == 3


def test_the_distance_shrinks_as_much_as_recovery_leaves():
    """From worst to best, as a ratio of perplexities."""
    found = found_by(SWEEPS, law(0.25, 0.0001))
    before, after = (after_recovery.distance(found, "schedules", stage).mean for stage in ("pruned", "tuned"))
    assert after == pytest.approx(before / 4, rel=0.02)
