"""A map: a row for each series, a column for each x, the number in the cell and the shade by the number."""

import math
from collections.abc import Mapping

import ipywidgets
import numpy as np
from bqplot import ColorScale, GridHeatMap, Label, LinearScale, Lines

from engine.record.figure import Figure, Place, Value
from engine.record.spread import as_percent
from widgets.drawing import axis, columns, cross, every, figure, frame, icon, legend, name_ticks, notice, put, say, short, strokes
from widgets.plots import Pick, Plot, Shown
from widgets.theme import Theme

HEIGHT = "330px"
READABLE, NOTED = 12, 8  # rows or columns at most for which a number fits into a cell, and rows for which a note does below it
SMALL = 9  # pixels, of a note
DARK = 0.55  # of the ramp, from which on a cell is written on in the other colour
INSET = 0.1  # of a cell, between its edge and the frame around it
At = tuple[int, int]  # row and column


def build(theme: Theme, pick: Pick) -> Plot:
    """The map and its legend."""
    chart = _Heat(theme, pick)
    return Plot(chart.widget, chart.draw)


def grid_of(drawn: Figure) -> tuple[tuple[Value, ...], Mapping[At, float], Mapping[At, Place], Mapping[At, str]]:
    """The columns of a map, and by (row, column) its values that were measured, its cells, and what stands below a value."""
    across = list(dict.fromkeys(x for series in drawn.series for x in series.x))
    if all(isinstance(x, int | float) for x in across):
        across.sort()
    values, cells, notes = {}, {}, {}
    for row, series in enumerate(drawn.series):
        for number, x in enumerate(series.x):
            place = row, across.index(x)
            if math.isfinite(series.y[number]):
                values[place] = series.y[number]
            if series.cells and series.cells[number] is not None:
                cells[place] = series.cells[number]
            if series.notes and series.notes[number]:
                notes[place] = series.notes[number]
    return tuple(across), values, cells, notes


def shades(values: Mapping[At, float], rows: int, across: int, log: bool) -> np.ndarray:
    """How dark each cell is, [rows, across], from 0 for the least value to 1 for the greatest, by their logarithms where `log`.

    Never fewer than two rows and columns: bqplot squeezes a single one away. Never NaN, which it would paint black.
    """
    matrix = np.zeros((max(2, rows), max(2, across)))
    heights = {place: math.log(max(value, 1e-300)) if log else value for place, value in values.items()}
    low, high = min(heights.values(), default=0.0), max(heights.values(), default=0.0)
    for place, value in heights.items():
        matrix[place] = (value - low) / (high - low) if high > low else 0.0
    return matrix


def _value(drawn: Figure, value: float) -> str:
    """A number of a map: three digits where it counts by its logarithm; differences all with as many decimals."""
    return short(value) if drawn.log_y else f"{value + 0.0:.3f}".replace("-0.000", "0.000").replace("-", "−")


