"""What is on the screen already, and when it is drawn again; works out nothing that it shows.

What is drawn again is laid out and painted by the browser, on the processor that trains the model. While a command runs, what
merely goes on is therefore drawn about three times a second, and some of it less often: charts, panels, the count of steps.
What answers somebody, the line about the draft, the buttons, another sentence of the status line, is drawn in the tick that
knows it. While a hand is on a control, what does not show where it goes waits for up to a second: nobody looks there, and the
time that it takes is the training's.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from widgets.transport import Transport
from widgets.view import Drawn, View

CALM = 0.33  # seconds between two drawings of what goes on
ASIDE = 1.0  # the same, for what does not show where a hand goes that is on a control


class Screen:
    """The parts of the page that show a view, and for each of them the view that it shows and since when, on the clock."""

    def __init__(self, transport: Transport, clock: Callable[[], float]):
        self.drawn: Sequence[Drawn] = ()
        self._transport, self._clock = transport, clock
        self._shown: dict[int, tuple[View, float]] = {}
        self._calm = self._counted = -1e9  # when what goes on was last drawn, and when the status line counted on

    def forget(self) -> None:
        """Draw everything the next time: another run has come onto the page."""
        self._shown, self._calm, self._counted = {}, -1e9, -1e9

    def draw(self, view: View, *, now: float, waiting: bool, hand: bool, refusal: str, note: str) -> None:
        """Show a view, and what is to be said beside it. `now` is seconds since the epoch; `hand`: a control is being moved."""
        clock, busy = self._clock(), view.state.status == "busy"
        # All that is due is drawn in one tick, so that the browser paints once.
        calm = not busy or clock - self._calm >= CALM
        count = calm and not (busy and hand and clock - self._counted < ASIDE)
        self._transport.draw(view, now=now, waiting=waiting, refusal=refusal, note=note, count=count)
        self._counted = clock if count else self._counted
        if not calm:
            return
        self._calm = clock
        for number, each in enumerate(self.drawn):
            shown, at = self._shown.get(number, (None, -1e9))
            pause = max(each.every, ASIDE) if hand and not each.answers else each.every
            if (shown is None or not _same(view, shown)) and (not busy or clock - at >= pause):
                each.draw(view)
                self._shown[number] = view, clock


def _same(view: View, shown: View) -> bool:
    return view.state is shown.state and replace(view, state=shown.state) == shown
