"""Each cell is an attention head, each row a layer with the first on top, and the shade is the head's score: in each layer what
scores low goes first. A crossed head is closed; a dashed frame marks a head that would go if you pruned now. Click a head, or
name it below, to open or close it, and look for whole layers that score low. The map takes scores as they come and knows no
criterion."""

from collections.abc import Sequence

import ipywidgets
import numpy as np
from bqplot import ColorScale, GridHeatMap, LinearScale, Lines, Tooltip

from engine.record.commands import SetGate
from engine.record.events import ModelLoaded
from widgets.drawing import axis, cross, every, figure, frame, icon, legend, line, notice, put, say, short, strokes
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Importance of heads"
EDGES = (5, 95)  # percentiles of the scores at which the ramp ends, so that one outlier does not bleach the rest

INSET = 0.09  # of a cell, between its edge and the frame around it


def build(theme: Theme, act: Act) -> Drawn:
    """The map, its legend, and the keyboard's way to do what a click does."""
    chart = _Importance(theme, act)
    return Drawn(chart.widget, chart.draw, answers=True)


def shades(scores: Sequence[Sequence[float]], rows: int, across: int) -> tuple[np.ndarray, float, float]:
    """Scores as shades in [0, 1], [rows, across], 0 where there is no head, and the scores at which the ramp ends.

    Never fewer than two rows and columns: bqplot squeezes a single one away. Never NaN, which it would paint black.
    """
    matrix = np.zeros((max(2, rows), max(2, across)))
    values = np.array([score for layer in scores for score in layer if np.isfinite(score)])
    if not values.size:
        return matrix, 0.0, 0.0
    low, high = (float(edge) for edge in np.percentile(values, EDGES))
    for layer, of_layer in enumerate(scores):
        for head, score in enumerate(of_layer):
            shade = (score - low) / (high - low) if high > low else 0.5
            matrix[layer, head] = min(1.0, max(0.0, shade)) if np.isfinite(score) else 0.0
    return matrix, low, high


