"""A verdict, a chart and a table as plain frozen data, and which points are a front; knows no screen, no file and no experiment.

A point may say which cell of which sweep it is, so that its recipe can be taken from there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["curves", "heat", "scatter", "bars"]
Value = float | str


@dataclass(frozen=True)
class Place:
    """A cell: the name of its sweep among those of an experiment, and its number there."""

    sweep: str
    number: int


@dataclass(frozen=True)
class Series:
    """Points that belong together: `y` over `x`, in order, from `low` to `high` where that is known (both empty where not).

    `cells` names a cell for each point, the first where a point is the mean of several; None where there is none. In a heat map
    a series is one row, its `x` the columns and its `y` the values, with `notes` a few letters below each (empty where not).
    """

    name: str
    x: tuple[Value, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    cells: tuple[Place | None, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line across a chart at one `y`, for instance the model as it was."""

    name: str
    y: float


@dataclass(frozen=True)
class Figure:
    """A chart. `name` tells it from the others of its experiment and is good for a file; `kind` says how it is drawn:

    "curves"    the points of a series are joined; `x` are numbers
    "scatter"   they are not; of the series in `fronts` the points are joined, as those that no other beats
    "bars"      a group for each `x`, one for each series, as stems from the `base`; without one points alone; `x` are words
    "heat"      a row for each series; `y_label` says what the rows are, `value_label` what the colours say, from one of the
                `ends` to the other where there are any, and else from the lowest value to the highest; not a number: empty

    Numbers on `x` are shares of something, 0 to 1, where `shares` says so.
    """

    name: str
    kind: Kind
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    value_label: str = ""
    fronts: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    ends: tuple[float, float] | None = None
    base: float | None = None
    shares: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a head; a number is as it was measured, and None is what was not."""

    head: tuple[str, ...]
    rows: tuple[tuple[Value | None, ...], ...]


@dataclass(frozen=True)
class Verdict:
    """One thing that the numbers of an experiment say, plain and short, and the `numbers` that say so, with their intervals.
    Neither has a full stop at its end."""

    says: str
    numbers: str = ""


def as_sentence(verdict: Verdict) -> str:
    """A verdict as one sentence, its numbers in it."""
    return f"{verdict.says}; {verdict.numbers}." if verdict.numbers else f"{verdict.says}."


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Which of the points (cost, perplexity) no other beats: none is better in one and no worse in the other; cheapest first, and
    of points alike the first."""
    best, found = math.inf, []
    for number in sorted(range(len(points)), key=lambda number: points[number]):
        if points[number][1] < best:
            best = points[number][1]
            found.append(number)
    return tuple(found)
