"""Points that are not joined, but for the series that are a front: those that no other point beats, as steps."""

from widgets.marked import Marked
from widgets.plots import Pick, Plot
from widgets.theme import Theme


def build(theme: Theme, pick: Pick) -> Plot:
    """Points, and the steps of each front: between two of its points there is no model."""
    chart = Marked(theme, pick)
    return Plot(chart.widget, lambda shown: chart.draw(shown, shown.figure.fronts, steps=True))
