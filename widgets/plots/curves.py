"""Curves: the points of each series are joined, in their order."""

from widgets.marked import Marked
from widgets.plots import Pick, Plot
from widgets.theme import Theme


def build(theme: Theme, pick: Pick) -> Plot:
    """Points and lines, with strokes from the lowest to the highest where that is known."""
    chart = Marked(theme, pick)
    return Plot(chart.widget, lambda shown: chart.draw(shown, [series.name for series in shown.figure.series]))
