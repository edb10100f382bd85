"""What every chart is drawn with: bqplot's parts in the theme's colours, points thinned, ticks chosen; knows no run, no chart."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import ipywidgets
import numpy as np
from bqplot import Axis, Figure, Label, LinearScale
from bqplot.marks import Mark
from bqplot.scales import Scale

from widgets.theme import Theme

POINTS = 1500  # a line; the browser draws 2,000 points in about 11 ms and 10,000 in 57
Points = Sequence[tuple[float, float]]


def put(widget: ipywidgets.Widget, **traits: object) -> None:
    """Set the traits that differ, in one message; none where nothing differs.

    Arrays are compared by value: traitlets would send an array with a gap (NaN) again each time.
    """
    changed = {name: value for name, value in traits.items() if not _same(getattr(widget, name), value)}
    if changed:
        with widget.hold_sync():
            for name, value in changed.items():
                setattr(widget, name, value)


def _same(old: object, new: object) -> bool:
    if isinstance(old, np.ndarray) or isinstance(new, np.ndarray):
        if old is None or new is None:
            return False
        old, new = np.asarray(old), np.asarray(new)
        floats = old.dtype.kind == new.dtype.kind == "f"
        return old.shape == new.shape and np.array_equal(old, new, equal_nan=floats)
    return type(old) is type(new) and old == new


def thin(points: Points, most: int = POINTS) -> tuple[tuple[float, float], ...]:
    """At most `most` (4 or more) of the points, in order: the first, the last, the lowest and highest of each stretch between."""
    if len(points) <= most:
        return tuple(points)
    inner = points[1:-1]
    stretches = (most - 2) // 2
    edges = [len(inner) * each // stretches for each in range(stretches + 1)]
    kept = [points[0]]
    for start, end in zip(edges, edges[1:], strict=False):
        stretch = range(start, end)
        low = min(stretch, key=lambda index: inner[index][1])
        high = max(stretch, key=lambda index: inner[index][1])
        kept += [inner[index] for index in sorted({low, high})]
    return (*kept, points[-1])


def columns(points: Points) -> dict[str, np.ndarray]:
    """The points as the `x` and `y` of a line."""
    pairs = np.asarray(points, dtype=float).reshape(-1, 2)
    return {"x": pairs[:, 0], "y": pairs[:, 1]}


def strokes(paths: Iterable[Points]) -> dict[str, np.ndarray]:
    """Many short paths as the `x` and `y` of one line with gaps, so that a thousand marks cost the browser one element."""
    gap = (math.nan, math.nan)
    points = [point for path in paths for point in (*path, gap)]
    return columns(points[:-1])  # the front end places a label at the last point, and says so on the console where that is a gap


def frame(row: int, column: int, inset: float) -> list[tuple[float, float]]:
    """A frame inside a cell of a map, `inset` (of a cell) from its edge, as a path."""
    left, right, top, bottom = column + inset, column + 1 - inset, row + inset, row + 1 - inset
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def cross(row: int, column: int, reach: float = 0.25) -> list[list[tuple[float, float]]]:
    """The two strokes that cross out a cell of a map, `reach` of its width to either side of its middle."""
    left, right, top, bottom = column + 0.5 - reach, column + 0.5 + reach, row + 0.25, row + 0.75
    return [[(left, top), (right, bottom)], [(left, bottom), (right, top)]]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], at most `most` of them."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            return [round(number * step, 12) for number in range(first, last + 1)]
    return [low]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within [low, high], both above 0: powers of ten, with their halves and fifths where there is room."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for choice in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        marks = [mark for mark in (power * digit for power in powers for digit in choice) if low <= mark <= high]
        if 2 <= len(marks) <= most:
            return marks
    inside = [power for power in powers if low <= power <= high]
    return inside[:: math.ceil(len(inside) / most)] if len(inside) > most else ticks(low, high, most - 1)


def name_ticks(side: Axis, names: Mapping[float, str]) -> None:
    """Give an axis ticks at these places with these words. The words go first, in a message of their own: with the places they
    came a drawing too late. They are found again by a place as the browser writes that number."""
    at = {round(place, 4) + 0.0: words for place, words in names.items()}
    put(side, tick_labels={f"{place:.0f}" if place.is_integer() else repr(place): words for place, words in at.items()})
    put(side, tick_values=np.array(list(at), dtype=float))


def every(many: int, most: int) -> list[int]:
    """Indices 0, k, 2k … below `many`, at most `most` of them, for the ticks of numbered rows and columns."""
    step = next(step for step in (1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, max(1, many)) if step * most >= many)
    return list(range(0, many, step))


def axis(theme: Theme, scale: Scale, label: str, side: str = "bottom", *, grid: bool = False, **traits: object) -> Axis:
    """An axis in the theme's colours."""
    return Axis(
        scale=scale,
        side=side,
        label=label,
        label_color=theme.muted,
        color=theme.line,
        grid_color=theme.line,
        grid_lines="solid" if grid else "none",
        label_offset="32px" if side == "bottom" else "36px",
        tick_style={"fill": theme.muted, "font-size": theme.small},
        **traits,
    )


