"""Tests of engine/record/experiments/how_much.py: with numbers whose truth is known."""

import math

import pytest

from engine.record.experiments import how_much
from tests.engine.record.experiments.made_up import DENSE, found_by, shaken

SWEEPS = how_much.sweeps("gpt2-tiny", "short")


def law(rise, noise=0.001):
    """A level costs the rise in nats; recovery leaves half of it and lowers everything by a tenth."""

    def costs(recipe, draw):
        of_both = rise(recipe.neurons.level) + rise(recipe.heads.level) + draw.gauss(0, noise)
        return {"pruned": DENSE * math.exp(of_both), "tuned": 0.9 * DENSE * math.exp(of_both / 2), "cut": 1.0}

    return shaken(costs)


def test_a_recovery_is_held_against_the_control_and_not_against_the_untrained_model():
    """A tenth comes from the training alone."""
    found = found_by(SWEEPS, law(lambda level: level))
    assert how_much.cost(found, "neurons", 0.3, "pruned").mean == pytest.approx(0.3, abs=0.01)
    assert how_much.cost(found, "neurons", 0.3, "tuned").mean == pytest.approx(0.15, abs=0.01)
    assert how_much.over_untrained(found, "neurons", 0.3).mean == pytest.approx(0.15 + math.log(0.9), abs=0.01)
    assert how_much.cost(found, "neurons", 0.3, "tuned").count == 4
    assert how_much.cost({}, "neurons", 0.3, "tuned") is None


@pytest.mark.parametrize(
    ("rise", "noise", "special"),
    [
        (lambda level: max(0.0, level - 0.3), 0.001, True),
        (lambda level: max(0.0, level - 0.45), 0.001, False),
        (lambda level: level, 0.2, None),
    ],
    ids=["a knee at 30 %", "a knee elsewhere", "noise"],
)
def test_a_level_is_special_where_the_loss_bends_most(rise, noise, special):
    """And where the noise is larger than the bend that cannot be told; nor where not every level was measured."""
    found = found_by(SWEEPS, law(rise, noise))
    assert how_much.is_special(found, "neurons", "pruned") is special
    said = {True: "30% is special", False: "30% is not special", None: "cannot be told to be special"}
    assert said[special] in how_much.answer(found)
    some = {
        name: {number: cell for number, cell in cells.items() if 0.15 not in cell.set.values()} for name, cells in found.items()
    }
    assert how_much.is_special(some, "neurons", "pruned") is None


def test_a_front_is_what_no_other_beats():
    """Against every point by a plain loop."""
    points = [(1, 9.0), (0.5, 9.5), (0.7, 8.0), (0.9, 8.5), (0.7, 8.2), (0.2, 20.0), (0.3, 21.0)]
    best = [one for one in points if not any(o[0] <= one[0] and o[1] <= one[1] and o != one for o in points)]
    assert how_much.front(points) == sorted(best)


def test_time_and_parameters_are_over_those_of_the_whole_model():
    """Every cell of the grid is a point in both charts, and the fronts are among them."""
    *_, parameters, latency = how_much.figures(found_by(SWEEPS, law(lambda level: level)))
    for figure in (parameters, latency):
        by_name = {series.name: series for series in figure.series}
        assert len(by_name["pruned"].x) == 12 and max(by_name["pruned"].x) == 1
        for name in ("pruned", "recovered"):
            points = set(zip(by_name[name].x, by_name[name].y, strict=True))
            assert set(zip(by_name[f"front, {name}"].x, by_name[f"front, {name}"].y, strict=True)) <= points
    assert figure.fronts == ("front, pruned", "front, recovered")
