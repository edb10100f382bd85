"""The loss while the pruned model and its control train: training text as a line (smoothed, the raw one faint behind it),
validation text as points; every other round of a gradual pruning is shaded. Look whether the two models' validation losses
meet, and whether one rises while its training loss falls, which is overfitting.

The chart shows losses by step and knows nothing of how a step is made.
"""

import math
from collections.abc import Sequence

import ipywidgets
import numpy as np
from bqplot import LinearScale, Lines

from engine.record.state import Curve
from engine.record.training import RoundBegan
from widgets.drawing import Points, axis, columns, figure, legend, line, notice, put, say, swatch, thin, ticks
from widgets.theme import Theme
from widgets.view import Act, Drawn, View

TITLE = "Loss in recovery"
WIDE = 400  # points of a line: about as many as the chart has pixels from left to right
ARMS = {"tuned": "recovered", "control": "control"}  # an arm, and the model that it trains, in words


def build(theme: Theme, act: Act) -> Drawn:
    """Three lines for each arm; nothing in it can be pressed."""
    chart = _Loss(theme)
    return Drawn(chart.widget, chart.draw)


def forward(points: Points) -> tuple[tuple[float, float], ...]:
    """The points whose steps only grow: where a worker went back to a checkpoint, the steps done again replace the first ones."""
    kept, before = [], math.inf
    for step, loss in reversed(points):
        if step < before and math.isfinite(loss):
            kept.append((step, loss))
            before = step
    return tuple(reversed(kept))


def smoothed(points: Points) -> tuple[tuple[float, float], ...]:
    """A running mean with exponential weights over about a thirtieth of the curve, without a pull to its first value."""
    keep = 1 - 1 / max(1.0, len(points) / 30)
    total = weight = 0.0
    means = []
    for step, loss in points:
        total, weight = keep * total + loss, keep * weight + 1
        means.append((step, total / weight))
    return tuple(means)


class _Loss:
    """The widgets of the chart, and the curves that they show, so that a curve is worked on only when it has grown."""

    def __init__(self, theme: Theme):
        self.across, self.up = LinearScale(min=0, max=1), LinearScale(min=0, max=1)
        place = {"scales": {"x": self.across, "y": self.up}, "labels_visibility": "none"}
        self.raw, self.training, self.validation, entries = {}, {}, {}, []
        for arm, words in ARMS.items():
            colour = theme.stages[arm]
            style, dash, marker = ("solid", "", "circle") if arm == "tuned" else ("dashed", "6 3", "diamond")
            self.raw[arm] = Lines(colors=[colour], opacities=[0.25], stroke_width=1, **place)
            self.training[arm] = Lines(colors=[colour], stroke_width=1.8, line_style=style, **place)
            points = {"line_style": "dotted", "marker": marker, "marker_size": 36}
            self.validation[arm] = Lines(colors=[colour], stroke_width=1.2, **points, **place)
            entries.append((swatch(colour, dash=dash), f"{words}, training"))
            entries.append((swatch(colour, dash="2 3", dot=True), f"{words}, validation"))
        self.words = notice(theme)
        self.along = axis(theme, self.across, "Step", tick_format=",d")
        self.left = axis(theme, self.up, "Loss, nats per token", "left", grid=True)
        self.bands = Lines(
            colors=[theme.muted], fill="bottom", fill_colors=[theme.muted], fill_opacities=[0.12], opacities=[0.0], **place
        )  # fmt: skip
        lines = [self.bands, *self.raw.values(), *self.training.values(), *self.validation.values()]
        self.figure = figure(theme, [*lines, self.words], [self.along, self.left])
        self.says = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.figure, ipywidgets.HTML(legend(entries)), self.says])
        self.widget.add_class("esp-loss")
        self.shown: dict[str, Curve] | None = None
        self.rounds: tuple[RoundBegan, ...] = ()

    def draw(self, view: View) -> None:
        """Show the curves of both arms as far as they have come."""
        curves, rounds = view.state.standing.curves, view.state.standing.rounds
        if curves is self.shown and rounds is self.rounds:
            return
        self.shown, self.rounds = curves, rounds
        found = {arm: curves.get(arm, Curve()) for arm in ARMS}
        seen: list[tuple[float, float]] = []
        for arm, curve in found.items():
            training, validation = forward(curve.training), forward(curve.validation)
            put(self.raw[arm], **columns(thin(training, WIDE)))
            put(self.training[arm], **columns(thin(smoothed(training), WIDE)))
            put(self.validation[arm], **columns(thin(validation, WIDE)))
            seen += [*training, *validation]
        planned = max(*(curve.steps for curve in found.values()), *(step for step, _ in seen)) or 100
        low, high = min((loss for _, loss in seen), default=0.0), max((loss for _, loss in seen), default=1.0)
        margin = 0.06 * (high - low) or 0.5
        put(self.across, min=0.0, max=float(planned))
        put(self.up, min=low - margin, max=high + margin)
        put(self.bands, **columns(shaded(rounds, planned, low - margin, high + margin)))
        put(self.along, tick_values=np.array([tick for tick in ticks(0, planned) if tick == int(tick)]))
        put(self.left, tick_values=np.array(ticks(low - margin, high + margin)))
        say(self.words, *(() if seen else ("No data yet", "Prune, then press Recover")))
        put(self.says, value=line(_summary(found, rounds), "says"))


def shaded(rounds: Sequence[RoundBegan], end: float, low: float, high: float) -> Points:
    """The corners of a line that is high in the second round, the fourth and so on, and low in all others."""
    starts = [began.step for began in rounds]
    corners: list[tuple[float, float]] = []
    for start, stop in zip(starts[1::2], [*starts[2::2], end], strict=False):
        corners += [(start, low), (start, high), (stop, high), (stop, low)]
    return tuple(corners)


def _summary(curves: dict[str, Curve], rounds: Sequence[RoundBegan] = ()) -> str:
    parts = []
    if rounds:
        last = rounds[-1]
        parts.append(f"Round {last.round} of {last.rounds}, every other one shaded: {last.level:.0%} of the level.")
    for arm, curve in curves.items():
        if curve.training or curve.validation:
            step = max([step for step, _ in (*curve.training[-1:], *curve.validation[-1:])])
            trained = f"training {curve.training[-1][1]:.2f}" if curve.training else ""
            validated = f"validation {curve.validation[-1][1]:.2f}" if curve.validation else ""
            losses = ", ".join(part for part in (trained, validated) if part)
            parts.append(f"{ARMS[arm].capitalize()}, step {step:,} of {curve.steps:,}: {losses}.")
        if curve.kept is not None:
            parts.append(f"It ends as it was after step {curve.kept.step:,}: {curve.kept.why}.")
    return " ".join(parts) or "No model has been trained yet."
