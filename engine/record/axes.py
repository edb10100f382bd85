"""The values that one axis of a sweep goes through: a list, a grid or draws from a range; knows no recipe and no cell."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.record.errors import BadInput, UnknownName, shorten

FORMS = 'a list of values, {"from": 0, "to": 0.5, "steps": 6} for a grid, or "draws" in place of "steps" for chance'
PARTS = ("from", "to", "steps", "draws", "scale", "seed")
SCALES = ("linear", "log")
MOST = 10_000  # values of an axis, and cells of a sweep


@dataclass(frozen=True)
class Axis:
    """A dotted recipe field and the values that it takes, in their order; `drawn` says that chance has named them."""

    field: str
    values: tuple[Any, ...]
    drawn: bool = False

    @property
    def ranks(self) -> tuple[int, ...]:
        """How soon each value is to be tried: 0 for the ends, 1 for the middle, 2 for the middles between those, and so on.

        Only numbers have middles: of anything else, and of draws, which fill their range in any order, all values are 0.
        """
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        if self.drawn or not numbers:
            return (0,) * len(self.values)
        line = sorted(range(len(self.values)), key=lambda place: self.values[place])
        found = {line[0]: 0, line[-1]: 0}
        spans, rank = [(0, len(line) - 1)], 0
        while spans:
            rank += 1
            halves = []
            for low, high in spans:
                if high - low > 1:
                    middle = (low + high) // 2
                    found[line[middle]] = rank
                    halves += [(low, middle), (middle, high)]
            spans = halves
        return tuple(found[place] for place in range(len(line)))


def axis_of(field: str, given: Any, whole: bool = False) -> Axis:
    """The axis that a sweep's plain form describes; `whole` says that its field takes whole numbers, to which values are rounded.

    A grid has its ends and equal steps between them, on the scale "log" equal ratios; draws are even on the same scales, and the
    same for the same seed and field. Raises `BadInput` for an axis that is empty, names a value twice, or cannot be.
    """
    if isinstance(given, Axis):
        return given
    if isinstance(given, list | tuple):
        values = tuple(given)
    elif isinstance(given, dict):
        values = tuple(_rounded(value, whole) for value in _in_range(field, given))
    else:
        raise BadInput(f"axis {field} {shorten(given)} is no axis; give {FORMS}.")
    if not values:
        raise BadInput(f"axis {field} {shorten(given)} is empty; give at least one value.")
    if len(values) > MOST:
        raise BadInput(f"axis {field} has {len(values):,} values; at most {MOST:,} are allowed.")
    drawn = isinstance(given, dict) and "draws" in given
    seen = set()
    for value in values if not drawn else ():
        if _token(value) in seen:
            raise BadInput(f"axis {field} names {shorten(value)} twice; name each value once.")
        seen.add(_token(value))
    return Axis(field, values, drawn)


def _in_range(field: str, given: dict[str, Any]) -> Sequence[float]:
    for name in given:
        if name not in PARTS:
            raise UnknownName(f"axis {field}: field", name, PARTS)
    low, high, scale = given.get("from"), given.get("to"), given.get("scale", "linear")
    if not (_number(low) and _number(high) and low < high):
        raise BadInput(f'axis {field} goes from {shorten(low)} to {shorten(high)}; give two numbers, "from" below "to".')
    if scale not in SCALES:
        raise UnknownName(f"axis {field}: scale", scale, SCALES)
    if scale == "log" and low <= 0:
        raise BadInput(f'axis {field} begins at {low}, where a scale "log" cannot; begin above 0.')
    if ("steps" in given) == ("draws" in given):
        raise BadInput(f'axis {field} {shorten(given)} must have either "steps" or "draws"; give {FORMS}.')
    name, least = ("steps", 2) if "steps" in given else ("draws", 1)
    count, seed = given[name], given.get("seed", 0)
    for what, value, lowest in ((name, count, least), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value:
            raise BadInput(f"axis {field}: {what} {shorten(value)} is not allowed; it takes a whole number from {lowest} up.")
    if count > MOST:
        raise BadInput(f"axis {field} has {count:,} values; at most {MOST:,} are allowed.")
    draw = random.Random(f"{seed} {field}")  # a text seeds it alike in every Python
    places = [place / (count - 1) for place in range(count)] if name == "steps" else [draw.random() for _ in range(count)]
    if scale == "log":
        return [low * (high / low) ** place for place in places]
    return [low + (high - low) * place for place in places]


def _rounded(value: float, whole: bool) -> float:
    return round(value) if whole else float(f"{value:.6g}")  # a draw that can be read, and typed again


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _token(value: Any) -> tuple[bool, Any]:
    """What tells a value from all others: 1 is 1.0, and not true."""
    return isinstance(value, bool), value if isinstance(value, int | float | str | None) else repr(value)
