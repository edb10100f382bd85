"""Every cell as a point: what is left of the model from left to right, its perplexity upwards, lower being better. The steps
are the front: of the points on it none is both smaller and better than another, and each of the others is beaten by one of them.
Click a point to put its recipe into the controls. Look where the front turns upwards: what goes beyond that is dear."""

from html import escape

import ipywidgets

from engine.record.errors import counted
from engine.record.sweep_folder import SweepState
from widgets.canvas import Canvas
from widgets.drawing import line, put, short
from widgets.figures import FRONT, front_figure, place_of, protocol_words
from widgets.plots import Shown
from widgets.requests import LoadCell
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Perplexity over parameters"


def build(theme: Theme, act: Act) -> Drawn:
    """The figure, and the ends of the front in words."""
    canvas, says = Canvas(theme, lambda place: act(LoadCell(place.number))), ipywidgets.HTML()

    def draw(view: View) -> None:
        state, loaded = view.sweeps.state, view.sweeps.loaded
        if state is not None:
            chosen = None if loaded is None else place_of(loaded)
            canvas.draw(Shown(front_figure(state), chosen=chosen, empty=("No data yet", "A point for each cell that is done")))
            put(says, value=line(_said(state), "says") + line(escape(protocol_words(state)), "legend"))

    return Drawn(ipywidgets.VBox([canvas.widget, says]), draw)


def is_wanted(view: View) -> bool:
    """Where there is a sweep."""
    return view.sweeps.state is not None


def _said(state: SweepState) -> str:
    best = next(series for series in front_figure(state).series if series.name == FRONT)
    if not best.x:
        return "No cell is done yet."
    ends = f"from {best.x[0]:,} parameters at perplexity {short(best.y[0])}"
    if len(best.x) > 1:
        ends += f" to {best.x[-1]:,} at {short(best.y[-1])}"
    good = [one for one in state.done.values() if one.status == "done"]
    points = len({(one.parameters, one.perplexity) for one in good})
    alike = f" ({len(good):,} cells, of which some come to the same)" if points < len(good) else ""
    return f"{len(best.x):,} of {counted(points, 'point')}{alike} are on the front, {ends}."
