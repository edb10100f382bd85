"""The cells of a sweep that are measured without training, as events; knows no folder's files and nobody who watches.

Cells of one model and text are measured side by side (`engine.sweeps.measuring`), stage by stage, and within a stage those that
begin alike follow one another. Whatever a cell fails for is its own reason: the others go on.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

from engine.record.commands import Load
from engine.record.events import Event
from engine.record.recipe import Recipe
from engine.record.sweep import Cell
from engine.sweeps.measuring import FAILURES, ModelAndText, failed, reason
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


def needs(cell: Cell) -> str:
    """What a cell needs loaded, as one text that is alike where that is."""
    recipe = cell.recipe
    return json.dumps([recipe.model, recipe.corpus, recipe.device], sort_keys=True)
