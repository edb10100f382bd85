"""One model with one text, and the cells of a sweep that are planned and measured there; knows no sweep and no other model.

What shares nothing, a compensation that is fitted layer by layer, is laid over the model for each cell. Whatever a cell fails for
is its own reason: the others go on.
"""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from typing import Any

from engine.failures import is_fatal
from engine.pruning.cut_layers import Fit
from engine.pruning.packed_plans import Packed, number_of, packed
from engine.pruning.plan import parameters_removed
from engine.pruning.rounds import Round
from engine.record.cells import SweepCellDone
from engine.record.commands import preview_of
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.lifecycle import Progressed
from engine.record.recipe import Measuring, Recipe
from engine.record.sweep import Cell
from engine.report import size_of
from engine.sweeps.order import side_by_side
from engine.sweeps.shared_prefixes import Found, Sharing, Wish
from engine.workbench import Workbench

TURN, PLANNED = 100, 200  # cells of one turn, and with those after them, for which states are kept, at most so many are planned
# What a single cell may fail for: an impossible recipe, what torch refuses, a full memory or disk.
FAILURES = (ValueError, RuntimeError, MemoryError, OSError, ArithmeticError)


class ModelAndText:
    """One model with one text, on a workbench, and the cells that are measured there."""

    def __init__(self, bench: Workbench, memory: int):
        self.desk = bench.desk
        self._sharing = Sharing(bench.desk, memory)
        self._wishes: dict[int, Wish] = {}  # by the number of a cell, from its planning on until it is measured
        self._scored: set[tuple] = set()  # the ways in which units were scored
        self._spent: dict[int, float] = {}  # the seconds that its planning took
        self._dense: dict[Measuring, float] = {}  # perplexities before any pruning
        self._alone: dict[int, Found] = {}  # by the wish's number: what shares nothing, and another seed may ask for again

    def measured(self, cells: Sequence[Cell], coming: Sequence[Cell]) -> Iterator[Event]:
        """Measure the cells; what they share with those that are `coming` is kept for them.

        Units are scored for the cells in hand and not before: one criterion may take longer than all cells of another. Plans are
        made for so many cells at a time, lest thousands be planned, and kept, before the first is measured.
        """
        batches: dict[tuple, list[Cell]] = {}
        for cell in cells:
            key = _scored_by(cell.recipe)
            batches.setdefault(() if key in self._scored else key, []).append(cell)
        coming = side_by_side(coming)
        for batch in batches.values():
            self._scored.update(_scored_by(cell.recipe) for cell in batch)
            line, later = side_by_side(batch), [cell for cell in coming if _scored_by(cell.recipe) in self._scored]
            for at in range(0, len(line), TURN):
                turn = line[at : at + TURN]
                yield from self._together(turn, [*line[at + len(turn) :], *later])

    def _together(self, cells: Sequence[Cell], coming: Sequence[Cell]) -> Iterator[Event]:
        together = [cell for cell in cells if not _is_slow(cell.recipe)]
        ahead = [cell for cell in coming if not _is_slow(cell.recipe)][: PLANNED - len(together)]
        wanted = {cell.number for cell in (*together, *ahead)}
        for number in [number for number in self._wishes if number not in wanted]:
            del self._wishes[number], self._spent[number]  # made again in their turn
        for cell in (*together, *ahead):
            try:
                yield from self._plan(cell)
            except FAILURES:
                continue  # it is tried again in its turn, and says then what it fails for
        line, later = self._ordered(together), []
        for _, stage in groupby(ahead, key=lambda cell: cell.stage):
            later += self._ordered(list(stage))
        self._sharing.expect(self._wishes[cell.number] for cell in (*line, *later))
        shared = {cell.number for cell in line}
        for cell in (*line, *(cell for cell in cells if cell.number not in shared)):  # what shares nothing comes last
            try:
                yield from self._measured(cell)
            except FAILURES as error:
                why = reason(error)
                self.desk.overlay.off()
                self._sharing.forget()
                yield failed(cell, why)

    def planned(self, cell: Cell) -> Generator[Progressed, None, Wish]:
        """What goes in a cell, which is found out and not kept."""
        recipe, last = cell.recipe, None
        with closing(self.desk.rounds(preview_of(recipe))) as steps:
            for step in steps:
                if isinstance(step, Round):
                    last = step
                else:
                    yield step
        fit = Fit(recipe.compensation, recipe.ridge, recipe.add_biases)
        return Wish(packed(last.plan), fit, recipe.calibration, recipe.evaluation)

    def _plan(self, cell: Cell) -> Generator[Progressed, None, None]:
        if cell.number not in self._wishes:
            start = time.perf_counter()
            self._wishes[cell.number] = yield from self.planned(cell)
            self._spent[cell.number] = time.perf_counter() - start

    def _measured(self, cell: Cell) -> Iterator[Event]:
        yield from self._plan(cell)
        wish, spent = self._wishes.pop(cell.number), self._spent.pop(cell.number)
        if wish.evaluation not in self._dense:
            dense = yield from self._sharing.measuring(replace(wish, plan=Packed(), fit=Fit()))
            self._dense[wish.evaluation] = _finite(dense, "its weights are damaged, or float32 is too coarse for them")
        start = time.perf_counter()
        found = yield from self._laid(wish) if _is_alone(wish) else self._sharing.measuring(wish)
        perplexity = _finite(found, "prune it less")
        yield SweepCellDone(
            **named(cell),
            status="done",
            perplexity=perplexity,
            parameters=self.desk.loaded.anatomy.parameters - found.removed + found.added,
            seconds=spent + time.perf_counter() - start,
            perplexities={"baseline": self._dense[wish.evaluation], "pruned": perplexity},
            tokens=found.evaluation.tokens,
            shared=found.shared,
            kept=self._sharing.cache.held,
        )

    def _laid(self, wish: Wish) -> Generator[Progressed, None, Found]:
        """The same for a compensation that shares nothing: laid over the model, measured, and taken off again."""
        key = number_of(wish)
        if key in self._alone:
            return self._alone[key]
        desk, fit, plan, anatomy = self.desk, wish.fit, wish.plan.plan, self.desk.loaded.anatomy
        known = yield from desk.known(fit.method, wish.calibration)
        yield from desk.overlay.laying(plan, fit.method, known, fit.ridge, fit.add_biases)
        try:
            found = yield from desk.evaluate(desk.model, wish.evaluation)
            added = size_of(desk.model)[0] - anatomy.parameters
            self._alone[key] = Found(found, parameters_removed(plan, anatomy), added, 0)
        finally:
            desk.overlay.off()
        return self._alone[key]

    def _ordered(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those of the cells that are planned and share something, in the order in which they share most."""
        cells = [cell for cell in cells if cell.number in self._wishes and not _is_alone(self._wishes[cell.number])]
        return [cells[at] for at in self._sharing.ordered([self._wishes[cell.number] for cell in cells])]


def _scored_by(recipe: Recipe) -> tuple:
    return recipe.criterion, recipe.calibration, recipe.seed


def _is_slow(recipe: Recipe) -> bool:
    """Whether it takes passes over the text of its own to find out what goes."""
    return recipe.rounds > 1 or recipe.allocation == "suggest"


def _is_alone(wish: Wish) -> bool:
    return wish.fit.method == "sequential"


def _finite(found: Found, advice: str) -> float:
    """The perplexity; raises `BadInput` where it is none."""
    measured = found.evaluation
    if not math.isfinite(measured.perplexity):
        raise BadInput(f"The model's perplexity is not finite ({measured.nll / measured.tokens:g} nats per token); {advice}.")
    return measured.perplexity


def reason(error: Exception) -> str:
    """Why a cell has failed; raises the error again where this process could do no other cell after it."""
    if is_fatal(error):
        raise error
    said = " ".join(str(error).split())
    return said if isinstance(error, BadInput) else f"{type(error).__name__}: {said}"


def named(cell: Cell) -> dict[str, Any]:
    """The fields of a `SweepCellDone` that say which cell it is."""
    return {"number": cell.number, "set": dict(cell.set), "seed": cell.seed}


def failed(cell: Cell, why: str, seconds: float = 0.0) -> SweepCellDone:
    """A cell that came to nothing."""
    return SweepCellDone(**named(cell), status="failed", seconds=seconds, error=why)
