"""The second part of the page, where the experiments stand: made when it is first opened; knows what none of its cards does."""

from collections.abc import Callable

import ipywidgets

from widgets.drawing import put
from widgets.requests import Turn
from widgets.sweeps import SWEEPS
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

PARTS = {"Laboratory": "laboratory", "Experiments": "experiments"}
LEFT, RIGHT = ("ask",), ("underway", "cells", "front", "cell")  # in this order; whatever else there is comes after them
HIDDEN, SHOWN = "none", None
Card = Callable[[str, ipywidgets.Widget], ipywidgets.Widget]


class Experiments:
    """`turn` chooses the part of the page that is shown, `widget` is the second part. `card` puts a heading over a widget.

    Which part is seen is the style sheet's to say: a click shows it at once, whatever the kernel is doing.
    """

    def __init__(self, theme: Theme, act: Act, card: Card):
        self._theme, self._act, self._card = theme, act, card
        look = {"description": "Part of the page", "style": {"button_width": "auto"}}
        self.turn = ipywidgets.ToggleButtons(options=list(PARTS.items()), **look)
        self.turn.add_class("esp-turn")
        self.turn.observe(lambda change: act(Turn(change["new"])), "value")
        self.widget = ipywidgets.Box()
        self.widget.add_class("esp-experiments")
        self._cards: dict[str, tuple[ipywidgets.Widget, Drawn, Callable[[View], bool]]] = {}
        self.drawn = Drawn(self.widget, self.draw)

    def draw(self, view: View) -> None:
        """Show the experiments, where they are open."""
        if not view.sweeps.is_open:
            return
        if not self._cards:
            self._make()
        for card, drawn, is_wanted in self._cards.values():
            wanted = is_wanted(view)
            put(card.layout, display=SHOWN if wanted else HIDDEN)
            if wanted:
                drawn.draw(view)

    def _make(self) -> None:
        for name in SWEEPS.names():
            module = SWEEPS.load(name)
            drawn = module.build(self._theme, self._act)
            self._cards[name] = self._card(name, drawn.widget), drawn, module.is_wanted
        left = ipywidgets.VBox([self._cards[name][0] for name in LEFT])
        left.add_class("esp-at-asking")
        rest = [name for name in self._cards if name not in LEFT + RIGHT]
        self.widget.children = (left, *(self._cards[name][0] for name in (*RIGHT, *rest)))
