"""Memory in use since the run began: by the process that computes, by the whole machine, and by the accelerator where there is
one, each with its limit; in a container or a job whose limit leaves less than the machine has, by all that is in it. Look whether
memory comes near that limit while a model trains: past it the run would be ended.
Below stands what a command was expected to hold, told before it begins, and what it held.

Samples are shown as they came.
"""

from collections.abc import Sequence

import ipywidgets
import numpy as np
from bqplot import LinearScale, Lines

from engine.record.events import MemorySampled
from engine.record.memory_fit import Room
from engine.record.state import RunState
from widgets.drawing import axis, columns, figure, legend, line, notice, percent, put, say, swatch, thin, ticks
from widgets.theme import Theme
from widgets.view import Act, Drawn, View
from widgets.words import size

TITLE = "Memory"
GIB = 2**30
POINTS = 300  # a line: one sample a second is a point a minute after five hours
EVERY = 5.0  # seconds between two drawings while something is computed: memory grows slowly
Samples = Sequence[tuple[float, MemorySampled]]


def build(theme: Theme, act: Act) -> Drawn:
    """Lines over time and a gauge in words beside them; nothing in it can be pressed."""
    chart = _Memory(theme)
    return Drawn(chart.widget, chart.draw, EVERY)


class _Memory:
    """The widgets of the chart, and the samples that they show."""

    def __init__(self, theme: Theme):
        self.across, self.up = LinearScale(min=0, max=1), LinearScale(min=0, max=1)
        place = {"scales": {"x": self.across, "y": self.up}, "labels_visibility": "none"}
        looks = {"process": (theme.heads, "solid", ""), "system": (theme.baseline, "dashed", "6 3"),
                 "accelerator": (theme.blocks[2], "dotted", "2 3")}  # fmt: skip
        self.lines, self.limits, self.entries = {}, {}, {}
        for each, (colour, style, dash) in looks.items():
            self.lines[each] = Lines(colors=[colour], stroke_width=1.8, line_style=style, **place)
            self.entries[each] = (swatch(colour, dash=dash), NAMES[each])
            if each in TOTALS:
                self.limits[each] = Lines(colors=[colour], stroke_width=1, line_style="dash_dotted", **place)
        self.limit = (swatch(theme.baseline, dash="8 3 2 3", width=1), "limit")
        self.words = notice(theme, top=0.8, gap=0.22)
        self.along = axis(theme, self.across, "Minutes")
        self.left = axis(theme, self.up, "GiB", "left", grid=True)
        self.figure = figure(theme, [*self.limits.values(), *self.lines.values(), self.words], [self.along, self.left])
        self.figure.layout.height = theme.low_height
        self.gauge, self.legend = ipywidgets.HTML(), ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.figure, self.legend, self.gauge])
        self.widget.add_class("esp-memory")
        self.shown: Samples | None = None
        self.room: Room | None = None

    def draw(self, view: View) -> None:
        """Show the samples that the run has."""
        samples, room = view.state.memory, view.state.room
        if samples is self.shown and room is self.room:
            return
        self.shown, self.room = samples, room
        start = samples[0][0] if samples else 0.0
        end = max(1.0, (samples[-1][0] - start) / 60) if samples else 1.0
        last = samples[-1][1] if samples else None
        for each, drawn in self.lines.items():
            used = [((at - start) / 60, value / GIB) for at, sample in samples if (value := getattr(sample, each)) is not None]
            put(drawn, **columns(thin(used, POINTS)))
        limits = {each: getattr(last, total) if last else None for each, total in TOTALS.items()}
        for each, drawn in self.limits.items():
            put(drawn, **columns([(0, limits[each] / GIB), (end, limits[each] / GIB)] if limits[each] else []))
        top = 1.06 * max((limit / GIB for limit in limits.values() if limit), default=1.0)
        put(self.across, max=end)
        put(self.up, max=top)
        put(self.along, tick_values=np.array(ticks(0, end)))
        put(self.left, tick_values=np.array(ticks(0, top, 3)))
        there = {each: entry for each, entry in self.entries.items() if last and getattr(last, each) is not None}
        if last and last.grouped:
            there["system"] = (there["system"][0], GROUPED)
        put(self.legend, value=legend([*there.values(), *([self.limit] if last else [])]))
        gauge = _gauge(last) if last else line("Memory has not been measured yet.", "says")
        process = line(f"The process has {last.process / GIB:.1f} GiB.", "says") if last else ""
        put(self.gauge, value=gauge + (_expected(view.state) or process))
        say(self.words, *(() if last else ("No data yet", "Measured while a worker runs")))


WHAT = {"Load": "Loading", "Score": "Scoring", "Preview": "Previewing", "Prune": "Pruning", "Tune": "Recovering",
        "Suggest": "Suggesting", "Agree": "Comparing criteria", "Evaluate": "Measuring", "Sample": "Writing a text",
        "Cut": "Making the smaller model"}  # fmt: skip
NAMES = {"process": "process", "system": "machine", "accelerator": "accelerator"}
GROUPED = "container"  # what the system calls a control group: for people it is that, or the job of a batch system
TOTALS = {"system": "system_total", "accelerator": "accelerator_total"}


def _gauge(last: MemorySampled) -> str:
    """A bar for each memory that has a limit, with the same in words."""
    bars = [((GROUPED if last.grouped else NAMES["system"]).capitalize(), last.system, last.system_total)]
    if last.accelerator is not None and last.accelerator_total:
        bars.append(("Accelerator", last.accelerator, last.accelerator_total))
    return "".join(_bar(*bar) for bar in bars)


def _expected(state: RunState) -> str:
    """What the command in hand, or the last one that was foretold, is expected to hold, and what it held; in a line of a narrow
    card. A preview is no news: it takes what a pruning takes."""
    found = {name: one for name, one in state.room.estimates.items() if name != "Preview" or name == state.doing}
    if not found:
        return ""
    name, told = list(found.items())[-1]
    what, held = WHAT.get(name, name), state.room.peaks.get(name)
    if state.doing != name and held is not None:
        return line(f"{what} held {size(held)}; expected: {size(told.total)}.", "says")
    tight = "" if told.fits else f" <b>That is more than the {size(told.available)} that are there.</b>"
    return line(f"{what} should hold {size(told.total)}.{tight}", "says")


def _bar(name: str, used: int, total: int) -> str:
    full = min(100, round(100 * used / total))
    words = f"{name}: {used / GIB:.1f} of {total / GIB:.1f} GiB, {percent(used / total)} full".replace(" ", "\u00a0")
    drawn = f'<span class="esp-gauge-bar"><span class="esp-gauge-full" style="width:{full}%"></span></span>'
    meter = f'role="meter" aria-label="{name} memory" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{full}"'
    return f'<div class="esp-gauge" {meter}>{drawn} {words}</div>'
