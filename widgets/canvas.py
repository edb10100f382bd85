"""A place for a figure of any kind: the plot that draws its kind is made when it is first needed; knows no kind by its name."""

import ipywidgets

from widgets.plots import PLOTS, Pick, Plot, Shown
from widgets.theme import Theme


class Canvas:
    """Shows one figure at a time. `pick` is told of the cell of a point that is clicked."""

    def __init__(self, theme: Theme, pick: Pick):
        self._theme, self._pick = theme, pick
        self._plots: dict[str, Plot] = {}
        self.widget = ipywidgets.VBox([])

    def draw(self, shown: Shown) -> None:
        """Show a figure."""
        kind = shown.figure.kind
        if kind not in self._plots:
            self._plots[kind] = PLOTS.load(kind).build(self._theme, self._pick)
        plot = self._plots[kind]
        if self.widget.children != (plot.widget,):
            self.widget.children = (plot.widget,)
        plot.draw(shown)

    def clear(self) -> None:
        """Show nothing, where there is no figure: what was drawn before belongs to something else."""
        if self.widget.children:
            self.widget.children = ()
