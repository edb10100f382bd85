"""A question about pruning, and what its measurements say: choose an experiment and a model, and start it. The answer, its
charts and its table are worked out from the cells that are done so far, with their uncertainty; “cannot tell” is an answer. The
short form takes a minute or two on a built-in model, the full one a night. Click a point to put its recipe into the controls."""

from html import escape

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from engine.record.catalogue import models
from engine.record.errors import counted
from engine.record.figure import Table
from engine.record.scale import DURATIONS
from widgets.canvas import Canvas
from widgets.drawing import put, short
from widgets.experimenter import Tried, questions
from widgets.plots import Shown
from widgets.requests import ChooseExperiment, Download, PickCell, StartExperiment, StopExperiment
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import cells_left, stopped_words

TITLE = "Experiment"
START, STOP = "Start the experiment", "Stop it"
TIPS = {START: "Carry it out, or what is left of it, in a process of its own, which goes on when this page is closed.",
        STOP: "End the process that carries it out; the cells that are done are kept."}  # fmt: skip
TAKES = {"experiment-csv": "Its table (CSV)", "experiment-json": "All of it (JSON)", "experiment-charts": "Its chart (PNG)"}
INSTEAD = "Show the result that ships with this program."
HIDDEN, SHOWN = "none", None
TIMES = {f"{form} ({time})": form for form, time in DURATIONS.items()}
BEHIND = "In brackets: the interval of 95 % and the replicates, which are measurements with other seeds, criteria or models."
ROWS = 200  # of the table on the page; the CSV has all


def build(theme: Theme, act: Act) -> Drawn:
    """Menus, the question, the answer, one chart at a time, and the table."""
    panel = _Question(theme, act)
    return Drawn(panel.widget, panel.draw)


def is_wanted(view: View) -> bool:
    """Where any experiment ships."""
    return bool(view.tried.name)


class _Question:
    """The widgets of the panel, and the experiment that they show."""

    def __init__(self, theme: Theme, act: Act):
        self._act, self._drawing, self._tried = act, False, Tried()
        self._questions = {one.name: one for one in questions()}
        layout = ipywidgets.Layout(width="auto", max_width="100%")
        look = {"style": DescriptionStyle(description_width="initial"), "layout": layout}
        typed = {"style": TextStyle(description_width="initial"), "layout": layout, "continuous_update": False}
        names = [(one.title, one.name) for one in self._questions.values()]
        known = [model.name for model in models() if model.ready]
        self.name = ipywidgets.Dropdown(description="Experiment", options=names, **look)
        self.model = ipywidgets.Combobox(description="On the model", options=known, **typed)
        self.form = ipywidgets.Dropdown(description="Form", options=list(TIMES.items()), **look)
        for each in (self.name, self.model, self.form):
            each.observe(lambda _: self._choose(), "value")
        self.start, self.stop = (ipywidgets.Button(description=words, layout={"width": "auto"}) for words in (START, STOP))
        self.start.on_click(lambda _: act(StartExperiment()))
        self.stop.on_click(lambda _: act(StopExperiment()))
        self.start.add_class("esp-primary")
        self.which = ipywidgets.Dropdown(description="Chart", options=[], **look)
        self.which.observe(lambda _: self._plot(), "value")
        self.takes = [ipywidgets.Button(description=words, layout={"width": "auto"}) for words in TAKES.values()]
        for what, button in zip(TAKES, self.takes, strict=True):
            button.on_click(lambda _, what=what: act(Download(what)))
        self.instead = ipywidgets.Button(description="", tooltip=INSTEAD, layout=ipywidgets.Layout(width="auto", display=HIDDEN))
        self.instead.on_click(lambda _: act(ChooseExperiment(self._tried.name, *self._tried.instead)))
        asking = ipywidgets.Box([self.name, self.model, self.form, self.start, self.stop])
        self.showing = ipywidgets.Box([self.which, *self.takes])
        for row in (asking, self.showing):
            row.add_class("esp-buttons")
        self.about, self.says, self.picked, self.table = (ipywidgets.HTML() for _ in range(4))
        self.canvas = Canvas(theme, lambda place: act(PickCell(place.sweep, place.number)))
        self.widget = ipywidgets.VBox(
            [asking, self.about, self.says, self.instead, self.showing, self.canvas.widget, self.picked, self.table]
        )
        self.widget.add_class("esp-question")

    def draw(self, view: View) -> None:
        """Show the experiment as far as it is done."""
        tried = view.tried
        if tried is self._tried:
            return
        self._tried = tried
        titles = tuple(figure.title for figure in tried.figures)
        self._drawing = True
        put(self.name, value=tried.name)
        put(self.model, value=tried.model)
        put(self.form, value=tried.form)
        options = tuple((title, number) for number, title in enumerate(titles))
        if tuple(self.which.options) != options:
            kept = self.which.value if self.which.value is not None and self.which.value < len(titles) else 0
            with self.which.hold_sync():
                self.which.options = options
                self.which.value = kept if options else None
        self._drawing = False
        left = tried.cells - tried.done
        put(self.start, disabled=tried.going or not left, tooltip="It goes on already." if tried.going else TIPS[START])
        put(self.stop, disabled=not tried.going, tooltip=TIPS[STOP] if tried.going else "No process carries it out.")
        put(self.instead.layout, display=SHOWN if tried.instead else HIDDEN)
        if tried.instead:
            put(self.instead, description=f"Show {', '.join(tried.instead)}")
        put(self.showing.layout, display=SHOWN if titles else HIDDEN)
        put(self.about, value=self._about())
        put(self.says, value=_said(tried))
        put(self.picked, value=f'<div role="status" class="esp-says">{escape(tried.picked)}</div>' if tried.picked else "")
        put(self.table, value=_table(tried.table))
        self._plot()

    def _choose(self) -> None:
        if not self._drawing:
            self._act(ChooseExperiment(self.name.value, self.model.value.strip(), self.form.value))

    def _plot(self) -> None:
        if self._drawing:
            return
        if not self._tried.figures:
            self.canvas.clear()
        elif self.which.value is not None:
            self.canvas.draw(
                Shown(self._tried.figures[self.which.value], empty=("No data yet", "Its cells are not measured yet"))
            )

    def _about(self) -> str:
        one = self._questions.get(self._tried.name)
        if one is None:
            return ""
        line = f"python -m engine experiment {one.name} --model {self._tried.model} --form {self._tried.form}"
        how = f"<details><summary>How it is judged, and the line that does it again</summary><p>{escape(one.how)}</p>"
        return f'<p class="esp-says"><b>{escape(one.question)}</b></p>{how}<pre class="esp-code">{escape(line)}</pre></details>'


