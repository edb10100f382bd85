"""What came of the cells, as they come: a map where two fields vary, one from left to right and one from the top down, the shade
by the logarithm of the perplexity; a curve or bars where one field does. Where more fields vary, the two menus say which of them
the map has, and a place shows the best of its recipes that are measured so far, with how many of them are. A recipe counts with
the geometric mean of its seeds. What is not measured yet is empty, what failed is crossed. Click a cell or a point to put its
recipe into the controls. Look for the edge at which perplexity turns, and for a row that turns later than the others."""

from html import escape

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionStyle

from engine.record.sweep import Sweep
from widgets.canvas import Canvas
from widgets.drawing import line, put
from widgets.figures import cells_figure, cells_words, failed, missing_words, protocol_words, shown_axles, standing_for
from widgets.grid import axles_of
from widgets.plots import Shown
from widgets.requests import LoadCell
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Perplexity of the cells"
SIDES = ("From left to right", "From the top down")
HIDDEN, SHOWN = "none", None
WAIT = ("No data yet", "The first cells come soon")


def build(theme: Theme, act: Act) -> Drawn:
    """Two menus where more than two fields vary, the figure, and what it shows in words."""
    panel = _Cells(theme, act)
    return Drawn(panel.widget, panel.draw)


def is_wanted(view: View) -> bool:
    """Where there is a sweep."""
    return view.sweeps.state is not None


class _Cells:
    """The widgets of the panel, and the sweep that they show."""

    def __init__(self, theme: Theme, act: Act):
        self._view: View | None = None
        self._sweep: Sweep | None = None
        self._moving = False
        style, layout = DescriptionStyle(description_width="initial"), ipywidgets.Layout(width="auto", max_width="100%")
        self.menus = [ipywidgets.Dropdown(description=words, options=[], style=style, layout=layout) for words in SIDES]
        for menu, other in zip(self.menus, reversed(self.menus), strict=True):
            menu.observe(lambda change, other=other: self._choose(change, other), "value")
        self.row, self.says = ipywidgets.Box(self.menus), ipywidgets.HTML()
        self.row.add_class("esp-buttons")
        self.canvas = Canvas(theme, lambda place: act(LoadCell(place.number)))
        self.widget = ipywidgets.VBox([self.row, self.canvas.widget, self.says])

    def draw(self, view: View) -> None:
        """Show the sweep on the page, in the fields that were chosen for it."""
        self._view = view
        if view.sweeps.state is not None:
            if self._sweep is None or view.sweeps.state.sweep is not self._sweep:
                self._offer(view.sweeps.state.sweep)
            self._plot()

    def _offer(self, sweep: Sweep) -> None:
        """Let the menus have the fields of another sweep."""
        axles = axles_of(sweep)
        fields = [axle.field for axle in shown_axles(axles)]
        self._sweep, self._moving = sweep, True
        put(self.row.layout, display=SHOWN if len(axles) > 2 else HIDDEN)
        for number, menu in enumerate(self.menus):
            with menu.hold_sync():
                menu.options = [(axle.label, axle.field) for axle in axles]
                menu.value = fields[number] if number < len(fields) else None
        self._moving = False

    def _choose(self, change: dict[str, object], other: ipywidgets.Dropdown) -> None:
        """Show the field that was chosen; where the other side had it, the two change places."""
        if self._moving:
            return
        self._moving = True
        if other.value == change["new"]:
            other.value = change["old"]
        self._moving = False
        self._plot()

    def _plot(self) -> None:
        state, loaded = self._view.sweeps.state, self._view.sweeps.loaded
        fields = [menu.value for menu in self.menus if menu.value is not None]
        chosen = None if loaded is None else standing_for(state, loaded, fields)
        self.canvas.draw(Shown(cells_figure(state, fields), failed(state), chosen, WAIT, missing_words(state)))
        told = line(escape(cells_words(state, fields)), "says") + line(escape(protocol_words(state)), "legend")
        put(self.says, value=told)
