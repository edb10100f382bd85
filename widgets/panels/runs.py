"""Every page shows one run, and a run is a folder that outlives the page: it goes on working while no page shows it. The last one
in which something was changed is offered here; all of them are in the list at the lower end of the page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import ipywidgets

from engine.record.client import last_run
from engine.record.run_list import LiveRun
from widgets.drawing import put
from widgets.requests import NewRun, OpenRun
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import called

TITLE = "Runs"
LAST = "Open the newest run in which something was changed."


def build(theme: Theme, act: Act) -> Drawn:
    """The run on the page, an offer to continue the last one, and a word on the others."""
    card = _Runs(act)
    return Drawn(card.widget, card.draw)


class _Runs:
    """The widgets of the card. The folder of runs is read again when another run comes onto the page."""

    def __init__(self, act: Act):
        self.here, self.others = ipywidgets.HTML(), ipywidgets.HTML()
        self.last: Path | None = None
        look = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
        self.go_on = ipywidgets.Button(description="Continue the last run", tooltip=LAST, **look)
        self.new = ipywidgets.Button(description="New run", tooltip="Begin again with what the controls say.", **look)
        self.go_on.on_click(lambda _: act(OpenRun(self.last.name)) if self.last is not None else None)
        self.new.on_click(lambda _: act(NewRun()))
        row = ipywidgets.Box([self.go_on, self.new])
        row.add_class("esp-buttons")
        self.widget = ipywidgets.VBox([self.here, self.others, row])
        self.shown: Path | None = None

    def draw(self, view: View) -> None:
        """Say which run this is, which was the last, and what the others are doing."""
        put(self.others, value=f'<div class="esp-says esp-one-line">{others(view.runs.found)}</div>')
        if view.folder is None or view.folder == self.shown:
            return
        self.shown = view.folder
        last = last_run()
        self.last = last if last is not None and last.name != view.folder.name else None
        tip = f"Open {called(self.last.name)}." if self.last is not None else "There is no earlier run to go on with."
        put(self.go_on, disabled=self.last is None, tooltip=tip)
        lines = (("This page", view.folder), ("Last run", self.last))
        put(self.here, value="".join(_line(words, folder) for words, folder in lines if folder is not None))


def others(found: Sequence[LiveRun]) -> str:
    """How many other runs there are and what they are doing, in a few words."""
    busy = sum(run.is_busy and run.awake for run in found)
    left = sum(run.is_busy and not run.awake for run in found)
    told = [f"{busy} at work"] * bool(busy) + [f"{left} unfinished"] * bool(left)
    return f"Other runs: {', '.join(told) or 'none at work'} (all are listed below)." if found else "There is no other run yet."


def _line(words: str, folder: Path) -> str:
    """One line, whatever a name's width: a second one would push the cards below out of the window."""
    name = escape(called(folder.name))
    return f'<div class="esp-says esp-one-line" title="{name}">{words}: <b>{name}</b></div>'
