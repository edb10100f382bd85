"""Each cell is an attention head, each row a layer with the first on top. The shade says how its head scores beside the others of
its layer, since scores of different layers have no common scale: in each layer the lowest go first. A crossed head is closed; a
dashed frame marks a head that would go if you pruned now. Click a head, or name it below, to open or close it, and look whether a
few heads of a layer stand out or all are alike.

The map takes scores as they come and knows no criterion.
"""

from collections.abc import Sequence

import ipywidgets
import numpy as np
from bqplot import ColorScale, GridHeatMap, LinearScale, Lines

from engine.record.commands import SetGate
from engine.record.events import ModelLoaded
from widgets.drawing import axis, cross, every, figure, frame, icon, legend, line, notice, put, say, short, strokes
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Importance of heads"
EDGES = (5, 95)  # percentiles of the shades at which the ramp ends, so that one outlier does not bleach the rest
INSET = 0.09  # of a cell, between its edge and the frame around it
ROW = 11  # pixels that a row needs for its marks to be told apart; the map of a deep model grows
WIDTH = 260  # pixels, about, of the map from its first column to its last


def build(theme: Theme, act: Act) -> Drawn:
    """The map, its legend, and the keyboard's way to do what a click does."""
    chart = _Importance(theme, act)
    return Drawn(chart.widget, chart.draw, answers=True)


def shades(scores: Sequence[Sequence[float]], rows: int, across: int) -> np.ndarray:
    """Scores as shades in [0, 1], [rows, across], 0 where there is no head.

    A score counts by its distance from the mean of its layer, in standard deviations of that layer: what goes is chosen inside
    each layer, and where layers compete, by just these distances. One scale of scores for all layers showed pale heads that stay
    above dark ones that go. Never fewer than two rows and columns: bqplot squeezes a single one away. Never NaN, which it would
    paint black.
    """
    matrix = np.zeros((max(2, rows), max(2, across)))
    apart = [_standardised(np.array(of_layer, dtype=float)) for of_layer in scores]
    values = np.concatenate([each[np.isfinite(each)] for each in apart]) if apart else np.zeros(0)
    if not values.size:
        return matrix
    low, high = np.percentile(values, EDGES)
    for layer, of_layer in enumerate(apart):
        shade = np.clip((of_layer - low) / (high - low), 0.0, 1.0) if high > low else np.full(of_layer.shape, 0.5)
        matrix[layer, : of_layer.size] = np.where(np.isfinite(of_layer), shade, 0.0)
    return matrix


def _standardised(scores: np.ndarray) -> np.ndarray:
    finite = scores[np.isfinite(scores)]
    if not finite.size:
        return scores
    spread = float(finite.std())
    if spread <= 1e-12 * float(np.abs(finite).max()):  # equal scores may differ in their last digit
        return np.where(np.isfinite(scores), 0.0, np.nan)
    return (scores - finite.mean()) / spread


