"""The other runs of this machine, the newest first, and what each is doing. Choose one to show it here, to have it go on or stop
where it is, or to delete it. A run that a process carries out, or that is on another page, is not deleted."""

from html import escape

import ipywidgets

from engine.record.run_list import LiveRun
from widgets.drawing import put
from widgets.requests import ChooseRun, DiscardRun, KeepRun, OpenRun, ResumeRun, StopRun
from widgets.roster import BUTTONS, Runs, refusals
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import called, run_words

TITLE = "All runs"
ROWS = 6
ASKS = {"Open run": OpenRun, "Resume run": ResumeRun, "Stop run": StopRun, "Discard run": DiscardRun}
HIDDEN, SHOWN = "none", None


def build(theme: Theme, act: Act) -> Drawn:
    """A list, what is to be said of the run that is chosen, a row of buttons for it, and the question before it is deleted."""
    panel = _Machine(act)
    return Drawn(panel.widget, panel.draw)


class _Machine:
    """The widgets of the panel, and the runs that they show."""

    def __init__(self, act: Act):
        self.act, self.runs = act, Runs()
        self._drawing = False
        auto = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
        self.list = ipywidgets.Select(options=[], rows=ROWS, description="Other runs", style={"description_width": "initial"})
        self.list.layout.width = "auto"
        self.list.observe(self._choose, "value")
        self.says = ipywidgets.HTML()
        self.buttons = {name: ipywidgets.Button(description=name, disabled=True, **auto) for name in BUTTONS}
        for name, button in self.buttons.items():
            button.on_click(lambda _, ask=ASKS[name]: self._ask(ask))
        yes = ipywidgets.Button(description="Delete it", tooltip="Delete the run and its folder; there is no way back.", **auto)
        no = ipywidgets.Button(description="Keep it", tooltip="Leave the run as it is.", **auto)
        yes.add_class("esp-danger")
        yes.on_click(lambda _: self._ask(DiscardRun, sure=True))
        no.on_click(lambda _: self.act(KeepRun()))
        row, self.sure = ipywidgets.Box(tuple(self.buttons.values())), ipywidgets.Box([yes, no])
        self.sure.layout.display = HIDDEN
        for box in (row, self.sure):
            box.add_class("esp-buttons")
        beside = ipywidgets.VBox([self.says, row, self.sure])
        self.widget = ipywidgets.Box([self.list, beside])
        self.widget.add_class("esp-machine")

    def draw(self, view: View) -> None:
        """Show the runs as they were last read."""
        runs = self.runs = view.runs
        options = tuple((f"{called(run.name)}: {_briefly(run)}", run.name) for run in runs.found)
        self._drawing = True  # new options choose the first of them, which no hand has done
        with self.list.hold_sync():
            if tuple(self.list.options) != options:
                self.list.options = options
            put(self.list, value=runs.chosen, disabled=not options)
        self._drawing = False
        for name, reason in refusals(runs.run).items():
            put(self.buttons[name], disabled=bool(reason), tooltip=reason or BUTTONS[name])
        put(self.says, value=_said(runs))
        put(self.sure.layout, display=SHOWN if runs.doubt and runs.run else HIDDEN)

    def _choose(self, change: dict[str, object]) -> None:
        if not self._drawing and change["new"] is not None:
            self.act(ChooseRun(change["new"]))

    def _ask(self, request: type, **more: bool) -> None:
        if self.runs.run is not None:
            self.act(request(self.runs.run.name, **more))


def _briefly(run: LiveRun) -> str:
    """Without the count of steps: a list that changes every second cannot be read."""
    words = run_words(run).partition(", step ")[0]
    return f"{words[:48]}…" if len(words) > 49 else words


def _said(runs: Runs) -> str:
    run = runs.run
    if run is None:
        told = "There is no other run yet."
        return f'<div class="esp-says">{told}</div>{_answer(runs)}'
    awake = f"process {run.worker}" if run.worker else "a process is there" if run.awake else "asleep"
    name, what = escape(called(run.name)), escape(f"{run_words(run)}; {awake}")
    told = f'<div class="esp-says"><b>{name}</b>: {what}.</div><div class="esp-says"><code>{escape(run.folder)}</code></div>'
    if runs.doubt:
        return (
            f'{told}<div role="alert" class="esp-refusal">Delete {name} and all that is in its folder? It cannot be undone.</div>'
        )
    return told + _answer(runs)


def _answer(runs: Runs) -> str:
    if not runs.said:
        return ""
    return f'<div role="status" class="{"esp-refusal" if runs.refused else "esp-says"}">{escape(runs.said)}</div>'
