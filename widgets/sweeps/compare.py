"""Runs side by side: only the fields in which their recipes differ, perplexity before and after, and parameters; below that the
losses of their recoveries or their perplexities in one chart. Choose some in the list (with Ctrl or Shift several); while none is
chosen, all that were pruned are shown. Look whether what differs in the recipes explains what differs in the numbers."""

from collections.abc import Sequence
from html import escape

import ipywidgets

from engine.record.figure import Figure, Series
from engine.record.standing import Curve
from widgets.axes import label_of
from widgets.canvas import Canvas
from widgets.charts.loss import forward, smoothed
from widgets.comparer import STAGES, Compared, Ran, cells_of, differing
from widgets.drawing import line, put, short, thin
from widgets.grid import worded
from widgets.plots import Shown
from widgets.requests import ChooseRuns, Download
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import called

TITLE = "Runs side by side"
MOST, WIDE = 7, 300  # fields of the table, and points of a curve
TOGETHER = 6  # runs whose curves are drawn in one chart
NONE = "No run has been pruned yet. What is done in the laboratory is listed here."
CHARTS = {"Loss in recovery": "loss", "Perplexity by stage": "perplexity"}
TAKES = {"runs-csv": "Table (CSV)", "runs-json": "Table (JSON)", "runs-charts": "Chart (PNG)"}


def build(theme: Theme, act: Act) -> Drawn:
    """A list to choose from, a table, and a chart of the chosen runs."""
    panel = _Runs(theme, act)
    return Drawn(panel.widget, panel.draw)


def is_wanted(view: View) -> bool:
    """Always."""
    return True


class _Runs:
    """The widgets of the panel, and the runs that they show."""

    def __init__(self, theme: Theme, act: Act):
        self._act, self._drawing, self._compared = act, False, Compared()
        wide = {"description_width": "initial"}
        self.list = ipywidgets.SelectMultiple(options=[], rows=6, description="Runs", style=wide, layout={"width": "auto"})
        self.list.observe(self._choose, "value")
        self.chart = ipywidgets.Dropdown(description="Chart", options=list(CHARTS.items()), style=wide, layout={"width": "auto"})
        self.chart.observe(lambda _: self._plot(), "value")
        self.buttons = [ipywidgets.Button(description=words, disabled=True, layout={"width": "auto"}) for words in TAKES.values()]
        for what, button in zip(TAKES, self.buttons, strict=True):
            button.on_click(lambda _, what=what: act(Download(what)))
        self.table, self.says, self.canvas = ipywidgets.HTML(), ipywidgets.HTML(), Canvas(theme, lambda place: None)
        row = ipywidgets.Box([self.chart, *self.buttons])
        row.add_class("esp-buttons")
        self.widget = ipywidgets.VBox([self.list, self.table, row, self.canvas.widget, self.says])
        self.widget.add_class("esp-ran")

    def draw(self, view: View) -> None:
        """Show the runs as they were last read."""
        compared = self._compared = view.compared
        options = tuple((_called(ran), ran.name) for ran in compared.found)
        self._drawing = True
        with self.list.hold_sync():
            if tuple(self.list.options) != options:
                self.list.options = options
            put(self.list, value=tuple(name for name in compared.chosen if name in [name for _, name in options]))
        self._drawing = False
        for button in self.buttons:
            put(button, disabled=not compared.shown)
        put(self.table, value=_table(compared.shown))
        self._plot()

    def _choose(self, change: dict[str, object]) -> None:
        if not self._drawing:
            self._act(ChooseRuns(tuple(change["new"])))

    def _plot(self) -> None:
        runs = self._compared.shown[:TOGETHER]
        figure = _losses(runs) if self.chart.value == "loss" else _perplexities(runs)
        empty = "Recover a pruned model in the laboratory" if self.chart.value == "loss" else "Prune a model in the laboratory"
        self.canvas.draw(Shown(figure, empty=("No data yet", empty)))
        put(self.says, value=line(escape(_said(self._compared, figure)), "says"))


def _called(ran: Ran) -> str:
    found = ran.state.standing.perplexity
    told = " → ".join(short(found[stage].perplexity) for stage in ("baseline", "pruned", "tuned") if stage in found)
    return f"{called(ran.name)}: perplexity {told}" if told else f"{called(ran.name)}: nothing measured"


def _table(runs: Sequence[Ran]) -> str:
    if not runs:
        return f'<p class="esp-says">{NONE}</p>'
    head, rows = cells_of(runs)
    many = len(differing(runs))
    left = max(0, many - MOST)
    kept = [0, *range(1, 1 + many - left), *range(1 + many, len(head))]
    titles = "".join(f"<th>{escape(label_of(head[at]))}</th>" for at in kept)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_cell(head[at], row[at]))}</td>' for at in kept)}</tr>" for row in rows)
    more = f" {left:,} more fields differ; the CSV has them all." if left else ""
    same = "" if many or len(rows) < 2 else " Their recipes do not differ."
    return (
        f'<div class="esp-scroll" tabindex="0" role="region" aria-label="Runs"><table class="esp-table"><thead><tr>{titles}</tr>'
        f'</thead><tbody>{body}</tbody></table></div><p class="esp-says">{more}{same}</p>'
    )


def _cell(field: str, value: object) -> str:
    if field == "run":
        return called(str(value))
    if value is None:
        return "–"
    return short(value) if field.startswith("perplexity") else worded(field, value)


def _losses(runs: Sequence[Ran]) -> Figure:
    curves = {called(ran.name): ran.state.standing.curves.get("tuned") for ran in runs}
    series = [_curve(name, curve) for name, curve in curves.items() if curve is not None]
    return Figure("runs", "curves", "Loss in recovery", "step", "loss, nats per token", tuple(series))


def _curve(name: str, curve: Curve) -> Series:
    """The validation losses of a recovery where there are several, else its training losses, smoothed."""
    points = forward(curve.validation) if len(curve.validation) > 1 else thin(smoothed(forward(curve.training)), WIDE)
    return Series(name, tuple(step for step, _ in points), tuple(loss for _, loss in points))


def _perplexities(runs: Sequence[Ran]) -> Figure:
    series = []
    for ran in runs:
        found = {STAGES[stage]: one.perplexity for stage, one in ran.state.standing.perplexity.items() if stage in STAGES}
        names = [name for name in STAGES.values() if name in found]
        series.append(Series(called(ran.name), tuple(names), tuple(found[name] for name in names)))
    return Figure("runs", "bars", "Perplexity by stage", "", "perplexity", tuple(series), log_y=True)


def _said(compared: Compared, figure: Figure) -> str:
    shown, drawn = len(compared.shown), len([series for series in figure.series if series.x])
    if not drawn:
        return "Nothing to draw of these runs."
    losses = "validation losses where a run has them, training losses, smoothed, where not"
    what = losses if figure.kind == "curves" else "perplexities"
    return f"{drawn:,} of {shown:,} runs: {what}.{_unlike(compared.shown)}"


def _unlike(runs: Sequence[Ran]) -> str:
    """That some runs were measured otherwise than others, by what; empty where all were measured alike."""
    found = {one.protocol for ran in runs for one in ran.state.standing.perplexity.values()}
    if len(found) < 2:
        return ""
    told = " and ".join(
        f"{corpus}, {tokens:,} tokens in blocks of {length:,}, {dtype}" for corpus, tokens, length, dtype in sorted(found)
    )
    return f" They were not measured alike ({told}): where that differs, do not compare their perplexities."
