"""Bars: for each word on the axis a stem for each series, with a point at its top that can be clicked."""

from widgets.marked import Marked
from widgets.plots import Pick, Plot
from widgets.theme import Theme


def build(theme: Theme, pick: Pick) -> Plot:
    """Stems side by side, with strokes from the lowest to the highest where that is known."""
    chart = Marked(theme, pick)
    return Plot(chart.widget, lambda shown: chart.draw(shown, (), stems=True))
