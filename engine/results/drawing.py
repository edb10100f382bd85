"""Figures as SVG, one panel for each model, side by side; knows no experiment. Needs matplotlib, of the extra `results`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from engine.record.figure import Figure, Series, Value
from engine.record.spread import as_percent

STYLE = {
    "svg.fonttype": "none",  # letters stay letters, which can be searched and read aloud
    "svg.hashsalt": "espalier",  # the same chart is the same file
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "figure.facecolor": "white",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#555555", "#a0522d", "#bcbd22")
MARKS = "osD^vPX*<>"
PANEL, HEIGHT, LEGEND = 3.4, 3.0, 1.2  # inches
FEW = 5  # series, up to which their spread is a band, and whiskers beyond
DIGITS = 60  # cells of a heat map, up to which each has its number
STRETCHED = 3.0  # the highest over the lowest, from which a logarithmic axis says more


def draw(figures: Mapping[str, Figure], path: Path) -> None:
    """Write one SVG of figures that are of one kind, each under its name as a panel."""
    with rc_context(STYLE):
        wide, tall = PANEL * len(figures), HEIGHT
        if next(iter(figures.values())).kind == "heat":
            tall = max(HEIGHT, 0.16 * max(len(figure.series) for figure in figures.values()) + 0.8)
        picture = Picture(figsize=(max(wide, 5) + LEGEND, tall), layout="constrained")
        axes = picture.subplots(1, len(figures), squeeze=False)
        names = list(dict.fromkeys(series.name for figure in figures.values() for series in figure.series))
        for place, (axis, (name, figure)) in enumerate(zip(axes[0], figures.items(), strict=True)):
            {"curves": _curves, "scatter": _scatter, "bars": _bars, "heat": _heat}[figure.kind](axis, figure, names)
            axis.set_title(name, fontsize=9, loc="left")
            axis.set_ylabel(figure.y_label if not place else "")
            if figure.shares and figure.kind != "heat":
                axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: as_percent(value)))
        first = next(iter(figures.values()))
        picture.suptitle(first.title, fontsize=11)
        picture.supxlabel(first.x_label, fontsize=9)
        shown: dict[str, object] = {}
        for axis in axes[0]:
            handles, labels = axis.get_legend_handles_labels()
            shown |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in shown}
        if shown:
            picture.legend(shown.values(), shown.keys(), loc="outside right center", frameon=False, fontsize=8)
        picture.savefig(path, format="svg", metadata={"Date": None})


def _curves(axis: Axes, figure: Figure, names: Sequence[str]) -> None:
    for series in figure.series:
        colour, mark = _look(series, names)
        axis.plot(series.x, series.y, color=colour, marker=mark, markersize=3.5, linewidth=1.4, label=series.name)
        if series.low and len(figure.series) <= FEW:
            axis.fill_between(series.x, series.low, series.high, color=colour, alpha=0.13, linewidth=0)
        elif series.low:  # many bands hide one another
            axis.vlines(series.x, series.low, series.high, color=colour, alpha=0.5, linewidth=1.0)
    _lines(axis, figure)
    values = [end for series in figure.series for end in (*series.y, *series.low, *series.high)]
    values += [line.y for line in figure.lines]
    _scaled(axis, values, figure.log_y)
    if figure.log_x and figure.series:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(sorted({x for series in figure.series for x in series.x})))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _scatter(axis: Axes, figure: Figure, names: Sequence[str]) -> None:
    for series in figure.series:
        if series.name in figure.fronts:
            colour, _ = _look(series, [f"front, {name}" for name in names if not name.startswith("front")])
            axis.step(
                series.x, series.y, where="post", color=colour, linewidth=1.2, label=series.name
            )  # between two there is none
        else:
            colour, mark = _look(series, [name for name in names if not name.startswith("front")])
            axis.scatter(series.x, series.y, color=colour, marker=mark, s=16, label=series.name)
    _lines(axis, figure)
    _scaled(axis, [y for series in figure.series for y in series.y], figure.log_y)


def _bars(axis: Axes, figure: Figure, names: Sequence[str]) -> None:
    words = list(dict.fromkeys(x for series in figure.series for x in series.x))
    width = 0.8 / max(1, len(figure.series))
    for place, series in enumerate(figure.series):
        at = [words.index(x) + (place - (len(figure.series) - 1) / 2) * width for x in series.x]
        ends = zip(series.low, series.y, series.high, strict=True) if series.low else ()
        spread = [(y - low, high - y) for low, y, high in ends]
        error = list(zip(*spread, strict=True)) if spread else None
        base, look = figure.base or 0.0, {"color": _look(series, names)[0], "label": series.name}
        heights = [y - base for y in series.y]
        axis.bar(at, heights, width, bottom=base, yerr=error, error_kw={"linewidth": 0.8}, **look)
    axis.set_xticks(range(len(words)), words, rotation=40, ha="right", rotation_mode="anchor")
    axis.grid(visible=False, axis="x")
    _lines(axis, figure)
    ends = [end for series in figure.series for end in (*series.y, *series.low, *series.high)]
    if ends:
        low = min([*ends, *(line.y for line in figure.lines), 1.0])
        _scaled(axis, ends, figure.log_y)
        axis.set_ylim(bottom=0.95 * low if low > 0.3 else None)


def _heat(axis: Axes, figure: Figure, names: Sequence[str]) -> None:
    rows = [list(series.y) for series in figure.series]
    axis.grid(visible=False)
    if not rows:
        return
    columns = figure.series[0].x
    low, high = figure.ends or (min(0.0, *(min(row) for row in rows)), None)
    colours = "PuOr" if figure.ends and low < 0 else "YlOrBr"  # with a middle of its own where the ends have one
    shown = axis.imshow(rows, aspect="auto", cmap=colours, vmin=low, vmax=high)
    words = any(isinstance(x, str) for x in columns)
    axis.set_xticks(range(len(columns)), columns if words else [_column(figure, x) for x in columns], rotation=90 if words else 0)
    every = math.ceil(len(rows) / 12)
    labels = [series.name.removeprefix("layer ") for series in figure.series]
    axis.set_yticks(range(0, len(rows), every), labels[::every])
    axis.figure.colorbar(shown, ax=axis, label=figure.value_label, shrink=0.9)
    known = {(at, place): value for at, row in enumerate(rows) for place, value in enumerate(row) if not math.isnan(value)}
    if len(rows) * len(columns) <= DIGITS and known:
        most = max(known.values())
        for (at, place), value in known.items():
            dark = (abs(value) if figure.ends else value) > 0.6 * most
            text, colour = f"{value:.2f}".replace("-0.00", "0.00"), "white" if dark else "black"
            axis.text(place, at, text, ha="center", va="center", fontsize=7, color=colour)


def _column(figure: Figure, x: Value) -> str:
    return as_percent(x) if figure.shares else f"{x:g}"


def _look(series: Series, names: Sequence[str]) -> tuple[str, str]:
    place = list(names).index(series.name)
    return COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]


def _lines(axis: Axes, figure: Figure) -> None:
    for line in figure.lines:
        axis.axhline(line.y, color="#222222", linestyle="--", linewidth=0.9, label=line.name)


def _scaled(axis: Axes, values: Sequence[float], log: bool) -> None:
    """A logarithmic axis where one was asked for and the values are far enough apart to gain by it."""
    if not (log and values and min(values) > 0 and max(values) / min(values) > STRETCHED):
        return
    axis.set_yscale("log")
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1, 2, 5) if high - low <= 3 else (1,)
    ticks = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    axis.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0.9 * min(values) <= tick <= 1.1 * max(values)]))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
