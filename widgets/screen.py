"""What is on the screen already, and when it is drawn again; works out nothing that it shows.

A chart that is drawn again costs the browser some ten milliseconds of the processor that trains the model. While a command
runs, what merely goes on is therefore drawn about three times a second: charts, panels, the count of steps. What answers
somebody, the line about the draft, the buttons, another sentence of the status line, is drawn in the tick that knows it.
"""

from collections.abc import Callable, Sequence

from widgets.transport import Transport
from widgets.view import Drawn, View

CALM = 0.33  # seconds between two drawings of what goes on


class Screen:
    """The parts of the page that show a view, and the view that they show."""

    def __init__(self, transport: Transport, clock: Callable[[], float]):
        self.drawn: Sequence[Drawn] = ()
        self._transport, self._clock = transport, clock
        self._shown: View | None = None
        self._at = -1e9  # on the clock: when the charts were drawn

    def forget(self) -> None:
        """Draw everything the next time: another run has come onto the page."""
        self._shown = None

    def draw(self, view: View, *, now: float, waiting: bool, refusal: str, note: str) -> None:
        """Show a view, and what is to be said beside it. `now` is seconds since the epoch."""
        calm = self._shown is None or view.state.status != "busy" or self._clock() - self._at >= CALM
        self._transport.draw(view, now=now, waiting=waiting, refusal=refusal, note=note, count=calm)
        if not calm or (self._shown is not None and _same(view, self._shown)):
            return
        for each in self.drawn:
            each.draw(view)
        self._shown, self._at = view, self._clock()


def _same(view: View, shown: View) -> bool:
    return view.state is shown.state and (view.draft, view.recipe, view.folder) == (shown.draft, shown.recipe, shown.folder)
