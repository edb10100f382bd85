"""Every page shows one run, and a run is a folder that outlives the page. Open an earlier one to see it as it was and to go on
from there; a run goes on working while no page shows it."""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

import ipywidgets

from engine.record.client import last_run
from engine.record.folder import list_runs
from widgets.requests import NewRun, OpenRun
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Runs"
RECENT = 20


def build(theme: Theme, act: Act) -> Drawn:
    """The run on the page, an offer to continue the last one, and a menu of the others."""
    card = _Runs(act)
    return Drawn(card.widget, card.draw)


def called(name: str) -> str:
    """A run's name in words: "gpt2-tiny, 21 Nov 22:15 (3f9a1c)", in the time zone of this machine; other names as they are."""
    try:
        when = datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone()
    except ValueError:
        return name
    model, _, mark = name[17:].rpartition("-")
    return f"{model}, {when:%d %b %H:%M} ({mark})"


class _Runs:
    """The widgets of the card. The list of runs is read again when another run comes onto the page."""

    def __init__(self, act: Act):
        self.here = ipywidgets.HTML()
        self.last: Path | None = None
        look = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
        self.go_on = ipywidgets.Button(
            description="Continue the last run", tooltip="Open the newest run in which something was changed.", **look
        )
        self.menu = ipywidgets.Dropdown(description="Earlier runs", options=[], style={"description_width": "initial"})
        self.menu.layout.width = "100%"
        self.open = ipywidgets.Button(description="Open", tooltip="Show the run that is chosen.", **look)
        self.new = ipywidgets.Button(description="New run", tooltip="Begin again with what the controls say.", **look)
        self.go_on.on_click(lambda _: act(OpenRun(self.last.name)) if self.last is not None else None)
        self.open.on_click(lambda _: act(OpenRun(self.menu.value)) if self.menu.value else None)
        self.new.on_click(lambda _: act(NewRun()))
        row = ipywidgets.Box([self.go_on, self.open, self.new])
        row.add_class("esp-buttons")
        self.widget = ipywidgets.VBox([self.here, self.menu, row])
        self.shown: Path | None = None

    def draw(self, view: View) -> None:
        """Read the folder of runs, where the page has come to another run since."""
        if view.folder is None or view.folder == self.shown:
            return
        self.shown = view.folder
        earlier = [folder.name for folder in list_runs()[: RECENT + 1] if folder.name != view.folder.name][:RECENT]
        self.menu.options = [(called(name), name) for name in earlier]
        if earlier:
            self.menu.index = 0  # a menu that was empty stays without a choice
        last = last_run()
        self.last = last if last is not None and last.name != view.folder.name else None
        self.go_on.disabled, self.open.disabled, self.menu.disabled = self.last is None, not earlier, not earlier
        self.menu.tooltip = "Runs of this machine, the newest first." if earlier else "There is no other run yet."
        self.open.tooltip = "Show the run that is chosen." if earlier else "There is no other run yet."
        self.go_on.tooltip = (
            f"Open {called(self.last.name)}." if self.last is not None else "There is no earlier run to go on with."
        )
        self.here.value = "".join(
            _line(words, folder) for words, folder in (("This page", view.folder), ("Last run", self.last)) if folder is not None
        )


def _line(words: str, folder: Path) -> str:
    """One line, whatever a name's width: a second one would push the cards below out of the window."""
    name = escape(called(folder.name))
    return f'<div class="esp-says esp-one-line" title="{name}">{words}: <b>{name}</b></div>'
