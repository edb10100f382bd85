"""Series of points on two axes, which plots join, leave alone or stand on stems; knows no kind of figure by its name.

Logarithms are taken here and not by bqplot's scales: a figure may have them or not, and a scale that is in use cannot change its
kind.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise

import ipywidgets
import numpy as np
from bqplot import LinearScale, Lines, Scatter

from engine.record.figure import Figure, Place, Series, Value
from widgets import drawing
from widgets.drawing import axis, columns, figure, icon, legend, name_ticks, notice, put, say, short, strokes
from widgets.plots import Pick, Shown
from widgets.scales import few, named, stand
from widgets.theme import Theme

Point = tuple[float, float]
HEIGHT = "330px"
MARKS = {
    "circle": "M2 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", "square": "M2.5 2.5H9.5V9.5H2.5Z", "diamond": "M6 1L11 6L6 11L1 6Z",
    "triangle-up": "M6 1.5L11 10.5H1Z", "cross": "M4 1H8V4H11V8H8V11H4V8H1V4H4Z", "triangle-down": "M6 10.5L1 1.5H11Z",
}  # fmt: skip
DASHES = ("solid", "dashed", "dotted", "dash_dotted")  # of joined series that have one colour
DASHED = {"solid": "", "dashed": "6 3", "dotted": "2 3", "dash_dotted": "6 3 2 3"}
MARGIN = 0.06  # of an axis, beyond the outermost point at either end
SIZES = (190, 124, 76, 44, 24, 14)  # of points that are not joined: what comes later lies on what came before, and hides it not
PLAIN, RING, CHOSEN = 60, 270, 420
LETTER, LEFT = 6.6, 76  # pixels: of a letter beside an axis, and of the margin that holds the longest number and the title


class Marked:
    """The widgets: a line and points for each series, made as they are needed and used again for other figures."""

    def __init__(self, theme: Theme, pick: Pick):
        self.theme, self._pick = theme, pick
        self.across, self.up = LinearScale(min=0, max=1), LinearScale(min=0, max=1)
        self._scales = {"x": self.across, "y": self.up}
        ink = {"scales": self._scales, "labels_visibility": "none"}
        self._still = Lines(colors=[theme.baseline], stroke_width=1, line_style="dashed", **ink)
        self._ground = Lines(colors=[theme.muted], stroke_width=1, **ink)
        empty = {"x": np.zeros(0), "y": np.zeros(0)}
        self._chosen = Scatter(
            **empty,
            scales=self._scales,
            colors=[theme.gone],
            fill=False,
            stroke=theme.gone,
            stroke_width=2.5,
            default_size=CHOSEN,
        )
        self._lines: list[Lines] = []
        self._spans: list[Lines] = []
        self._points: list[Scatter] = []
        self._cells: list[tuple[Place | None, ...]] = []
        self.words = notice(theme)
        self.along, self.left = axis(theme, self.across, "", grid=True), axis(theme, self.up, "", "left", grid=True)
        self.figure = figure(theme, [], [self.along, self.left], left=LEFT)
        self.figure.layout.height = HEIGHT
        self._arrange()
        self.legend = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.figure, self.legend])
        self.widget.add_class("esp-marked")

    def draw(self, shown: Shown, joined: Collection[str], stems: bool = False, steps: bool = False) -> None:
        """Show a figure: the points of the series in `joined` are joined, by `steps` where that is asked for; with `stems` each
        stands or hangs on one from the figure's base, where it has one, and x are words."""
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
        still = [(stand(each.y, drawn.log_y), each.y) for each in drawn.lines]
        ends = [point for of_series in spans for span in of_series for point in span]
        base = [stand(drawn.base, drawn.log_y)] if stems and drawn.base is not None else []
        self._fit(drawn, seen + ends, [high for high, _ in still] + base, words)
        names, looks = [series.name for series in drawn.series], self._looks(drawn, joined)
        for number, (line, span, points) in enumerate(zip(self._lines, self._spans, self._points, strict=True)):
            pairs = kept[number] if number < len(kept) else []
            at = [point for point, _ in pairs]
            name, look = (names[number], looks[number]) if number < len(names) else ("", _Look(self.theme.baseline))
            line_of = _steps(at) if steps else at
            path = (
                strokes([(x, low), (x, y)] for x, y in at for low in base)
                if stems
                else columns(line_of if name in joined else [])
            )
            width, faint = (4.0, 0.4) if stems else (1.8, 1.0)
            put(line, **path, colors=[look.colour], stroke_width=width, opacities=[faint], line_style=look.dash)
            put(span, **strokes(spans[number] if number < len(spans) else []), colors=[look.colour])
            ring = {"fill": not look.ring, "stroke": look.colour if look.ring else self.theme.card}
            ring |= {
                "stroke_width": 2.0 if look.ring else 0.5 if drawn.fronts else 1.5,
                "marker": look.mark,
                "default_size": look.size,
            }
            put(points, **columns(at), colors=[look.colour], **ring)
        self._cells = [tuple(cell for _, cell in pairs) for pairs in kept]
        chosen = [point for pairs in kept for point, cell in pairs if cell is not None and cell == shown.chosen]
        put(self._chosen, **columns(chosen))
        put(self._still, **strokes([(self.across.min, high), (self.across.max, high)] for high, _ in still if seen))
        put(self._ground, **strokes([(self.across.min, low), (self.across.max, low)] for low in base if seen))
        put(self.legend, value=self._legend(drawn, looks, any(spans)) if seen else "")

    def _looks(self, drawn: Figure, joined: Collection[str]) -> list["_Look"]:
        """How each series is drawn: of one colour by dashes and marks, a front as a line with rings."""
        names, found = [series.name for series in drawn.series], []
        colours, marks, many = self.theme.colours(names), 0, len(names) - len(drawn.fronts)
        sizes = SIZES[max(0, 4 - many) :] if many > 1 else (PLAIN,)  # no larger than they have to be
        for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
            if name in drawn.fronts:
                found.append(_Look(colour, "circle", RING, ring=True))
                continue
            same = sum(other == colour for other in colours[:number])
            size = PLAIN if name in joined or not drawn.fronts else sizes[marks % len(sizes)]
            dash = DASHES[same % len(DASHES)] if name in joined else DASHES[0]
            found.append(_Look(colour, list(MARKS)[marks % len(MARKS)], size, dash))
            marks += 1
        return found

    def _placed(self, drawn: Figure, series: Series, number: int, words: list[Value]) -> list[tuple[Point, Place | None]]:
        """The points of a series on the axes, each with its cell; no more than a browser can draw."""
        cells = series.cells or (None,) * len(series.x)
        found = []
        for x, y, cell in zip(series.x, series.y, cells, strict=True):
            found.append(((self._x(drawn, x, number, words), stand(y, drawn.log_y)), cell))
        step = math.ceil(len(found) / drawing.POINTS)
        return found[::step] if step > 1 else found

    def _x(self, drawn: Figure, x: Value, number: int, words: list[Value]) -> float:
        if not words:
            return stand(x, drawn.log_x)
        many = len(drawn.series)
        return words.index(x) + 0.5 + 0.7 * ((number + 0.5) / many - 0.5)

    def _span(self, drawn: Figure, series: Series, number: int, words: list[Value]) -> list[list[Point]]:
        """A stroke from the lowest to the highest of each point, where that is known and more than the point."""
        found = []
        for x, low, high in zip(series.x, series.low, series.high, strict=False):
            ends = [(self._x(drawn, x, number, words), stand(end, drawn.log_y)) for end in (low, high)]
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
            places = sorted({x for series in drawn.series for x in series.x if math.isfinite(stand(x, drawn.log_x))})
            name_ticks(
                self.along, few(places, high - low, drawn.log_x, drawn.shares) or named(low, high, drawn.log_x, drawn.shares)
            )
        beside = named(bottom, top, drawn.log_y)
        put(self.left, label_offset=f"{max(36.0, 14 + LETTER * max(map(len, beside.values()), default=0)):.0f}px")
        name_ticks(self.left, beside)

    def _make(self, many: int) -> None:
        if many <= len(self._lines):
            return
        for number in range(len(self._lines), many):
            ink = {"scales": self._scales, "labels_visibility": "none", "x": np.zeros(0), "y": np.zeros(0)}
            self._lines.append(Lines(**ink))
            self._spans.append(Lines(stroke_width=2, **ink))
            points = Scatter(x=np.zeros(0), y=np.zeros(0), scales=self._scales, stroke=self.theme.card)
            points.on_element_click(self._clicks(number))
            self._points.append(points)
        self._arrange()

    def _arrange(self) -> None:
        self.figure.marks = [self._still, self._ground, *self._lines, *self._spans, *self._points, self._chosen, self.words]

    def _clicks(self, series: int) -> Callable[[object, dict], None]:
        def clicked(_: object, message: dict) -> None:
            cells = self._cells[series] if series < len(self._cells) else ()
            number = int(message["data"]["index"])
            if number < len(cells) and cells[number] is not None:
                self._pick(cells[number])

        return clicked

    def _legend(self, drawn: Figure, looks: list["_Look"], has_spans: bool) -> str:
        entries = []
        for series, look in zip(drawn.series, looks, strict=True):
            if series.x and (series.name or len(drawn.series) > 1):
                entries.append((_sample(look), series.name))
        for each in drawn.lines:
            entries.append((icon("M0 6H26", self.theme.baseline, dash="4 3", width=1, across=26), f"{each.name} {short(each.y)}"))
        if has_spans:
            entries.append((icon("M6 0V12", self.theme.muted, width=2), "lowest to highest"))
        return legend(entries)


@dataclass(frozen=True)
class _Look:
    """How a series is drawn: its colour, the mark of its points and their size, the dash of its line; a `ring` is hollow."""

    colour: str
    mark: str = "circle"
    size: int = PLAIN
    dash: str = DASHES[0]
    ring: bool = False


def _sample(look: _Look) -> str:
    """A piece of a series for the legend, as it is drawn."""
    if look.ring:
        return icon("M0 6H8M16 6H24M8 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", look.colour, across=24)
    mark = icon(MARKS[look.mark], look.colour, fill=look.colour, width=1)
    return (icon("M0 6H24", look.colour, dash=DASHED[look.dash], across=24) if look.dash != DASHES[0] else "") + mark


def _steps(at: list[Point]) -> list[Point]:
    """A way along a front that promises nothing between two of its points: on at the height of the one, then down to the next."""
    return [corner for one, other in pairwise(at) for corner in (one, (other[0], one[1]))] + at[-1:]


def _ends(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = MARGIN * (high - low) or max(0.05, 0.05 * abs(low))
    return low - room, high + room
