"""How a figure of `engine.record.figure` is drawn, one kind a file, named as the kind; none knows a sweep or an experiment.

    build(theme: Theme, pick: Pick) -> Plot

makes the widgets once; `Plot.draw(shown)` then shows a figure by setting traits, only those that changed. A point that names a
cell can be clicked: `pick` is told which. A value that is no number (NaN) is one that was not measured, and has no mark.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ipywidgets

from engine.record.figure import Figure, Place
from engine.record.registry import Registry

Pick = Callable[[Place], None]
PLOTS = Registry("Plot", __name__, Path(__file__).parent)


@dataclass(frozen=True)
class Shown:
    """A figure with what changes on it: cells that have `failed`, and the one that was `chosen`. `empty` are the two lines of
    words that stand in a figure without a point, `missing` says what an empty cell of a map is."""

    figure: Figure
    failed: frozenset[Place] = frozenset()
    chosen: Place | None = None
    empty: tuple[str, str] = ("No data yet", "Nothing was measured so far")
    missing: str = "not measured yet"


@dataclass(frozen=True)
class Plot:
    """A drawing: its widget, and how it shows a figure."""

    widget: ipywidgets.Widget
    draw: Callable[[Shown], None]