class _Importance:
    """The widgets of the map, and the view that they show, which a click needs in order to know what is open."""

    def __init__(self, theme: Theme, act: Act):
        self.theme, self.act = theme, act
        self.beside = theme.margins["top"] + theme.margins["bottom"]
        self.shown: View | None = None
        self.rows = LinearScale(min=0, reverse=True)
        self.across = LinearScale(min=0)
        place = {"x": self.across, "y": self.rows}
        self.tip = ipywidgets.HTML()  # a tooltip of bqplot's own would have the shade, and not the score
        self.cells = GridHeatMap(
            color=np.zeros((2, 2)),
            row=np.arange(3.0),
            column=np.arange(3.0),
            scales={"row": self.rows, "column": self.across, "color": ColorScale(colors=list(theme.ramp), min=0, max=1)},
            stroke=theme.card,
            visible=False,
            tooltip=self.tip,
        )
        self.cells.on_element_click(self._clicked)
        self.cells.on_hover(self._hovered)
        ink = {"scales": place, "fill": "none", "labels_visibility": "none"}
        # Every mark has a casing in the card's colour, so that it stands out on pale and on dark cells.
        self.frame_casing = Lines(colors=[theme.card], stroke_width=4, **ink)
        self.frames = Lines(colors=[theme.gone], stroke_width=2, line_style="dashed", **ink)
        self.cross_casing = Lines(colors=[theme.card], stroke_width=5, **ink)
        self.crosses = Lines(colors=[theme.gone], stroke_width=2.5, **ink)
        self.nowhere = Lines(
            colors=[theme.card], scales=place, fill="inside", fill_colors=[theme.card], fill_opacities=[1.0], stroke_width=2
        )
        self.gaps = Lines(colors=[theme.card], stroke_width=4, **ink)
        self.words = notice(theme)
        self.down = axis(theme, self.rows, "Layer", "left")
        self.along = axis(theme, self.across, "Head")
        marks = [self.cells, self.gaps, self.nowhere, self.frame_casing, self.frames, self.cross_casing, self.crosses, self.words]
        self.figure = figure(theme, marks, [self.down, self.along])
        self._number(6, 6)  # the axes of the empty chart
        self.legend = ipywidgets.HTML()
        self.says = ipywidgets.HTML()
        box = {"style": {"description_width": "initial"}, "layout": {"width": "96px"}, "disabled": True}
        self.layer = ipywidgets.BoundedIntText(value=0, min=0, max=0, description="Layer", **box)
        self.head = ipywidgets.BoundedIntText(value=0, min=0, max=0, description="Head", **box)
        self.button = ipywidgets.Button(description="Close this head", layout={"width": "auto"}, disabled=True)
        self.told = ipywidgets.HTML()
        self.told.add_class("esp-told")
        self.layer.observe(self._pointed, "value")
        self.head.observe(self._pointed, "value")
        self.button.on_click(lambda _: self._toggle(self.layer.value, self.head.value))
        twin = ipywidgets.HBox([self.layer, self.head, self.button])
        twin.add_class("esp-twin")
        self.widget = ipywidgets.VBox([self.figure, self.legend, twin, self.told, self.says])
        self.widget.add_class("esp-importance")

    def draw(self, view: View) -> None:
        """Show the scores, what is closed, and what the draft would close."""
        self.shown = view
        model, scores = view.state.model, view.state.scores
        for each in (self.layer, self.head, self.button):
            put(each, disabled=model is None)
        put(self.cells, visible=model is not None)
        if model is None:
            say(self.words, "No data yet", "Heads are shown once a model is loaded")
            for each in (self.gaps, self.nowhere, self.frame_casing, self.frames, self.cross_casing, self.crosses):
                put(each, **strokes([]))
            put(self.legend, value="")
            put(self.told, value="")
            put(self.says, value=line("No model is loaded.", "says"))
            return
        say(self.words)
        rows, across = len(model.heads), max((1, *model.heads))
        matrix = shades(scores.heads if scores else (), rows, across)
        self._number(rows, across)
        put(self.figure.layout, height=f"{self._row(rows) * rows + self.beside:.0f}px")
        edges = {"row": np.arange(matrix.shape[0] + 1.0), "column": np.arange(matrix.shape[1] + 1.0)}
        put(self.cells, color=matrix, **edges)
        missing = [(layer, head) for layer, heads in enumerate(model.heads) for head in range(heads, across)]
        put(self.gaps, **strokes(between(model)))
        put(self.nowhere, **strokes(frame(layer, head, 0.0) for layer, head in missing))
        closed, draft = self._closed(), view.draft.heads if view.draft else ()
        self._mark(closed, draft, rows, across)
        put(self.layer, max=rows - 1)
        put(self.head, max=across - 1)
        put(self.legend, value=self._legend(scores.criterion if scores else "", shares=bool(between(model))))
        put(self.says, value=line(self._summary(closed, draft), "says"))
        self._tell()

    def _row(self, rows: int) -> float:
        """The height of a row, in pixels."""
        return max((int(self.theme.chart_height.removesuffix("px")) - self.beside) / rows, ROW)

    def _number(self, rows: int, across: int) -> None:
        put(self.rows, max=float(rows))
        put(self.across, max=float(across))
        for numbers, side in ((every(rows, 8), self.down), (every(across, 12), self.along)):
            middles = [number + 0.5 for number in numbers]
            labels = {str(middle): str(number) for middle, number in zip(middles, numbers, strict=True)}
            put(side, tick_values=np.array(middles), tick_labels=labels)

    def _mark(self, closed: Sequence, draft: Sequence, rows: int, across: int) -> None:
        crowded = rows > 8 or across > 16
        # As wide as half its cell, a cross is a pair of lines where cells are flat.
        narrow = 0.25 * min(1.0, 1.6 * self._row(rows) * across / WIDTH)
        frames = strokes(frame(layer, head, INSET) for layer, head in draft)
        crosses = strokes(path for layer, head in closed for path in cross(layer, head, narrow))
        put(self.cells, stroke=None if crowded else self.theme.card)
        put(self.frame_casing, **frames, stroke_width=2.0 if crowded else 3.5)
        put(self.frames, **frames, stroke_width=1.0 if crowded else 1.6)
        put(self.cross_casing, **crosses, stroke_width=3.5 if crowded else 5.0)
        put(self.crosses, **crosses, stroke_width=1.6 if crowded else 2.5)

    def _legend(self, criterion: str, shares: bool) -> str:
        ramp = f'<span class="esp-ramp" style="background:linear-gradient(to right,{",".join(self.theme.ramp)})"></span>'
        frame = icon("M1 1H11V11H1Z", self.theme.gone, dash="3 2")
        cross = icon("M2 2L10 10M2 10L10 2", self.theme.gone, width=2.5)
        scores = [(ramp, "low to high in its layer")] if criterion else []
        by = [("", f"scored by {criterion}, in each layer the lowest go first")] if criterion else []
        gap = [(icon("M1 1H5V11H1ZM8 1H12V11H8Z", self.theme.muted, fill=self.theme.muted, width=0), "gap: between keys")]
        return legend([*scores, (cross, "closed"), (frame, "would go"), *(gap if shares else []), *by])

    def _summary(self, closed: Sequence, draft: Sequence) -> str:
        state = self.shown.state
        scored = "" if state.scores else " Not scored yet."
        would = f", {len(set(draft) - set(closed))}{' more' if closed else ''} would go" if draft else ""
        return f"{len(closed)} of {sum(state.model.heads)} heads closed{would}.{scored} {shared(state.model)}".rstrip()

    def _closed(self) -> tuple[tuple[int, int], ...]:
        gates = self.shown.state.standing.gates if self.shown else None
        return gates.heads if gates else ()

    def _clicked(self, _: object, message: dict) -> None:
        cell = message["data"]
        self._toggle(int(cell["rowNum"]), int(cell["columnNum"]))

    def _hovered(self, _: object, message: dict) -> None:
        cell = message["data"]
        layer, head = int(cell["rowNum"]), int(cell["columnNum"])
        what = "open" if (layer, head) in self._closed() else "close"
        told = f"{self._described(layer, head)}<br>Click to {what} it." if self._is_there(layer, head) else "No head."
        put(self.tip, value=f'<div class="esp-tip">{told}</div>')

    def _toggle(self, layer: int, head: int) -> None:
        if self._is_there(layer, head):
            self.act(SetGate(layer, head, open=(layer, head) in self._closed()))

    def _is_there(self, layer: int, head: int) -> bool:
        model = self.shown.state.model if self.shown else None
        return model is not None and 0 <= layer < len(model.heads) and 0 <= head < model.heads[layer]

    def _pointed(self, _: object) -> None:
        if self.shown:
            self._tell()

    def _tell(self) -> None:
        layer, head = self.layer.value, self.head.value
        there = self._is_there(layer, head)
        what = "Open this head" if (layer, head) in self._closed() else "Close this head"
        put(self.button, disabled=not there, description=what)
        told = self._described(layer, head) if there else f"There is no head {head} in layer {layer}."
        put(self.told, value=line(told, "says"))

    def _described(self, layer: int, head: int) -> str:
        scores, draft = self.shown.state.scores, self.shown.draft
        scored = f", score {short(scores.heads[layer][head])}" if scores else ""
        would = ", would go" if draft and (layer, head) in draft.heads else ""
        stands = "closed" if (layer, head) in self._closed() else "open"
        return f"Layer {layer}, head {head} is {stands}{scored}{would}."


def between(model: ModelLoaded) -> list[list[tuple[float, float]]]:
    """The gaps between heads that share a key and their neighbours, as a stroke beside each last head of such a group."""
    found = []
    for layer, (heads, groups) in enumerate(zip(model.heads, model.groups, strict=True)):
        size = heads // groups if groups else 1
        if size > 1:
            found += [[(head, layer), (head, layer + 1)] for head in range(size, heads, size)]
    return found


def shared(model: ModelLoaded) -> str:
    """Which heads go together and which stay, in a sentence each; empty where every head has a key of its own."""
    sizes = {heads // groups for heads, groups in zip(model.heads, model.groups, strict=True) if groups}
    many = " or ".join(map(str, sorted(sizes)))
    together = f"Heads that share a key go together, {many} at a time." if max(sizes, default=1) > 1 else ""
    kept = [str(layer) for layer, keeps in enumerate(model.keeps_heads) if keeps]
    if not kept:
        return together
    if len(kept) == len(model.heads):
        return "No head can go: in every layer all heads share the only key."
    return f"{together} No head of layer {', '.join(kept)} can go: all of them share the only key."
