"""Series of points on two axes, which plots join, leave alone or stand on stems; knows no kind of figure by its name.

Logarithms are taken here and not by bqplot's scales: a figure may have them or not, and a scale that is in use cannot change its
kind.
"""

import math
from collections.abc import Callable, Collection

import ipywidgets
import numpy as np
from bqplot import LinearScale, Lines, Scatter

from engine.record.figure import Figure, Place, Series, Value
from widgets import drawing
from widgets.drawing import axis, columns, figure, icon, legend, name_ticks, notice, put, say, short, strokes
from widgets.plots import Pick, Shown
from widgets.theme import Theme

Point = tuple[float, float]
HEIGHT = "330px"
MARKS = {
    "circle": "M2 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", "square": "M2.5 2.5H9.5V9.5H2.5Z", "diamond": "M6 1L11 6L6 11L1 6Z",
    "triangle-up": "M6 1.5L11 10.5H1Z", "cross": "M4 1H8V4H11V8H8V11H4V8H1V4H4Z", "triangle-down": "M6 10.5L1 1.5H11Z",
}  # fmt: skip
UNITS = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))  # of numbers beside an axis, from which size on
MARGIN = 0.06  # of an axis, beyond the outermost point at either end


class Marked:
    """The widgets: a line and points for each series, made as they are needed and used again for other figures."""

    def __init__(self, theme: Theme, pick: Pick):
        self.theme, self._pick = theme, pick
        self.across, self.up = LinearScale(min=0, max=1), LinearScale(min=0, max=1)
        self._scales = {"x": self.across, "y": self.up}
        ink = {"scales": self._scales, "labels_visibility": "none"}
        self._still = Lines(colors=[theme.baseline], stroke_width=1, line_style="dashed", **ink)
        empty = {"x": np.zeros(0), "y": np.zeros(0)}
        self._chosen = Scatter(
            **empty, scales=self._scales, colors=[theme.gone], fill=False, stroke=theme.gone, stroke_width=2.5, default_size=220
        )
        self._lines: list[Lines] = []
        self._spans: list[Lines] = []
        self._points: list[Scatter] = []
        self._cells: list[tuple[Place | None, ...]] = []
        self.words = notice(theme)
        self.along, self.left = axis(theme, self.across, "", grid=True), axis(theme, self.up, "", "left", grid=True)
        self.figure = figure(theme, [], [self.along, self.left], left=60)
        self.figure.layout.height = HEIGHT
        self._arrange()
        self.legend = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.figure, self.legend])
        self.widget.add_class("esp-marked")

    def draw(self, shown: Shown, joined: Collection[str], stems: bool = False) -> None:
        """Show a figure: the points of the series in `joined` are joined; with `stems` each stands on one, and x are words."""
        drawn = shown.figure
        words = list(dict.fromkeys(x for series in drawn.series for x in series.x)) if stems else []
        placed = [self._placed(drawn, series, number, words) for number, series in enumerate(drawn.series)]
        kept = [[pair for pair in pairs if all(map(math.isfinite, pair[0]))] for pairs in placed]
        self._make(len(kept))
        seen = [point for pairs in kept for point, _ in pairs]
        for axle in (self.along, self.left):
            put(axle, visible=bool(seen))
        say(self.words, *(() if seen else shown.empty))
        spans = [self._span(drawn, series, number, words) for number, series in enumerate(drawn.series)]
        still = [(_to(each.y, drawn.log_y), each.y) for each in drawn.lines]
        ends = [point for of_series in spans for span in of_series for point in span]
        self._fit(drawn, seen + ends, [high for high, _ in still], words)
        base = self.up.min
        for number, (line, span, points) in enumerate(zip(self._lines, self._spans, self._points, strict=True)):
            pairs = kept[number] if number < len(kept) else []
            at, colour = [point for point, _ in pairs], self._colour(drawn, number)
            name = drawn.series[number].name if number < len(drawn.series) else ""
            path = strokes([(x, base), (x, y)] for x, y in at) if stems else columns(at if name in joined else [])
            put(line, **path, colors=[colour], stroke_width=4.0 if stems else 1.8)
            put(span, **strokes(spans[number] if number < len(spans) else []), colors=[colour])
            put(points, **columns(at), colors=[colour], default_size=140 if name in drawn.fronts else 60)
        self._cells = [tuple(cell for _, cell in pairs) for pairs in kept]
        chosen = [point for pairs in kept for point, cell in pairs if cell is not None and cell == shown.chosen]
        put(self._chosen, **columns(chosen))
        put(self._still, **strokes([(self.across.min, high), (self.across.max, high)] for high, _ in still if seen))
        put(self.legend, value=self._legend(drawn, any(spans)) if seen else "")

    def _placed(self, drawn: Figure, series: Series, number: int, words: list[Value]) -> list[tuple[Point, Place | None]]:
        """The points of a series on the axes, each with its cell; no more than a browser can draw."""
        cells = series.cells or (None,) * len(series.x)
        found = []
        for x, y, cell in zip(series.x, series.y, cells, strict=True):
            found.append(((self._x(drawn, x, number, words), _to(y, drawn.log_y)), cell))
        step = math.ceil(len(found) / drawing.POINTS)
        return found[::step] if step > 1 else found

    def _x(self, drawn: Figure, x: Value, number: int, words: list[Value]) -> float:
        if not words:
            return _to(x, drawn.log_x)
        many = len(drawn.series)
        return words.index(x) + 0.5 + 0.7 * ((number + 0.5) / many - 0.5)

    def _span(self, drawn: Figure, series: Series, number: int, words: list[Value]) -> list[list[Point]]:
        """A stroke from the lowest to the highest of each point, where that is known and more than the point."""
        found = []
        for x, low, high in zip(series.x, series.low, series.high, strict=False):
            ends = [(self._x(drawn, x, number, words), _to(end, drawn.log_y)) for end in (low, high)]
            if low < high and all(math.isfinite(value) for end in ends for value in end):
                found.append(ends)
        return found

    def _fit(self, drawn: Figure, seen: list[Point], still: list[float], words: list[Value]) -> None:
        """Let the axes span what is there, and put ticks at round numbers."""
        low, high = _ends([x for x, _ in seen]) if not words else (0.0, float(len(words)))
        put(self.across, min=low, max=high)
        bottom, top = _ends([y for _, y in seen] + still * bool(seen))
        put(self.up, min=bottom, max=top)
        put(self.along, label=drawn.x_label)
        put(self.left, label=f"{drawn.y_label}{' (log scale)' if drawn.log_y else ''}")
        if words:
            name_ticks(self.along, {number + 0.5: str(word) for number, word in enumerate(words)})
        else:
            name_ticks(self.along, _named(low, high, drawn.log_x))
        name_ticks(self.left, _named(bottom, top, drawn.log_y))

    def _make(self, many: int) -> None:
        if many <= len(self._lines):
            return
        for number in range(len(self._lines), many):
            ink = {"scales": self._scales, "labels_visibility": "none", "x": np.zeros(0), "y": np.zeros(0)}
            self._lines.append(Lines(**ink))
            self._spans.append(Lines(stroke_width=1, opacities=[0.7], **ink))
            points = Scatter(
                x=np.zeros(0), y=np.zeros(0), scales=self._scales, marker=list(MARKS)[number % len(MARKS)], stroke=self.theme.card
            )
            points.on_element_click(self._clicks(number))
            self._points.append(points)
        self._arrange()

    def _arrange(self) -> None:
        self.figure.marks = [self._still, *self._spans, *self._lines, *self._points, self._chosen, self.words]

    def _clicks(self, series: int) -> Callable[[object, dict], None]:
        def clicked(_: object, message: dict) -> None:
            cells = self._cells[series] if series < len(self._cells) else ()
            number = int(message["data"]["index"])
            if number < len(cells) and cells[number] is not None:
                self._pick(cells[number])

        return clicked

    def _colour(self, drawn: Figure, number: int) -> str:
        names = [series.name for series in drawn.series]
        known = self.theme.named
        free = [colour for colour in self.theme.series if colour not in {known[name] for name in names if name in known}]
        name = names[number] if number < len(names) else ""
        return known.get(name) or free[number % len(free)]

    def _legend(self, drawn: Figure, has_spans: bool) -> str:
        entries = []
        for number, series in enumerate(drawn.series):
            colour = self._colour(drawn, number)
            if series.x and (series.name or len(drawn.series) > 1):
                entries.append((icon(list(MARKS.values())[number % len(MARKS)], colour, fill=colour, width=1), series.name))
        for each in drawn.lines:
            entries.append((icon("M0 6H26", self.theme.baseline, dash="4 3", width=1, across=26), f"{each.name} {short(each.y)}"))
        if has_spans:
            entries.append((icon("M6 0V12", self.theme.muted, width=1), "lowest to highest"))
        return legend(entries)


def _to(value: Value, log: bool) -> float:
    """Where a number stands on an axis; NaN for what cannot stand there."""
    if not isinstance(value, int | float):
        return math.nan
    return (math.log10(value) if value > 0 else math.nan) if log else float(value)


def _ends(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = MARGIN * (high - low) or max(0.05, 0.05 * abs(low))
    return low - room, high + room


def _named(low: float, high: float, log: bool) -> dict[float, str]:
    """The places of the ticks on an axis, and their words."""
    if log:
        marks = drawing.log_ticks(10**low, 10**high)
        return dict(zip(map(math.log10, marks), _words(marks), strict=True))
    marks = drawing.ticks(low, high)
    return dict(zip(marks, _words(marks), strict=True))


def _words(values: list[float]) -> list[str]:
    """Numbers beside an axis in few characters, but in so many that no two are alike; of parameters in thousands and millions."""
    largest = max(map(abs, values), default=0.0)
    size, letter = next(((size, letter) for least, size, letter in UNITS if largest >= least), (1.0, ""))
    for digits in range(3, 8):
        words = [f"{value / size:.{digits}g}{letter if value else ''}" for value in values]
        if len(set(words)) == len(words):
            break
    return words
