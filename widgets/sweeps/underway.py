"""The sweeps of this machine, the newest first: what each goes over, how far it is, and how long it will take. A sweep is a
process of its own: it goes on when this page is closed, and any page shows it. One that was stopped keeps its cells and can go
on."""

import math
from html import escape

import ipywidgets

from engine.record.errors import counted
from engine.record.sweep_folder import SweepState
from widgets.drawing import percent, put, short
from widgets.grid import rise_of, told
from widgets.requests import ChooseSweep, DiscardSweep, Download, GoOnSweep, KeepSweep, StopSweep
from widgets.sweeper import Sweeps
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import called, cells_left, stopped_words

TITLE = "Sweeps"
NONE = "There is no sweep yet. Say at the left what should differ from cell to cell, and start it."
PRESSES = {
    "Stop": (StopSweep, "End the process that carries it out; the cells that are done are kept."),
    "Go on": (GoOnSweep, "Carry out the cells that are not done, and those that failed once more."),
    "Delete": (DiscardSweep, "Delete it and its folder; you are asked first."),
}
TAKES = {
    "sweep-csv": ("Cells (CSV)", "Every cell, one a row: what it sets, its perplexity, parameters, seconds, or why it failed."),
    "sweep-json": ("Sweep (JSON)", "The sweep as python -m engine sweep takes it, and every cell."),
    "sweep-charts": ("Charts (PNG)", "Each chart of this sweep as a picture, as it is drawn now."),
}
NEAR = 1.05  # times the unpruned perplexity, up to which a model counts as near to it
HIDDEN, SHOWN = "none", None


def build(theme: Theme, act: Act) -> Drawn:
    """A menu of sweeps, how far the chosen one is, what can be done with it, and what can be taken away."""
    panel = _Underway(act)
    return Drawn(panel.widget, panel.draw)


def is_wanted(view: View) -> bool:
    """Always."""
    return True


def refusals(sweeps: Sweeps) -> dict[str, str]:
    """Why each button can do nothing for the sweep now; an empty sentence for one that can."""
    state = sweeps.state
    if state is None:
        return dict.fromkeys((*PRESSES, *TAKES), "There is no sweep yet.")
    over = "Every cell is done." if state.status == "finished" and not state.waiting else ""
    over = over or ("The search is over." if state.best is not None and state.status == "finished" else "")
    return {
        "Stop": "" if sweeps.going else "No process carries it out.",
        "Go on": "It goes on already." if sweeps.going else over,
        "Delete": "It is being carried out; stop it first." if sweeps.going else "",
        **dict.fromkeys(TAKES, ""),
    }


class _Underway:
    """The widgets of the panel, and the sweep that they speak of."""

    def __init__(self, act: Act):
        self._act, self._drawing, self._name = act, False, ""
        auto = {"layout": ipywidgets.Layout(width="auto"), "style": ipywidgets.ButtonStyle()}
        self.list = ipywidgets.Dropdown(options=[], description="Sweep", style={"description_width": "initial"})
        self.list.layout.width = "auto"
        self.list.observe(self._choose, "value")
        self.says = ipywidgets.HTML()
        self.buttons = {}
        for name, (request, _) in PRESSES.items():
            self.buttons[name] = ipywidgets.Button(description=name, disabled=True, **auto)
            self.buttons[name].on_click(lambda _, request=request: self._act(request(self._name)))
        for what, (words, _) in TAKES.items():
            self.buttons[what] = ipywidgets.Button(description=words, disabled=True, **auto)
            self.buttons[what].on_click(lambda _, what=what: self._act(Download(what)))
        yes = ipywidgets.Button(description="Delete it", tooltip="Delete the sweep; there is no way back.", **auto)
        no = ipywidgets.Button(description="Keep it", tooltip="Leave the sweep as it is.", **auto)
        yes.add_class("esp-danger")
        yes.on_click(lambda _: self._act(DiscardSweep(self._name, sure=True)))
        no.on_click(lambda _: self._act(KeepSweep()))
        self.row, self.sure = ipywidgets.Box(tuple(self.buttons.values())), ipywidgets.Box([yes, no])
        for box in (self.row, self.sure):
            box.add_class("esp-buttons")
        self.widget = ipywidgets.VBox([self.list, self.says, self.row, self.sure])
        self.widget.add_class("esp-underway")

    def draw(self, view: View) -> None:
        """Show the sweeps that there are, and how far the chosen one is."""
        sweeps = view.sweeps
        self._name = sweeps.chosen or ""
        options = tuple((f"{one.title} ({called(one.name)}{', at work' if one.going else ''})", one.name) for one in sweeps.found)
        self._drawing = True  # new options choose the first of them, which no hand has done
        with self.list.hold_sync():
            if tuple(self.list.options) != options:
                self.list.options = options
            put(self.list, value=sweeps.chosen if sweeps.chosen in [name for _, name in options] else None, disabled=not options)
        self._drawing = False
        tips = {name: tip for name, (_, tip) in (PRESSES | TAKES).items()}
        for name, reason in refusals(sweeps).items():
            put(self.buttons[name], disabled=bool(reason), tooltip=reason or tips[name])
        put(self.says, value=_said(sweeps))
        put(self.sure.layout, display=SHOWN if sweeps.doubt else HIDDEN)
        put(self.row.layout, display=HIDDEN if sweeps.doubt else SHOWN)

    def _choose(self, change: dict[str, object]) -> None:
        if not self._drawing and change["new"] is not None:
            self._act(ChooseSweep(change["new"]))


