"""Several measurements of one thing: their mean, how far it can be trusted, and when a difference counts; knows no experiment.

The rule, everywhere: replicates are independent where chance drew them anew (seeds) or where another criterion or model was
asked; what was measured of one replicate, for instance at several levels, is first averaged into one number. The mean of the
replicates has an interval of 95 % by Student's t. A difference *counts* where that interval leaves out zero; with one replicate
there is no interval, and nothing counts. The evaluation text is the same for all, so what another text would say is not in it.
Correlations end at 1, so that theirs are averaged, and have their interval, as Fisher's z.
Sources: Student 1908, "The probable error of a mean", Biometrika 6; Fisher 1921, "On the 'probable error' of a coefficient of
correlation deduced from a small sample", Metron 1.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

# The 97.5 % points of Student's t for 1 … 30 degrees of freedom; for more the last one, which is a little too wide.
POINTS = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101,
    2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
RUBBLE = 1e9  # a perplexity beyond this is told by its power
NOTHING = 1e-9  # below this a difference is one of rounding
NEAR = 0.9995  # two digits tell what lies beyond this as 1.00, and this as well


@dataclass(frozen=True)
class Estimate:
    """The mean of `count` replicates and its interval of 95 %; of one replicate the interval is None."""

    mean: float
    count: int
    low: float | None = None
    high: float | None = None

    @property
    def sign(self) -> int:
        """1 or -1 where the mean counts as above or below zero, 0 where that cannot be told."""
        if self.low is None or abs(self.mean) < NOTHING:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def estimate(values: Iterable[float]) -> Estimate | None:
    """The mean of some replicates with its interval; None where there are none."""
    values = list(values)
    if not values:
        return None
    mean = fmean(values)
    if len(values) == 1:
        return Estimate(mean, 1)
    half = POINTS[min(len(values) - 1, len(POINTS)) - 1] * stdev(values) / math.sqrt(len(values))
    return Estimate(mean, len(values), mean - half, mean + half)


def fishers_z(correlation: float, most: float = NEAR) -> float:
    """A correlation, -1 to 1, on the scale on which chance moves it as far wherever it lies: the area tangent. That has no end,
    and what lies beyond `most` counts as that."""
    return math.atanh(max(-most, min(most, correlation)))


def nearest(ranked: int, rankings: int = 1) -> float:
    """What a rank correlation of 1 counts as, the mean over so many `rankings` of so many things each (at least two).

    Nothing lies between 1 and a mean in which one ranking differs by one exchange of neighbours: 12 / (ranked³ - ranked) of that
    ranking's share. A 1 is half of that below, and no nearer than two digits tell.
    """
    return min(NEAR, 1 - 6 / ((ranked**3 - ranked) * rankings))


def estimate_correlation(values: Iterable[float], most: float = NEAR) -> Estimate | None:
    """The mean of some correlations with its interval, both worked out of their z and within -1 and 1; None where there are none.
    What lies beyond `most` counts as that, but replicates that are all the same keep their number."""
    values = list(values)
    if len(set(values)) < 2:
        return Estimate(values[0], len(values), *([values[0]] * 2 if len(values) > 1 else ())) if values else None
    found = estimate(fishers_z(value, most) for value in values)
    return Estimate(math.tanh(found.mean), found.count, math.tanh(found.low), math.tanh(found.high))


def as_times(found: Estimate, form: str = ".2f") -> str:
    """An estimate of a difference of logarithms as a ratio without its interval: "1.08 times"."""
    return f"{_number(found.mean, form)} times"


def as_ratio(found: Estimate, form: str = ".2f") -> str:
    """An estimate of a difference of logarithms, told as a ratio: "1.08 times (1.02 to 1.15, 6 replicates)"."""
    if found.low is None:
        return f"{_number(found.mean, form)} times (1 replicate)"
    return (
        f"{_number(found.mean, form)} times ({_number(found.low, form)} to {_number(found.high, form)}, {found.count} replicates)"
    )


def as_number(found: Estimate, form: str = ".2f") -> str:
    """An estimate as it is: "0.82 (0.70 to 0.94, 3 replicates)"."""
    if found.low is None:
        return f"{found.mean:{form}} (1 replicate)"
    return f"{found.mean:{form}} ({found.low:{form}} to {found.high:{form}}, {found.count} replicates)"


def as_perplexity(perplexity: float, digits: int = 2) -> str:
    """A perplexity with so many digits behind the point; of a model in rubble, where nobody would count its digits, the power."""
    return f"{perplexity:,.{digits}f}" if perplexity < RUBBLE else f"{perplexity:.{digits}e}"


def as_percent(share: float) -> str:
    """A share in words: 0.3 is "30 %", with a space that no line breaks at."""
    return f"{100 * share:.3g}\u00a0%"


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, from 1 for the lowest; equal values share the mean of their ranks."""
    return [sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's correlation of two rankings of the same things, -1 to 1; None where either ranks nothing."""
    if len(one) < 2:
        return None
    of_one, of_other = ranks(one), ranks(other)
    mean = (len(one) + 1) / 2
    spread = [sum((rank - mean) ** 2 for rank in line) for line in (of_one, of_other)]
    if not all(spread):
        return None
    together = sum((a - mean) * (b - mean) for a, b in zip(of_one, of_other, strict=True))
    return together / math.sqrt(spread[0] * spread[1])


def _number(nats: float, form: str) -> str:
    ratio = math.exp(min(nats, 700.0))  # what is larger is no number of this machine's
    return format(ratio, form) if 0.1 <= ratio < 1000 else f"{ratio:,.2g}" if ratio < 1 else f"{ratio:,.3g}"
