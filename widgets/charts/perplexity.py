"""How surprised the model is by text that it has not seen, at each stage: 20 is as if it chose between 20 equally likely tokens,
and lower is better. The line from each point back to the baseline is what that stage costs; recovered counts beside its control,
which had the same training without pruning. A hollow point is a preview. A stage that was not measured has no point.
Where the axis is narrow, small differences look large: the words under it say by which factor it goes from end to end.

The chart knows nothing of how any of it was measured.
"""

import math
from collections.abc import Mapping
from html import escape

import ipywidgets
import numpy as np
from bqplot import Label, LinearScale, Lines, LogScale, Scatter

from engine.record.events import Evaluated, Previewed
from widgets.drawing import axis, columns, figure, icon, legend, line, notice, put, say, short, ticks
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Perplexity by stage"
SCALE = "Perplexity (log scale)"
STAGES = {"baseline": "baseline", "pruned": "pruned", "tuned": "recovered", "control": "control", "cut": "cut"}
ALWAYS = ("baseline", "pruned", "tuned", "control")  # rows that are there whether measured or not
SHAPES = {"baseline": "circle", "pruned": "square", "tuned": "diamond", "control": "triangle-up", "cut": "cross"}
BELOW = 0.45  # of a row, from the pruned stage's to its preview's, so that neither covers the other's words
ROOM, MARGIN = 0.66, 0.06  # of the width of the axis: for the points, so that the number beside the last fits; left of the first
LEAST = 1.25  # from the first point to the last: at a factor of two all points of a mild pruning stood in a fifth of the axis
NARROW = 2.0  # the factor from end to end below which an axis is said to be narrow


def build(theme: Theme, act: Act) -> Drawn:
    """A row for each stage on a logarithmic axis; nothing in it can be pressed."""
    chart = _Perplexity(theme)
    return Drawn(chart.widget, chart.draw, answers=True)


def span(values: list[float]) -> tuple[float, float, list[float]]:
    """The ends of a logarithmic axis for these values, never zero, at least a factor of `LEAST` apart, and its ticks."""
    least, most = (min(values), max(values)) if values else (10.0, 1000.0)
    decades = max(math.log10(LEAST), math.log10(most) - math.log10(least)) / ROOM
    low = max(10 ** (math.log10(least) - MARGIN * decades), least / 1e300)
    high = 10 ** min(math.log10(low) + decades, 300.0)  # what a broken model scores can come near the largest float
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for choice in ((1, 2, 5), (1,)):
        marks = [mark for mark in (power * digit for power in powers for digit in choice) if low <= mark <= high]
        if 3 <= len(marks) <= 6:
            return low, high, marks
    inside = [power for power in powers if low <= power <= high]
    return low, high, inside[:: math.ceil(len(inside) / 6)] if len(inside) > 6 else ticks(low, high, 4)


