"""The parts of the page beside the laboratory, each made when it is first opened; knows what none of their cards does."""

from collections.abc import Callable

import ipywidgets

from widgets.drawing import put
from widgets.requests import Turn
from widgets.sweeps import SWEEPS
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

PARTS = {"Laboratory": "laboratory", "Sweeps": "sweeps", "Experiments": "experiments", "Runs": "runs"}
# The cards of each part, in their order; those of the first tuple stand at the left.
CARDS = {
    "sweeps": (("ask",), ("underway", "cells", "front", "cell")),
    "experiments": ((), ("question",)),
    "runs": ((), ("compare",)),
}
HIDDEN, SHOWN = "none", None
Card = Callable[[str, ipywidgets.Widget], ipywidgets.Widget]
Made = tuple[ipywidgets.Widget, Drawn, Callable[[View], bool]]


class Parts:
    """`turn` chooses the part of the page that is shown, `widgets` are those beside the laboratory. `card` puts a heading over a
    widget.

    Which part is seen is the style sheet's to say: a click shows it at once, whatever the kernel is doing.
    """

    def __init__(self, theme: Theme, act: Act, card: Card):
        self._theme, self._act, self._card = theme, act, card
        look = {"description": "Part of the page", "style": {"button_width": "auto"}}
        self.turn = ipywidgets.ToggleButtons(options=list(PARTS.items()), **look)
        self.turn.add_class("esp-turn")
        self.turn.observe(lambda change: act(Turn(change["new"])), "value")
        plain = ipywidgets.Layout()  # one for all: every model counts towards the first paint
        self.widgets = {part: ipywidgets.Box(layout=plain) for part in CARDS}
        for part, box in self.widgets.items():
            box.add_class("esp-part")
            box.add_class(f"esp-part-{part}")
        self._made: dict[str, list[Made]] = {}
        self.drawn = Drawn(self.turn, self.draw)

    def draw(self, view: View) -> None:
        """Show the part that is open, where it is another than the laboratory."""
        if view.part not in CARDS:
            return
        if view.part not in self._made:
            self._make(view.part)
        for card, drawn, is_wanted in self._made[view.part]:
            wanted = is_wanted(view)
            put(card.layout, display=SHOWN if wanted else HIDDEN)
            if wanted:
                drawn.draw(view)

    def _make(self, part: str) -> None:
        left, right = ([self._build(name) for name in names] for names in CARDS[part])
        self._made[part] = left + right
        beside = ipywidgets.VBox([card for card, *_ in left])
        beside.add_class("esp-at-asking")
        self.widgets[part].children = (*([beside] if left else []), *(card for card, *_ in right))

    def _build(self, name: str) -> Made:
        module = SWEEPS.load(name)
        drawn = module.build(self._theme, self._act)
        return self._card(name, drawn.widget), drawn, module.is_wanted
