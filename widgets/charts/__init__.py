"""What a chart is, and which there are; draws none and knows no run.

A chart is one file of this folder. The first paragraph of its docstring is the help text, which is for people who look at the
page; a second one is for whoever reads the file. `TITLE` is the heading of its card, and

    build(theme: Theme, act: Act) -> Drawn

makes its widgets once. `Drawn.draw(view)` then shows a view by setting traits, only those that changed (`drawing.put`);
it is called by the pump alone. A chart has an empty state, and says in a line of words what it shows. `act` posts a
command, for a chart that can be pressed.
"""

from pathlib import Path

from engine.record.registry import Registry
from widgets.view import Act, Drawn, View

__all__ = ["CHARTS", "Act", "Drawn", "View"]

CHARTS = Registry("Chart", __name__, Path(__file__).parent)