class _Heat:
    """The widgets of the map, and the cells that they show, which a click needs."""

    def __init__(self, theme: Theme, pick: Pick):
        self.theme, self.pick = theme, pick
        self.cells_at: Mapping[At, Place] = {}
        self.rows, self.across = LinearScale(min=0, max=1, reverse=True), LinearScale(min=0, max=1)
        place = {"x": self.across, "y": self.rows}
        self.cells = GridHeatMap(
            color=np.zeros((2, 2)), row=np.arange(3.0), column=np.arange(3.0), stroke=theme.card, visible=False,
            scales={"row": self.rows, "column": self.across, "color": ColorScale(colors=list(theme.ramp), min=0, max=1)},
        )  # fmt: skip
        self.cells.on_element_click(self._clicked)
        ink = {"scales": place, "fill": "none", "labels_visibility": "none"}
        cover = {"fill": "inside", "fill_colors": [theme.card], "fill_opacities": [1.0], "scales": place}
        self.empty = Lines(colors=[theme.card], stroke_width=2, **cover)
        self.frames = Lines(colors=[theme.muted], stroke_width=1, line_style="dashed", **ink)
        self.crosses = Lines(colors=[theme.gone], stroke_width=2, **ink)
        self.chosen = Lines(colors=[theme.gone], stroke_width=3, **ink)
        text = {"scales": place, "align": "middle", "font_weight": "normal"}
        text |= {"x": np.zeros(0), "y": np.zeros(0), "text": np.array([], dtype="U1")}
        inks = theme.text, theme.card  # on a pale cell and on a dark one
        self.numbers = [Label(colors=[colour], default_size=11, **text) for colour in inks]
        self.notes = [Label(colors=[colour], default_size=SMALL, y_offset=13, **text) for colour in inks]
        self.words = notice(theme)
        self.down, self.along = axis(theme, self.rows, "", "left"), axis(theme, self.across, "")
        self.down.label_offset = "88px"  # beyond the longest name of a row
        marks = [self.cells, self.empty, self.frames, self.crosses, self.chosen, *self.numbers, *self.notes, self.words]
        self.figure = figure(theme, marks, [self.down, self.along], left=112)
        self.figure.layout.height = HEIGHT
        self.legend = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.figure, self.legend])
        self.widget.add_class("esp-heat")

    def draw(self, shown: Shown) -> None:
        """Show a figure; what is not measured is empty, what has failed is crossed."""
        drawn, rows = shown.figure, len(shown.figure.series)
        across, values, self.cells_at, notes = grid_of(drawn)
        is_there = bool(rows and across)
        say(self.words, *(() if is_there else shown.empty))
        for side in (self.down, self.along):
            put(side, visible=is_there)
        matrix = shades(values, rows, len(across), drawn.log_y)
        put(self.rows, max=float(max(1, rows)))
        put(self.across, max=float(max(1, len(across))))
        number = as_percent if drawn.shares else short
        names = [number(x) if isinstance(x, int | float) else x for x in across]
        named = ((self.along, drawn.x_label, names), (self.down, drawn.y_label, [one.name for one in drawn.series]))
        for side, label, words in named:
            put(side, label=label)
            name_ticks(side, {number + 0.5: words[number] for number in every(len(words), READABLE)})
        edges = {"row": np.arange(matrix.shape[0] + 1.0), "column": np.arange(matrix.shape[1] + 1.0)}
        put(self.cells, visible=is_there, color=matrix, **edges)
        self._write(matrix, {place: _value(drawn, value) for place, value in values.items()}, notes if rows <= NOTED else {})
        missing, failed = self._mark(shown, values, [(row, column) for row in range(rows) for column in range(len(across))])
        put(self.legend, value=self._legend(drawn, values, shown.missing if missing else "", failed))

    def _mark(self, shown: Shown, values: Mapping[At, float], places: list) -> tuple[bool, bool]:
        """Draw what lies over the cells; whether there are some without a number, and some that have failed. Where a figure names
        cells, a place that has none is not waited for: draws of two fields meet in a few places only."""
        empty = [place for place in places if place not in values]
        missing = [place for place in empty if not self.cells_at or place in self.cells_at]
        failed = [place for place in missing if self.cells_at.get(place) in shown.failed]
        put(self.empty, **strokes(frame(*place, 0) for place in empty))
        put(self.frames, **strokes(frame(*place, INSET) for place in missing if place not in failed))
        put(self.crosses, **strokes(path for place in failed for path in cross(*place)))
        chosen = [place for place, cell in self.cells_at.items() if cell == shown.chosen]
        put(self.chosen, **strokes(frame(*place, INSET / 2) for place in chosen))
        return len(missing) > len(failed), bool(failed)

    def _write(self, matrix: np.ndarray, values: Mapping[At, str], notes: Mapping[At, str]) -> None:
        """Write the numbers into the cells, where they are wide enough, and the notes below them."""
        is_written = max(matrix.shape) <= READABLE
        for number, note, is_dark in zip(self.numbers, self.notes, (False, True), strict=True):
            here = [place for place in values if is_written and (matrix[place] > DARK) == is_dark]
            words = {number: [values[place] for place in here], note: [notes.get(place, "") for place in here]}
            put(number, y_offset=0 if notes else 4)
            for label, each in words.items():
                middles = [(column + 0.5, row + 0.5) for (row, column), word in zip(here, each, strict=True) if word]
                put(label, **columns(middles), text=np.array([word for word in each if word], dtype="U12"))

    def _legend(self, drawn: Figure, values: Mapping[At, float], missing: str, has_failed: bool) -> str:
        least, most = ("pale", "dark") if self.theme.name == "light" else ("dark", "bright")
        entries = []
        if values:
            ramp = f'<span class="esp-ramp" style="background:linear-gradient(to right,{",".join(self.theme.ramp)})"></span>'
            ends = f"{least} {_value(drawn, min(values.values()))}, {most} {_value(drawn, max(values.values()))}"
            entries.append((ramp, f"{drawn.value_label}: {ends}{', by its logarithm' if drawn.log_y else ''}"))
        if missing:
            entries.append((icon("M1 1H11V11H1Z", self.theme.muted, dash="3 2", width=1), missing))
        if has_failed:
            entries.append((icon("M2 2L10 10M2 10L10 2", self.theme.gone, width=2), "failed"))
        return legend(entries)

    def _clicked(self, _: object, message: dict) -> None:
        place = self.cells_at.get((int(message["data"]["rowNum"]), int(message["data"]["columnNum"])))
        if place is not None:
            self.pick(place)
