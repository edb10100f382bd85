"""Bars: for each word on the axis a point for each series, which can be clicked, on a stem from the base if there is one."""

from widgets.marked import Marked
from widgets.plots import Pick, Plot
from widgets.theme import Theme


def build(theme: Theme, pick: Pick) -> Plot:
    """Points side by side, with strokes from the lowest to the highest where that is known."""
    chart = Marked(theme, pick)
    return Plot(chart.widget, lambda shown: chart.draw(shown, (), stems=True))
