"""What came of the cells, as they come: a map where two fields vary, one from left to right and one from the top down, the shade
by the logarithm of the perplexity; a curve or bars where one field does. With several seeds a place is their mean. What is not
measured yet is empty, what failed is crossed. Click a cell or a point to put its recipe into the controls. Look for the edge at
which perplexity turns, and for a row that turns later than the others."""

from html import escape

import ipywidgets

from widgets.canvas import Canvas
from widgets.drawing import line, put
from widgets.figures import cells_figure, cells_words, failed, standing_for
from widgets.plots import Shown
from widgets.requests import LoadCell
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Perplexity of the cells"


def build(theme: Theme, act: Act) -> Drawn:
    """The figure, and what it shows in words."""
    canvas, says = Canvas(theme, lambda place: act(LoadCell(place.number))), ipywidgets.HTML()

    def draw(view: View) -> None:
        state, loaded = view.sweeps.state, view.sweeps.loaded
        if state is not None:
            chosen = None if loaded is None else standing_for(state, loaded)
            canvas.draw(Shown(cells_figure(state), failed(state), chosen, ("No data yet", "The first cells come soon")))
            put(says, value=line(escape(cells_words(state)), "says"))

    return Drawn(ipywidgets.VBox([canvas.widget, says]), draw)


def is_wanted(view: View) -> bool:
    """Where there is a sweep."""
    return view.sweeps.state is not None
