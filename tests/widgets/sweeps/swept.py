"""Sweeps made by hand for the tests of what draws them; no model and no process is behind them."""

import math
from dataclasses import replace

import ipywidgets

from engine.record.cells import SweepCellDone
from engine.record.recipe import Recipe
from engine.record.state import RunState
from engine.record.sweep import Cell, Sweep
from engine.record.sweep_folder import SweepState
from widgets.sweeper import Sweeps
from widgets.theme import LIGHT
from widgets.view import Drawn, View

SHARES = [0, 0.25, 0.5]
TWO = Sweep({}, {"criterion": ["random", "taylor"], "neurons.level": SHARES})
ONE = Sweep({}, {"neurons.level": SHARES}, "recover", seeds=[0, 1])
CUBE = Sweep({}, {"criterion": ["random", "taylor"], "compensation": ["none", "bias"], "neurons.level": [0.5, 0.25]})
WORDS = Sweep({}, {"criterion": ["random", "taylor", "magnitude"]})


def came_of(cell: Cell) -> SweepCellDone:
    """A cell that is done: the more goes, the higher its perplexity; taylor is better than random."""
    share = cell.recipe.neurons.level
    worse = 1.0 if cell.recipe.criterion == "random" else 0.5
    perplexity = 100 * math.exp(worse * share) + cell.seed
    stages = {"baseline": 100.0, "pruned": perplexity}
    if cell.recipe.tuning.steps:
        stages |= {"tuned": perplexity - 5, "control": 90.0}
    last = stages.get("tuned", perplexity)
    parameters = 1_000_000 - round(400_000 * share)
    return SweepCellDone(cell.number, dict(cell.set), cell.seed, "done", last, parameters, 0.5, None, stages, 1000)


def swept(sweep: Sweep, many: int | None = None, failing: int | None = None) -> SweepState:
    """The state of a sweep of which the first `many` cells are done (None: all), one of them `failing`."""
    done = {cell.number: came_of(cell) for cell in sweep.cells[:many]}
    if failing is not None:
        cell = sweep.cells[failing]
        done[failing] = SweepCellDone(failing, dict(cell.set), cell.seed, "failed", error="It is <b>too</b> much.")
    return SweepState(sweep, "finished" if len(done) == len(sweep.cells) else "stopped", done)


def view_of(state: SweepState | None, **changes: object) -> View:
    """A page that shows this sweep."""
    sweeps = Sweeps(state=state, chosen=None if state is None else "one")
    return View(RunState(), None, LIGHT, Recipe(), part="sweeps", sweeps=replace(sweeps, **changes))


def words(drawn: Drawn) -> str:
    """All the HTML of a part of the page."""
    return " ".join(each.value for each in inside(drawn.widget) if isinstance(each, ipywidgets.HTML))


def inside(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """A widget and all that is inside it."""
    children = widget.children if isinstance(widget, ipywidgets.Box) else ()
    return [widget, *(each for child in children for each in inside(child))]


def button(drawn: Drawn, name: str) -> ipywidgets.Button:
    """A button by its words."""
    return next(each for each in inside(drawn.widget) if isinstance(each, ipywidgets.Button) and each.description == name)
