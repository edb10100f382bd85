"""Tests of engine/record/experiments/schedules.py: with numbers whose truth is known."""

import math

import pytest

from engine.record.experiments import schedules
from engine.record.schedules import shares
from tests.engine.record.experiments.made_up import DENSE, found_by, in_text, shaken

SWEEPS = schedules.sweeps("gpt2-tiny", "medium")


def taken(recipe):
    """The front, the middle and the back block's share of a cell's neurons."""
    asked = recipe.neurons
    return asked.blocks or shares(3, asked.level, asked.shape, asked.steepness)


def law(weights, noise=0.002, suggested=1.0):
    """Each block's share costs its weight in nats; what is suggested costs so much of the uniform share's; a third is left after
    recovery, of all but the control."""

    def costs(recipe, draw):
        rise = sum(weight * share for weight, share in zip(weights, taken(recipe), strict=True)) + draw.gauss(0, noise)
        rise *= suggested if recipe.allocation == "suggest" else 1
        return {"pruned": DENSE * math.exp(rise), "tuned": 0.9 * DENSE * math.exp(rise / 3)}

    return shaken(costs)


@pytest.mark.parametrize("form", ["medium", "full"])
def test_all_schedules_of_a_level_take_as_much(form):
    """And of a steepness, linear and exponential have the same ends."""
    for cell in (cell for name in ("shapes", "recovered") for cell in schedules.sweeps("gpt2-tiny", form)[name].cells):
        assert sum(taken(cell.recipe)) / 3 == pytest.approx(cell.set["neurons"]["level"])
    for cell in SWEEPS["steepness"].cells:
        front, _, back = taken(cell.recipe)
        assert back / front == pytest.approx(cell.set["neurons.steepness"])


@pytest.mark.parametrize(
    ("weights", "suggested", "best"),
    [
        ((3, 1, 0), 1, "exponential up"),
        ((0, 3, 4), 1, "exponential down"),
        ((1, 0, 1), 1, "middle-heavy"),
        ((1, 1, 1), 0.5, "suggested"),
    ],
)
def test_the_best_schedule_is_named_before_and_after_recovery(weights, suggested, best):
    """It takes least where it costs most; `exponential` goes furthest."""
    said = in_text(schedules.answer(found_by(SWEEPS, law(weights, 0.0005, suggested))))
    level = "60\u00a0% of the neurons gone at random"
    assert f"Best schedule without training: {best};" in said and f"after recovery, {level}: {best};" in said
    assert "The training itself made the whole model better; the control has 0.900 times" in said


def test_linear_is_told_from_exponential_only_where_they_are_matched():
    """A costly middle speaks for exponential, which takes less of it; a costly back beside it makes the steep one look worse."""
    found = found_by(SWEEPS, law((0, 3, 0)))
    assert schedules.exponential_over_linear(found).sign == -1 and "exponential is better than linear" in in_text(
        schedules.answer(found)
    )
    found = found_by(SWEEPS, law((2, 0, 2)))
    assert schedules.exponential_over_linear(found).sign == 1 and "linear is better than exponential" in in_text(
        schedules.answer(found)
    )
    found = found_by(SWEEPS, law((0, 0, 3)))
    assert schedules.steep_over_gentle(found).sign == 1


def test_what_shrinks_from_front_to_back_says_nothing_of_what_grows():
    """Exponential takes more of both ends, most of the larger one: where the back costs more than the front that is worse for
    what grows, and better for what shrinks."""
    found = found_by(SWEEPS, law((0, 1, 2), 0.0005))
    growing, shrinking = (schedules.exponential_over_linear(found, growing) for growing in (True, False))
    assert (growing.sign, shrinking.sign) == (1, -1) and "linear is better than exponential" in in_text(schedules.answer(found))


def test_equal_schedules_cannot_be_told_apart():
    """Where chance is larger than what the schedules make out."""
    said = in_text(schedules.answer(found_by(SWEEPS, law((1, 1, 1), 0.1))))
    assert said.count("cannot be told") == 3


def test_the_control_stands_beside_the_recovery():
    """As a line across the bars, at what the same training does to the whole model."""
    *_, bars = schedules.figures(found_by(SWEEPS, law((1, 1, 1))))
    assert bars.kind == "bars" and [line.y for line in bars.lines] == [pytest.approx(0.9, rel=0.01)]
    assert [series.name for series in bars.series] == ["pruned", "recovered"] and "suggested" in bars.series[0].x


def test_the_full_form_trains_several_levels():
    """Each has a verdict, a chart and rows of its own; what is measured of one says nothing of another."""
    full = schedules.sweeps("gpt2-tiny", "full")
    found = found_by(full, law((3, 1, 0), 0.0005))
    said, names = in_text(schedules.answer(found)), [figure.name for figure in schedules.figures(found)]
    for level, name in ((20, "recovery-20"), (40, "recovery-40"), (60, "recovery")):
        assert f"Best schedule after recovery, {level}\u00a0% of the neurons gone at random: exponential up;" in said
        assert name in names
    rows = {(row[1], row[2]) for row in schedules.table(found).rows if row[2].endswith("trained ones")}
    assert rows == {(level, f"{stage}, trained ones") for level in (0.2, 0.4, 0.6) for stage in ("pruned", "recovered")}
    some = {name: cells for name, cells in found.items() if "40 percent" not in name}
    assert "40\u00a0%" not in in_text(schedules.answer(some)) and len(schedules.figures(some)) == len(names) - 1