class _Importance:
    """The widgets of the map, and the view that they show, which a click needs in order to know what is open."""

    def __init__(self, theme: Theme, act: Act):
        self.theme, self.act = theme, act
        self.shown: View | None = None
        self.rows = LinearScale(min=0, reverse=True)
        self.across = LinearScale(min=0)
        place = {"x": self.across, "y": self.rows}
        self.cells = GridHeatMap(
            color=np.zeros((2, 2)),
            row=np.arange(3.0),
            column=np.arange(3.0),
            scales={"row": self.rows, "column": self.across, "color": ColorScale(colors=list(theme.ramp), min=0, max=1)},
            stroke=theme.card,
            visible=False,
            tooltip=Tooltip(fields=["row", "column"], labels=["Layer", "Head"], formats=["d", "d"]),
        )
        self.cells.on_element_click(self._clicked)
        ink = {"scales": place, "fill": "none", "labels_visibility": "none"}
        # Every mark has a casing in the card's colour, so that it stands out on pale and on dark cells.
        self.frame_casing = Lines(colors=[theme.card], stroke_width=4, **ink)
        self.frames = Lines(colors=[theme.gone], stroke_width=2, line_style="dashed", **ink)
        self.cross_casing = Lines(colors=[theme.card], stroke_width=5, **ink)
        self.crosses = Lines(colors=[theme.gone], stroke_width=2.5, **ink)
        self.nowhere = Lines(
            colors=[theme.card], scales=place, fill="inside", fill_colors=[theme.card], fill_opacities=[1.0], stroke_width=2
        )
        self.words = notice(theme)
        self.down = axis(theme, self.rows, "Layer", "left")
        self.along = axis(theme, self.across, "Head")
        marks = [self.cells, self.nowhere, self.frame_casing, self.frames, self.cross_casing, self.crosses, self.words]
        self.figure = figure(theme, marks, [self.down, self.along])
        self._number(6, 6)  # the axes of the empty chart
        self.legend = ipywidgets.HTML()
        self.says = ipywidgets.HTML()
        box = {"style": {"description_width": "initial"}, "layout": {"width": "96px"}, "disabled": True}
        self.layer = ipywidgets.BoundedIntText(value=0, min=0, max=0, description="Layer", **box)
        self.head = ipywidgets.BoundedIntText(value=0, min=0, max=0, description="Head", **box)
        self.button = ipywidgets.Button(description="Open or close", layout={"width": "auto"}, disabled=True)
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
            for each in (self.nowhere, self.frame_casing, self.frames, self.cross_casing, self.crosses):
                put(each, **strokes([]))
            put(self.legend, value="")
            put(self.told, value="")
            put(self.says, value=line("No model is loaded.", "says"))
            return
        say(self.words)
        rows, across = len(model.heads), max((1, *model.heads))
        matrix, low, high = shades(scores.heads if scores else (), rows, across)
        self._number(rows, across)
        edges = {"row": np.arange(matrix.shape[0] + 1.0), "column": np.arange(matrix.shape[1] + 1.0)}
        put(self.cells, color=matrix, **edges)
        missing = [(layer, head) for layer, heads in enumerate(model.heads) for head in range(heads, across)]
        put(self.nowhere, **strokes(frame(layer, head, 0.0) for layer, head in missing))
        closed, draft = self._closed(), view.draft.heads if view.draft else ()
        self._mark(closed, draft, crowded=rows > 8 or across > 16)
        put(self.layer, max=rows - 1)
        put(self.head, max=across - 1)
        put(self.legend, value=self._legend(low, high, scores.criterion if scores else ""))
        put(self.says, value=line(self._summary(closed, draft), "says"))
        self._tell()

    def _number(self, rows: int, across: int) -> None:
        put(self.rows, max=float(rows))
        put(self.across, max=float(across))
        for numbers, side in ((every(rows, 8), self.down), (every(across, 12), self.along)):
            middles = [number + 0.5 for number in numbers]
            labels = {str(middle): str(number) for middle, number in zip(middles, numbers, strict=True)}
            put(side, tick_values=np.array(middles), tick_labels=labels)

    def _mark(self, closed: Sequence, draft: Sequence, crowded: bool) -> None:
        frames = strokes(frame(layer, head, INSET) for layer, head in draft)
        crosses = strokes(path for layer, head in closed for path in cross(layer, head))
        put(self.cells, stroke=None if crowded else self.theme.card)
        put(self.frame_casing, **frames, stroke_width=2.0 if crowded else 3.5)
        put(self.frames, **frames, stroke_width=1.0 if crowded else 1.6)
        put(self.cross_casing, **crosses, stroke_width=2.5 if crowded else 5.0)
        put(self.crosses, **crosses, stroke_width=1.2 if crowded else 2.5)

    def _legend(self, low: float, high: float, criterion: str) -> str:
        least, most = ("pale", "dark") if self.theme.name == "light" else ("dark", "bright")
        ramp = f'<span class="esp-ramp" style="background:linear-gradient(to right,{",".join(self.theme.ramp)})"></span>'
        frame = icon("M1 1H11V11H1Z", self.theme.gone, dash="3 2")
        cross = icon("M2 2L10 10M2 10L10 2", self.theme.gone, width=2.5)
        scores = [(ramp, f"score: {least} ≤ {short(low)}, {most} ≥ {short(high)}")] if criterion else []
        by = [("", f"scored by {criterion}, low goes first")] if criterion else []
        return legend([*scores, (cross, "closed"), (frame, "would go"), *by])

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
        put(self.button, disabled=not self._is_there(layer, head))
        if not self._is_there(layer, head):
            put(self.told, value=line(f"There is no head {head} in layer {layer}.", "says"))
            return
        scores, draft = self.shown.state.scores, self.shown.draft
        scored = f", score {short(scores.heads[layer][head])}" if scores else ""
        would = ", would go" if draft and (layer, head) in draft.heads else ""
        stands = "closed" if (layer, head) in self._closed() else "open"
        put(self.told, value=line(f"Layer {layer}, head {head} is {stands}{scored}{would}.", "says"))


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