def _said(sweeps: Sweeps) -> str:
    if sweeps.state is None:
        return f'<div class="esp-says">{NONE}</div>{_answer(sweeps)}'
    share = measurements(sweeps.state)[0] / max(1, measurements(sweeps.state)[1])
    bar = f'<div class="esp-bar"><i style="width:{100 * share:.0f}%"></i></div>'
    told = f'<div role="status" class="esp-status">{escape(status_words(sweeps))}</div>{bar}'
    told += f'<div class="esp-says"><code>{escape(str(sweeps.folder))}</code></div>' if sweeps.folder else ""
    if sweeps.doubt:
        told += '<div role="alert" class="esp-refusal">Delete this sweep and all its cells? It cannot be undone.</div>'
    return told + _answer(sweeps)


def _answer(sweeps: Sweeps) -> str:
    if not sweeps.said:
        return ""
    return f'<div role="status" class="{"esp-refusal" if sweeps.refused else "esp-says"}">{escape(sweeps.said)}</div>'


def measurements(state: SweepState) -> tuple[int, int]:
    """So many cells are done or have failed, of so many; a search measures a tenth."""
    done, cells = len(state.done), len(state.sweep.cells)
    return (done, max(1, done, cells // 10)) if state.sweep.mode == "search" else (done, cells)


def status_words(sweeps: Sweeps) -> str:
    """How far a sweep is, how long it will take, and what has come of it; in sentences."""
    state = sweeps.state
    done, cells = measurements(state)
    failed = sum(one.status == "failed" for one in state.done.values())
    many = f"{done:,} of {counted(cells, 'cell')} done" + (f", {failed:,} of them failed" if failed else "")
    if sweeps.going:
        if sweeps.halted is not None:
            return f"{stopped_words(sweeps.halted, 'sweep')} {many[0].upper()}{many[1:]}."
        if state.status != "busy":
            return "It is starting, which takes some seconds: libraries and the model are read first."
        return f"At work: {many}{cells_left(sweeps.pace, cells - done)}."
    match state.status:
        case "finished":
            return f"Finished: {many}.{_best(state)}"
        case "stopped":
            return f"Stopped: {many}. It can go on.{_elsewhere(state)}"
        case "failed":
            return f"It came to nothing: {(state.failure or '').rstrip('.')}.{_elsewhere(state)}"
        case "interrupted":
            return f"Its process ended unasked: {many}. It can go on.{_elsewhere(state)}{_trouble(sweeps)}"
    return f"It was not begun.{_trouble(sweeps)}"


def _best(state: SweepState) -> str:
    if state.best is not None:
        cell = next(cell for cell in state.sweep.cells if cell.number == state.best.number)
        many = f"Best of {state.best.fit:,} that fit the budget, after {state.best.measured:,} measurements"
        return f" {many}: {told(cell)}, perplexity {short(state.best.perplexity)}, {state.best.parameters:,} parameters."
    good = [one for one in state.done.values() if one.status == "done"]
    if not good:
        return ""
    cells = {cell.number: cell for cell in state.sweep.cells}
    if len({one.parameters for one in good}) == 1:
        best = min(good, key=lambda one: one.perplexity)
        return f" Lowest perplexity: {short(best.perplexity)}, with {told(cells[best.number], len(state.sweep.seeds))}."
    # Where sizes differ the lowest is that of the least pruned, which says nothing.
    rises = [(one, rise) for one in good if (rise := rise_of(one)) is not None]
    near = [one for one, rise in rises if rise <= math.log(NEAR)]
    least = f"within {percent(NEAR - 1)} of the unpruned model's perplexity"
    if not near:
        return f" None is {least}." if rises else ""
    best = min(near, key=lambda one: (one.parameters, one.perplexity))
    what = f"{best.parameters:,} parameters, perplexity {short(best.perplexity)}"
    return f" The smallest {least}: {what}, with {told(cells[best.number], len(state.sweep.seeds))}."


def _elsewhere(state: SweepState) -> str:
    """That a sweep was carried out by a cluster, which the page starts none of."""
    if state.scheduler is None:
        return ""
    return f" It was carried out with --scheduler {state.scheduler}; “Go on” does the rest in one process of this machine."


def _trouble(sweeps: Sweeps) -> str:
    return f" The last it said: {sweeps.trouble}" if sweeps.trouble else ""