def _said(tried: Tried) -> str:
    failed = f", {tried.failed:,} failed" if tried.failed else ""
    told = f"{tried.done:,} of {counted(tried.cells, 'cell')} done{' here' if tried.shipped else ''}{failed}"
    if tried.going:
        halted = stopped_words(tried.halted, "experiment")
        told = f"{halted or 'At work:'} {told}{cells_left(tried.pace, tried.cells - tried.done - tried.failed) * (not halted)}"
    bar = f'<div class="esp-bar"><i style="width:{100 * tried.done / max(1, tried.cells):.0f}%"></i></div>'
    last = f'<div role="status" class="{"esp-refusal" if tried.refused else "esp-says"}">{escape(tried.said)}</div>'
    return f'<div class="esp-says">{told}.</div>{bar}{last if tried.said else ""}{_answer(tried)}'


def _answer(tried: Tried) -> str:
    """The verdicts, each with the numbers behind it, and where these are from."""
    if not tried.answer:
        return ""
    told = [f"{each.numbers[:1].upper()}{each.numbers[1:]}." if each.numbers else "" for each in tried.answer]
    behind = [f'<span class="esp-behind">{escape(each)}</span>' if each else "" for each in told]
    verdicts = "".join(f"<li><b>{escape(each.says)}.</b> {more}</li>" for each, more in zip(tried.answer, behind, strict=True))
    notes = " ".join(filter(None, (tried.shipped, BEHIND if any(behind) else "")))
    return f'<ul class="esp-answer">{verdicts}</ul>' + (f'<p class="esp-legend">{escape(notes)}</p>' if notes else "")


def _table(table: Table | None) -> str:
    if table is None:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(_cell(each))}</td>' for each in row)}</tr>" for row in table.rows[:ROWS])
    return (
        '<details><summary>Table</summary><div class="esp-scroll" tabindex="0" role="region" aria-label="Table">'
        f'<table class="esp-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>'
    )


def _cell(value: object) -> str:
    return "–" if value is None else short(value) if isinstance(value, int | float) else str(value)