def figure(theme: Theme, marks: list[Mark], axes: list[Axis], **margins: int) -> Figure:
    """A figure as wide as its place and as high as the theme says; `margins` (pixels) override the theme's."""
    return Figure(
        marks=marks,
        axes=axes,
        fig_margin={**theme.margins, **margins},
        padding_x=0.0,
        padding_y=0.0,
        animation_duration=0,  # a transition longer than the time to the next drawing queues up
        display_toolbar=False,
        background_style={"fill": theme.card},
        layout=ipywidgets.Layout(width="auto", min_width="0", height=theme.chart_height),
    )


def notice(theme: Theme, top: float = 0.66, gap: float = 0.09) -> Label:
    """A place for words in the middle of a chart that has nothing to show yet; see `say`. `top` is where the first
    line stands, from 0 at the lower edge to 1 at the upper, and `gap` how far below it the second."""
    scales = {"x": LinearScale(min=0, max=1), "y": LinearScale(min=0, max=1)}
    return Label(
        x=np.array([0.5, 0.5]), y=np.array([top, top - gap]), text=np.array(["", ""]), scales=scales, colors=[theme.muted],
        align="middle", default_size=12, font_weight="normal",
    )  # fmt: skip


def say(label: Label, what: str = "", next_step: str = "") -> None:
    """Show two lines of words in the middle of a chart, or none."""
    put(label, text=np.array([what, next_step]))


def line(text: str, kind: str) -> str:
    """A line of (trusted) HTML under a chart, of one kind: `legend` or `says`."""
    return f'<div class="esp-{kind}">{text}</div>'


def icon(
    path: str, stroke: str, *, fill: str = "none", dash: str = "", width: float = 2, across: int = 12, opacity: float = 1
) -> str:
    """A small drawing, 12 pixels high, for a legend: an SVG path as it is drawn in the chart."""
    return (
        f'<svg width="{across}" height="12" aria-hidden="true" opacity="{opacity}"><path d="{path}" stroke="{stroke}" '
        f'fill="{fill}" stroke-width="{width}" stroke-dasharray="{dash}"/></svg>'
    )


def swatch(stroke: str, *, dash: str = "", dot: bool = False, width: float = 2) -> str:
    """A short piece of a line as it is drawn in a chart, with or without a point on it, for its legend."""
    point = "M10 6a3 3 0 1 0 6 0a3 3 0 1 0 -6 0" if dot else ""
    return icon(f"M0 6H26{point}", stroke, fill=stroke, dash=dash, width=width, across=26)


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Pairs of a (trusted) sample and its words, as one line that wraps between entries."""
    return line(" ".join(f'<span class="esp-key">{sample} {escape(words)}</span>' for sample, words in entries), "legend")


def percent(share: float) -> str:
    """A share in words: 0.254 is "25 %", with a space that no line breaks at."""
    return f"{100 * share:.0f}\u00a0%"


def short(value: float) -> str:
    """A number in few characters: three digits, and a power of ten where it is huge or tiny; with a real minus."""
    return _short(value).replace("-", "−")


def _short(value: float) -> str:
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-3:
        digits, power = f"{value:.1e}".split("e")
        return f"{digits}e{int(power)}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if size >= 100 else f"{value:.3g}"
