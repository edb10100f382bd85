"""A chart and a table as plain frozen data, for whoever draws them; knows no screen, no file and no experiment.

A point may say which cell of which sweep it is, so that its recipe can be taken from there.
"""

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
    a series is one row, its `x` the columns and its `y` the values.
    """

    name: str
    x: tuple[Value, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    cells: tuple[Place | None, ...] = ()


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
    "bars"      a group of bars for each `x`, one for each series; `x` are words
    "heat"      a row for each series; `y_label` says what the rows are, `value_label` what the colours say
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


@dataclass(frozen=True)
class Table:
    """Rows under a head; a number is as it was measured, and None is what was not."""

    head: tuple[str, ...]
    rows: tuple[tuple[Value | None, ...], ...]