class _Perplexity:
    """The widgets of the chart."""

    def __init__(self, theme: Theme):
        self.across, self.down = LogScale(min=1.0, max=1000.0), LinearScale(min=-0.5, max=3.5, reverse=True)
        place = {"x": self.across, "y": self.down}
        empty = {"x": np.zeros(0), "y": np.zeros(0)}
        colours = theme.stages
        self.points = {
            stage: Scatter(**empty, scales=place, colors=[colours[stage]], marker=marker, default_size=90, stroke=theme.card)
            for stage, marker in SHAPES.items()
        }
        self.stems = {stage: Lines(**empty, scales=place, colors=[colours[stage]], stroke_width=3) for stage in STAGES}
        self.preview = Scatter(
            **empty, scales=place, colors=[colours["pruned"]], marker="square", default_size=90, fill=False,
            stroke=colours["pruned"], stroke_width=2,
        )  # fmt: skip
        self.still = Lines(**empty, scales=place, colors=[theme.baseline], stroke_width=1, line_style="dashed")
        text = {"scales": place, "default_size": 12, "x_offset": 9, "y_offset": 4}
        self.values = Label(**empty, text=np.array([], dtype="U1"), colors=[theme.text], font_weight="bold", **text)
        self.missing = Label(**empty, text=np.array([], dtype="U1"), colors=[theme.muted], font_weight="normal", **text)
        self.words = notice(theme)
        self.along = axis(theme, self.across, SCALE, grid=True, tick_format="~s")
        # The names are all there from the start: one that came with its row would be drawn a row too late.
        names = {str(number): name for number, name in enumerate(STAGES.values())}
        self.rows = axis(theme, self.down, "", "left", tick_values=np.arange(len(ALWAYS)), tick_labels=names)
        marks = [self.still, *self.stems.values(), *self.points.values(), self.preview, self.values, self.missing, self.words]
        self.figure = figure(theme, marks, [self.along, self.rows], left=70)
        self.hollow = (icon("M2 2H10V10H2Z", colours["pruned"]), "what the controls ask for, in brackets")
        self.protocol = ipywidgets.HTML()
        self.says = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.figure, self.protocol, self.says])
        self.widget.add_class("esp-perplexity")

    def draw(self, view: View) -> None:
        """Show what was measured, and the preview where it belongs to what the controls ask for now."""
        found, preview = view.state.standing.perplexity, view.preview
        stages = [stage for stage in STAGES if stage in ALWAYS or stage in found]
        row = {stage: float(number) for number, stage in enumerate(stages)}
        values = [each.perplexity for each in found.values()] + ([preview.perplexity] if preview else [])
        low, high, marks = span(values)
        put(self.across, min=low, max=high)
        put(self.down, max=len(stages) - 0.5)
        narrow = len(values) > 1 and high / low < NARROW
        label = f"{SCALE[:-1]}, narrow: ×{high / low:.2g} in all)" if narrow else SCALE
        put(self.along, tick_values=np.array(marks), label=label)
        put(self.rows, tick_values=np.arange(len(stages)))
        baseline = found["baseline"].perplexity if "baseline" in found else None
        for stage in STAGES:
            here = [(found[stage].perplexity, row[stage])] if stage in found else []
            put(self.points[stage], **columns(here))
            put(self.stems[stage], **columns([(baseline, row[stage]), *here] if here and baseline else []))
        put(self.preview, **columns([(preview.perplexity, row["pruned"] + BELOW)] if preview else []))
        put(self.still, **columns([(baseline, -0.5), (baseline, len(stages) - 0.5)] if baseline else []))
        # A number stands right of its point, of the stem and of the line of the baseline: on none of them.
        right = [(max(baseline or 0.0, each.perplexity), each.perplexity, row[stage]) for stage, each in found.items()]
        written = [(x, y, short(value)) for x, value, y in right]
        if preview:
            beside = max(baseline or 0.0, preview.perplexity)
            written.append((beside, row["pruned"] + BELOW, f"({short(preview.perplexity)})"))
        absent = [(baseline or low, row[stage], "not measured") for stage in stages if stage not in found] if values else []
        for label, texts in ((self.values, written), (self.missing, absent)):
            put(label, **columns([(x, y) for x, y, _ in texts]), text=np.array([text for *_, text in texts], dtype="U40"))
        say(self.words, *(() if values else ("No data yet", "The baseline is measured first")))
        put(self.protocol, value=legend([self.hollow] if preview else []) + line(_protocol(found), "legend"))
        put(self.says, value=line(_summary(found, preview), "says"))


def _protocol(found: Mapping[str, Evaluated]) -> str:
    """Under which protocol the stages were measured, which is the same for all that a run's state has; empty where none was."""
    if not found:
        return ""
    corpus, tokens, length, dtype = next(iter(found.values())).protocol
    return f"{escape(corpus)}, evaluation split, {tokens:,} tokens in blocks of {length:,}, {escape(dtype)}."


def _summary(found: Mapping[str, Evaluated], preview: Previewed | None) -> str:
    said = [f"{STAGES[stage]} {short(found[stage].perplexity) if stage in found else 'not measured'}" for stage in STAGES
            if stage in ALWAYS or stage in found]  # fmt: skip
    hollow = f" The controls would make it {short(preview.perplexity)} (preview on {preview.tokens:,} tokens)." if preview else ""
    words = ", ".join(said)
    return f"{words[0].upper()}{words[1:]}.{hollow}"
