"""Each layer has two bars: on the left the share of its heads that is closed, on the right, paler, that of its neurons, in the
colour of the layer's block. Hollow bars are what the controls would make of it. Look whether the loss grows with where you prune
or only with how much. Below stands the error that compensation is foretold to leave in what a part of a layer writes, where it is
largest, as a share of how much that varies.

The chart counts units and knows nothing of which ones went.
"""

from html import escape

import ipywidgets
import numpy as np
from bqplot import Bars, LinearScale, Lines, OrdinalScale, Tooltip

from engine.record.schedules import BLOCKS, block_of_layers
from widgets.drawing import axis, columns, every, figure, icon, legend, line, notice, percent, put, say, swatch
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Share removed, by layer"
PALE = 0.5  # how opaque a neurons' bar is beside its heads' bar
MANY = 16  # layers beyond which hollow bars are a fence: the draft is drawn as two lines instead


def build(theme: Theme, act: Act) -> Drawn:
    """Grouped bars of what stands, hollow ones of the draft; nothing in it can be pressed."""
    chart = _Shares(theme)
    return Drawn(chart.widget, chart.draw, answers=True)


class _Shares:
    """The widgets of the chart."""

    def __init__(self, theme: Theme):
        self.layers = OrdinalScale(domain=[0])
        place = {"x": self.layers, "y": LinearScale(min=0, max=1)}
        self.theme = theme
        self.bars = Bars(
            x=np.arange(0), y=np.zeros((2, 0)), scales=place, type="grouped", color_mode="no_group", opacity_mode="no_group",
            stroke=theme.card, stroke_width=0.0, padding=0.15,
            tooltip=Tooltip(fields=["x", "y"], labels=["Layer", "Removed"], formats=["", ".0%"]),
        )  # fmt: skip
        self.hollow = Bars(
            x=np.arange(0), y=np.zeros((2, 0)), scales=place, type="grouped", fill=False, stroke=theme.text,
            stroke_width=1.2, padding=0.15,
        )  # fmt: skip
        ink = {"x": np.zeros(0), "y": np.zeros(0), "scales": place, "labels_visibility": "none", "colors": [theme.text]}
        self.outlines = [Lines(stroke_width=width, line_style=style, **ink) for style, width in (("solid", 1.6), ("dotted", 2.2))]
        self.words = notice(theme)
        self.along = axis(theme, self.layers, "Layer")
        up = axis(
            theme, place["y"], "Removed", "left", grid=True, tick_values=np.array([0, 0.25, 0.5, 0.75, 1]), tick_format=".0%"
        )
        self.figure = figure(theme, [self.bars, self.hollow, *self.outlines, self.words], [self.along, up])
        box = "M1 1H11V11H1Z"
        blocks = [(icon(box, colour, fill=colour), block) for block, colour in zip(BLOCKS, theme.blocks, strict=True)]
        colour = theme.muted  # of no block: these two say which bar, not which block
        pale = icon(box, colour, fill=colour, opacity=PALE)
        kinds = [(icon(box, colour, fill=colour), "left bar: heads"), (pale, "right bar: neurons")]
        hollow = [(icon(box, theme.text, width=1.2), "would be")]
        lines = [(swatch(theme.text, width=1.6), "heads would be"), (swatch(theme.text, dash="2 3", width=2.2), "neurons")]
        self.legends = [legend([*blocks, *kinds, *wanted]) for wanted in (hollow, lines)]
        self.legend = ipywidgets.HTML(self.legends[0])
        self.says = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.figure, self.legend, self.says])
        self.widget.add_class("esp-shares")

    def draw(self, view: View) -> None:
        """Show what each layer has lost and what the draft would take."""
        model, gates = view.state.model, view.state.standing.gates
        put(self.bars, visible=model is not None)
        draft = view.draft if view.draft is not None and view.draft.is_counted else None
        deep = model is not None and len(model.heads) > MANY
        put(self.hollow, visible=draft is not None and not deep)
        put(self.legend, value=self.legends[deep])
        for each in self.outlines:  # an empty line is drawn along the axis
            put(each, visible=draft is not None and deep, **({} if deep else columns([])))
        if model is None:
            say(self.words, "No data yet", "Layers are shown once a model is loaded")
            put(self.says, value=line("No model is loaded.", "says"))
            return
        say(self.words)
        layers = len(model.heads)
        none = (0,) * layers
        stands = np.array([_shares(gates.head_counts if gates else none, model.heads),
                           _shares(gates.neuron_counts if gates else none, model.neurons)])  # fmt: skip
        blocks = block_of_layers(layers)
        put(self.layers, domain=list(range(layers)))
        # An ordinal axis has a tick for each layer, whatever `tick_values` says; the others get an empty label.
        numbered = every(layers, 12)
        put(self.along, tick_labels={str(layer): str(layer) if layer in numbered else "" for layer in range(layers)})
        put(
            self.bars,
            x=np.arange(layers),
            y=stands,
            colors=[self.theme.blocks[block] for block in blocks for _ in range(2)],
            opacities=[1.0, PALE] * layers,
        )
        if draft is not None:
            would = [_shares(draft.head_counts, model.heads), _shares(draft.neuron_counts, model.neurons)]
            put(self.hollow, x=np.arange(layers), y=np.array(would))
            for each, shares in zip(self.outlines, would, strict=True) if deep else ():
                put(each, **columns(list(enumerate(shares))))
        told = (_summary(stands, blocks), _noted(view), _foretold(view), _kept(view))
        put(self.says, value=line(" ".join(filter(None, told)), "says"))


def _shares(counts: tuple[int, ...], units: tuple[int, ...]) -> list[float]:
    # A layer of a cut model may have no unit of a kind left: then none of it is removed.
    return [gone / there if there else 0.0 for gone, there in zip(counts, units, strict=True)]


def _summary(stands: np.ndarray, blocks: tuple[int, ...]) -> str:
    if not stands.any():
        return "Nothing is removed."
    parts = []
    for number, name in enumerate(BLOCKS):
        inside = stands[:, [layer for layer, block in enumerate(blocks) if block == number]]
        if inside.shape[1]:
            heads, neurons = inside.mean(axis=1)
            parts.append(f"{name} {percent(heads)} of heads, {percent(neurons)} of neurons")
    return f"Removed on average: {'; '.join(parts)}."


def _foretold(view: View) -> str:
    """What compensation is foretold to leave of the error, at its worst: of the draft once it is previewed, or of the plan."""
    source = view.preview or (view.state.standing.plan if view.draft is None else None)
    found = [each for each in source.residuals if each.relative is not None] if source else []
    if not found:
        return ""
    worst = max(found, key=lambda each: each.relative)
    part = "attention" if worst.part == "attention" else "MLP"
    begin = "What a layer writes should" if view.draft is None else "If pruned now, what a layer writes should"
    return f"{begin} be off by at most {percent(worst.relative)} ({part}, layer {worst.layer})."


def _noted(view: View) -> str:
    """What whole groups and limits have made of the shares, while the plan that they were made for is what the controls ask."""
    plan = view.state.standing.plan
    return escape(" ".join(plan.notes)) if plan is not None and view.draft is None else ""


def _kept(view: View) -> str:
    promise = view.state.standing.promise
    if promise is None:
        return ""
    rises = f"{promise.promised:+.3f} nats per token, {promise.measured:+.3f} were measured".replace("-", "−")
    return f"The suggestion promised a change of the loss by {rises}."
