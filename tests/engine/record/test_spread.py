"""Tests of engine/record/spread.py: intervals that cover what they should, and differences that count."""

import math
import random
import statistics

import pytest

from engine.pruning.agreement import agreements
from engine.pruning.plan import Scores
from engine.record.spread import (
    POINTS,
    Estimate,
    as_perplexity,
    as_ratio,
    estimate,
    estimate_correlation,
    nearest,
    rank_correlation,
)


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 30])
def test_the_points_are_those_of_students_t(degrees):
    """What lies beyond them on both sides is a twentieth of the density, added up from 0 by the midpoint rule."""
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
    step = POINTS[degrees - 1] / 20_000
    inside = sum(scale * (1 + ((n + 0.5) * step) ** 2 / degrees) ** (-(degrees + 1) / 2) * step for n in range(20_000))
    assert 2 * inside == pytest.approx(0.95, abs=1e-4) and len(POINTS) == 30


def test_an_interval_is_the_mean_and_so_many_standard_errors():
    """By hand for three numbers; with a hundred it is narrower than with ten."""
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.low, found.high, found.count) == (
        2,
        pytest.approx(2 - 4.303 / 3**0.5),
        pytest.approx(2 + 4.303 / 3**0.5),
        3,
    )
    widths = [found.high - found.low for found in (estimate([0.0, 1.0] * half) for half in (5, 50))]
    assert widths[1] < widths[0] / 3


def test_of_differences_that_are_chance_one_in_twenty_counts():
    """Over two thousand experiments of four replicates each."""
    draw = random.Random(1)
    wrong = sum(estimate(draw.gauss(0, 1) for _ in range(4)).sign != 0 for _ in range(2000))
    assert 60 <= wrong <= 140


def test_nothing_counts_without_a_spread_and_rounding_never_does():
    """One replicate, none, and differences of the last bit."""
    assert estimate([]) is None and estimate([3.0]).sign == 0
    assert estimate([1e-15, 1.1e-15, 1e-15]).sign == 0
    assert estimate([0.5, 0.6, 0.4]).sign == 1 and estimate([-0.5, -0.6, -0.4]).sign == -1


def test_estimates_are_told_with_their_interval():
    """Of one replicate it is said that there is one."""
    assert as_ratio(Estimate(math.log(2), 3, 0.0, math.log(4))) == "2.00 times (1.00 to 4.00, 3 replicates)"
    assert as_ratio(Estimate(0.0, 1)) == "1.00 times (1 replicate)"


def test_rank_correlations_are_those_of_the_scores():
    """As the comparison of criteria has them, ties with them; what ranks nothing has none."""
    draw = random.Random(2)
    for _ in range(50):
        one, other = ([float(draw.randint(0, 4)) for _ in range(6)] for _ in range(2))
        (found,) = agreements([Scores((tuple(each),), ()) for each in (one, other)])
        expected = found.correlation
        assert rank_correlation(one, other) == (None if expected is None else pytest.approx(expected))
    assert rank_correlation([1, 1], [1, 2]) is None and rank_correlation([1], [2]) is None


def test_the_interval_of_correlations_covers_the_truth():
    """Four correlations of ten pairs each, of which the true one is known: 95 in 100 intervals have it between their ends."""
    draw, true, inside = random.Random(3), 0.8, 0
    for _ in range(1000):
        told = []
        for _ in range(4):
            one = [draw.gauss(0, 1) for _ in range(10)]
            other = [true * value + math.sqrt(1 - true**2) * draw.gauss(0, 1) for value in one]
            told.append(statistics.correlation(one, other))
        found = estimate_correlation(told)
        assert -1 < found.low < found.mean < found.high < 1
        inside += found.low < true < found.high
    assert 920 <= inside <= 975


def test_correlations_of_1_keep_their_interval_within_the_scale():
    """Where all are the same there is nothing to spread; one among others counts as half a step of its ranking below 1."""
    assert estimate_correlation([1.0, 1.0, 1.0]) == Estimate(1.0, 3, 1.0, 1.0)
    assert estimate_correlation([-1.0]) == Estimate(-1.0, 1) and estimate_correlation([]) is None
    step = 1 - rank_correlation(range(6), [1, 0, 2, 3, 4, 5])
    found, moved = (estimate_correlation(values, nearest(6)) for values in ([1.0, 0.9, 0.9], [1 - step / 2, 0.9, 0.9]))
    assert found == moved and found.low < 0.9 < found.mean < found.high < 1
    upside_down = estimate_correlation([-1.0, -0.9, -0.9], nearest(6))
    assert (upside_down.low, upside_down.high) == pytest.approx((-found.high, -found.low))
    assert 1 - nearest(6, 10) == pytest.approx(step / 20) and nearest(576, 6) == 0.9995
    assert estimate_correlation([1.0, 0.9, 0.9]).high < 1


def test_a_perplexity_that_nobody_would_read_is_told_by_its_power():
    """A recovery that diverges comes to numbers of a hundred digits."""
    assert [as_perplexity(value) for value in (12.345, 1234567.8, 2.29e130)] == ["12.35", "1,234,567.80", "2.29e+130"]
    assert as_perplexity(1234.56, 1) == "1,234.6"
