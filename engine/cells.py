"""The cells of a sweep one after another, each measured or recovered, as events; knows no folder's files and nobody who watches.

Cells of one model and text are measured side by side (`engine.ground`), stage by stage, and within a stage those that begin alike
follow one another. Whatever a cell fails for is its own reason: the others go on.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

from engine.ground import FAILURES, Ground, failed, named, reason
from engine.record.cells import SweepCellDone
from engine.record.commands import Load
from engine.record.events import Evaluated, Event, GatesChanged, ModelCut, StepTrained
from engine.record.lifecycle import Degraded, Progressed, RunFailed
from engine.record.recipe import Recipe
from engine.record.sweep import Cell
from engine.session import run
from engine.workbench import Workbench


def measured(cells: Sequence[Cell], memory: int, folder: Path | None = None) -> Iterator[Event]:
    """Prune and measure each cell, without training, as `Grounds` does."""
    with closing(Grounds(memory, folder)) as grounds:
        yield from grounds.measured(cells)


class Grounds:
    """Measures cells, without training: one workbench, on which one model with one text stands at a time.

    At most `memory` bytes are kept of what later cells share. Statistics are kept in `folder`, where one is given, for whoever
    goes on with the sweep. `close` lets go of the model and of all that is kept in memory.
    """

    def __init__(self, memory: int, folder: Path | None = None):
        self._bench, self._memory = Workbench(folder), memory
        self._ground: Ground | None = None
        self._stands = ""  # what is loaded
        self._unreachable: dict[str, str] = {}  # models and texts that could not be loaded, and why

    def close(self) -> None:
        """Let go of the model and of everything that is kept."""
        self._bench.close()
        self._ground, self._stands = None, ""

    def measured(self, cells: Sequence[Cell]) -> Iterator[Event]:
        """Prune and measure each cell."""
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
                coming = [cell for cell in line if cell.stage > inside[0].stage and needs(cell) == where]
                yield from self._ground.measured(inside, coming)

    def _loaded(self, where: str, recipe: Recipe) -> Iterator[Event]:
        if where == self._stands or where in self._unreachable:
            return
        self._ground, self._stands = None, ""
        try:
            yield from self._bench.handle(Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, recipe.seed))
            self._ground, self._stands = Ground(self._bench, self._memory), where
        except FAILURES as error:
            self._unreachable[where] = reason(error)


def recovered(cells: Sequence[Cell]) -> Iterator[Event]:
    """Carry out each cell's recipe, its training and its control with it, as a run of its own in this process."""
    for cell in cells:
        if cell.recipe is None:
            yield failed(cell, cell.error)
            continue
        start, found, left, latency, failure = time.perf_counter(), {}, None, (), None
        try:
            for event in run(cell.recipe):
                match event:
                    case Evaluated():
                        found[event.stage] = event
                    case GatesChanged():
                        left = event.parameters_after
                    case ModelCut():
                        latency = event.latency
                    case RunFailed():
                        failure = event.reason
                    case Progressed() | StepTrained() | Degraded():
                        yield event
        except FAILURES as error:
            failure = reason(error)
        if failure is not None:
            yield failed(cell, failure, time.perf_counter() - start)
            continue
        last = found.get("tuned", found["pruned"])
        yield SweepCellDone(
            **named(cell),
            status="done",
            perplexity=last.perplexity,
            parameters=left,
            seconds=time.perf_counter() - start,
            perplexities={stage: one.perplexity for stage, one in found.items()},
            tokens=last.tokens,
            latency=latency,
        )


def needs(cell: Cell) -> str:
    """What a cell needs loaded, as one text that is alike where that is."""
    recipe = cell.recipe
    return json.dumps([recipe.model, recipe.corpus, recipe.device], sort_keys=True)
