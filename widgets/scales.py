"""What stands beside an axis: where its ticks are, and their words; knows no widget, no figure and no colour."""

import math
from itertools import pairwise

from engine.record.figure import Value
from widgets.drawing import log_ticks, ticks

UNITS = ((1e9, "G"), (1e6, "M"))
FEW, APART = 9, 0.07  # places at most that ticks name one by one, and how far apart these are, of the axis


def stand(value: Value, log: bool) -> float:
    """Where a number stands on an axis; NaN for what cannot stand there."""
    if not isinstance(value, int | float):
        return math.nan
    return (math.log10(value) if value > 0 else math.nan) if log else float(value)


def few(places: list[float], wide: float, log: bool, shares: bool) -> dict[float, str]:
    """Ticks at the points themselves, where they are few, far enough apart and round numbers; none otherwise."""
    at = [stand(place, log) for place in places]
    is_near = any(other - one < APART * wide for one, other in pairwise(at))
    if not 1 < len(at) <= FEW or is_near or any(float(f"{place:.3g}") != place for place in places):
        return {}
    return dict(zip(at, _words(places, shares), strict=True))


def named(low: float, high: float, log: bool, shares: bool = False) -> dict[float, str]:
    """The places of the ticks on an axis, and their words."""
    if log:
        marks = log_ticks(10**low, 10**high)
        return dict(zip(map(math.log10, marks), _words(marks, shares), strict=True))
    marks = ticks(low, high)
    return dict(zip(marks, _words(marks, shares), strict=True))


def _words(values: list[float], shares: bool = False) -> list[str]:
    """Numbers beside an axis in few characters, but in so many that no two are alike; in millions where all are about as
    large, and shares in hundredths."""
    scaled, letter = [100 * value for value in values] if shares else values, "\u00a0%" if shares else ""
    least = min((abs(value) for value in values if value), default=0.0)
    size, letter = next(((size, of) for size, of in UNITS if least >= size / 10 and max(values) >= size), (1.0, letter))
    for digits in range(3, 8):
        words = [_word(value / size, digits) + (letter if value or shares else "") for value in scaled]
        if len(set(words)) == len(words):
            break
    return words


def _word(value: float, digits: int) -> str:
    """A number of so many digits, whole from 1,000 on."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}").replace("-", "−")
