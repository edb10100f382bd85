"""The cells of a sweep one after another, each measured or recovered, as events; knows no folder's files and nobody who watches.

Cells of one model and text are measured side by side (`engine.sweeps.measuring`), stage by stage, and within a stage those that
begin alike follow one another. Cells that are recovered share the control. Whatever a cell fails for is its own reason: the
others go on.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from engine.record.cells import SweepCellDone, at_end
from engine.record.commands import Load
from engine.record.events import Event, StepTrained
from engine.record.lifecycle import Progressed
from engine.record.line import Stamped
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from engine.record.sweep import Cell
from engine.session import run
from engine.sweeps.measuring import FAILURES, ModelAndText, failed, named, reason
from engine.workbench import Workbench


def measured(cells: Sequence[Cell], memory: int, folder: Path | None = None) -> Iterator[Event]:
    """Prune and measure each cell, without training, as `CellMeasurer` does."""
    with closing(CellMeasurer(memory, folder)) as measurer:
        yield from measurer.measured(cells)


class CellMeasurer:
    """Measures cells, without training: one workbench, on which one model with one text stands at a time.

    At most `memory` bytes are kept of what later cells share. Statistics are kept in `folder`, where one is given, for whoever
    goes on with the sweep. `close` lets go of the model and of all that is kept in memory.
    """

    def __init__(self, memory: int, folder: Path | None = None):
        self._bench, self._memory = Workbench(folder), memory
        self._standing: ModelAndText | None = None
        self._stands = ""  # what is loaded
        self._unreachable: dict[str, str] = {}  # models and texts that could not be loaded, and why

    def close(self) -> None:
        """Let go of the model and of everything that is kept."""
        self._bench.close()
        self._standing, self._stands = None, ""

    def measured(self, cells: Sequence[Cell], coming: Sequence[Cell] = ()) -> Iterator[Event]:
        """Prune and measure each cell. What they share with those that are `coming`, in a later call, is kept for them."""
        possible = [cell for cell in cells if cell.recipe is not None]
        yield from (failed(cell, cell.error) for cell in cells if cell.recipe is None)
        # Stable: within a stage all cells of one model and text, in the order in which those are met.
        met = list(dict.fromkeys(map(needs, possible)))
        line = sorted(possible, key=lambda cell: (cell.stage, met.index(needs(cell))))
        for (_, where), group in groupby(line, key=lambda cell: (cell.stage, needs(cell))):
            inside = list(group)
            yield from self._loaded(where, inside[0].recipe)
            if where in self._unreachable:
                yield from (failed(cell, self._unreachable[where]) for cell in inside)
            else:
                later = [cell for cell in line if cell.stage > inside[0].stage and needs(cell) == where]
                later += [cell for cell in coming if needs(cell) == where]
                yield from self._standing.measured(inside, later)

    def _loaded(self, where: str, recipe: Recipe) -> Iterator[Event]:
        if where == self._stands or where in self._unreachable:
            return
        self._standing, self._stands = None, ""
        try:
            yield from self._bench.handle(Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, recipe.seed))
            self._standing, self._stands = ModelAndText(self._bench, self._memory), where
        except FAILURES as error:
            self._unreachable[where] = reason(error)


def recovered(cells: Sequence[Cell], controls: dict[str, float] | None = None) -> Iterator[Event]:
    """Carry out each cell's recipe, its training and its control with it, as a run of its own in this process.

    A control that an earlier cell has trained just so is not trained again: `controls` has the perplexities of those, and whoever
    gives it has them for the cells to come as well.
    """
    controls = {} if controls is None else controls
    for cell in cells:
        if cell.recipe is None:
            yield failed(cell, cell.error)
            continue
        start, told, failure, recipe = time.perf_counter(), [], None, cell.recipe
        trains, tuning = of_control(recipe), recipe.tuning
        if trains in controls:
            recipe = recipe.model_copy(update={"tuning": tuning.model_copy(update={"control": False})})
        try:
            for event in run(recipe):
                told.append(Stamped(len(told), 0.0, event))
                if isinstance(event, Progressed | StepTrained):
                    yield event
        except FAILURES as error:
            failure = reason(error)
        # Folded as the record of any run is: what a guard has undone, and all that was measured of it, is not the cell's.
        state, seconds = fold(RunState(), told), time.perf_counter() - start
        if failure is None and state.failure is not None:
            failure = state.failure.reason
        if failure is not None:
            yield replace(failed(cell, failure, seconds), degraded=state.degraded)
            continue
        stands, last = state.standing, at_end(state.standing.perplexity)
        perplexities = {stage: one.perplexity for stage, one in stands.perplexity.items()}
        if trains in controls:
            perplexities["control"] = controls[trains]
        elif trains and "control" in perplexities and not state.degraded:
            controls[trains] = perplexities["control"]
        yield SweepCellDone(
            **named(cell),
            status="done",
            perplexity=last.perplexity,
            parameters=stands.gates.parameters_after,
            seconds=seconds,
            perplexities=perplexities,
            tokens=last.tokens,
            latency=stands.cut.latency if stands.cut is not None else (),
            degraded=state.degraded,
        )


def of_control(recipe: Recipe) -> str | None:
    """All that the control of a recipe hangs on, as one text that is alike where that is; None for one that has none, and for one
    trained in rounds, of which the model it stands beside says how many it goes through."""
    if not recipe.tuning.control or (recipe.recover == "rounds" and recipe.rounds > 1):
        return None
    named = ("model", "corpus", "device", "precision", "seed", "tuning", "evaluation")
    return recipe.model_dump_json(include=set(named))


def needs(cell: Cell) -> str:
    """What a cell needs loaded, as one text that is alike where that is."""
    recipe = cell.recipe
    return json.dumps([recipe.model, recipe.corpus, recipe.device], sort_keys=True)
