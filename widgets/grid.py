"""What came of a sweep's cells, arranged for charts: rows, columns, what stands where; knows no widget and draws nothing.

Cells that differ in their seed only, or in a field that a chart has no axis for, stand at one place. The mean of the seeds counts
there, and of several recipes the best: it is what a search would choose, and a recipe that can be loaded, which a mean is not.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from engine.record.cells import SweepCellDone
from engine.record.recipe import Recipe
from engine.record.spread import as_percent
from engine.record.sweep import Cell, Sweep
from engine.record.sweep_folder import SweepState
from widgets.axes import label_of

SEED = "seed"


@dataclass(frozen=True)
class Axle:
    """One axis of a chart: a field, its words, and its values, numbers in ascending order, all else as the sweep has it."""

    field: str
    label: str
    values: tuple[Any, ...]

    @property
    def is_number(self) -> bool:
        """Whether the values can stand on a scale of numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    def place(self, cell: Cell) -> int:
        """Where a cell stands on the axis."""
        return self.values.index(value_of(cell, self.field))


@dataclass(frozen=True)
class Spot:
    """All cells of one place, and those of them that are `done`. Of its `recipes` so many are `measured`; `perplexity` is the
    lowest of theirs, each the mean of its seeds, and None where none is. `number` is the cell that stands for the place: one of
    that recipe, else one that has not failed, else the first."""

    cells: tuple[Cell, ...] = ()
    done: tuple[SweepCellDone, ...] = ()
    recipes: int = 0
    measured: int = 0
    perplexity: float | None = None
    number: int | None = None


def value_of(cell: Cell, field: str) -> Any:
    """What a cell sets on an axis; its seed is one too."""
    return cell.seed if field == SEED else cell.set[field]


def axles_of(sweep: Sweep) -> tuple[Axle, ...]:
    """The axes along which there is something to see, in the sweep's order; the seeds where nothing else varies."""
    found = []
    for field in sweep.axes:
        each = {repr(value_of(cell, field)): value_of(cell, field) for cell in sweep.cells}  # a value may be a list
        axle = Axle(field, label_of(field), tuple(each.values()))
        if len(each) > 1:
            found.append(Axle(field, axle.label, tuple(sorted(each.values()))) if axle.is_number else axle)
    if not found and len(sweep.seeds) > 1:
        found.append(seeds_of(sweep))
    return tuple(found)


def seeds_of(sweep: Sweep) -> Axle:
    """The seeds as an axis."""
    return Axle(SEED, "Seed", tuple(sorted(sweep.seeds)))


def spots(state: SweepState, axles: Sequence[Axle]) -> Mapping[tuple[int, ...], Spot]:
    """The places that the axes make, each with its cells."""
    at: dict[tuple[int, ...], list[Cell]] = {}
    for cell in state.sweep.cells:
        at.setdefault(tuple(axle.place(cell) for axle in axles), []).append(cell)
    return {place: _spot(state, cells) for place, cells in at.items()}


def _spot(state: SweepState, cells: Sequence[Cell]) -> Spot:
    """What is known of a place. Where recipes differ in more than its axes say, the best of them is what its axes allow."""
    found = {cell.number: state.done[cell.number] for cell in cells if cell.number in state.done}
    groups: dict[str, list[SweepCellDone]] = {}
    for cell in cells:
        group = groups.setdefault(repr(cell.set), [])
        if cell.number in found and found[cell.number].status == "done":
            group.append(found[cell.number])
    good = [group for group in groups.values() if group]
    means = {group[0].number: mean([one.perplexity for one in group]) for group in good}
    best = min(means, key=means.get, default=None)
    hopeful = (cell.number for cell in cells if cell.number not in found or found[cell.number].status == "done")
    number = next(hopeful, cells[0].number) if best is None else best
    done = tuple(one for group in good for one in group)
    return Spot(tuple(cells), done, len(groups), len(good), None if best is None else means[best], number)


def mean(perplexities: Sequence[float]) -> float:
    """The mean of perplexities by their logarithms, which are what losses are."""
    only, *others = perplexities
    return math.exp(fmean(map(math.log, perplexities))) if others else only


def rise_of(found: SweepCellDone) -> float | None:
    """By how much the loss of a cell's model is above the unpruned model's, in nats per token; None where that is not known."""
    before = found.perplexities.get("baseline")
    return math.log(found.perplexity / before) if before and found.perplexity else None


def told(cell: Cell, seeds: int = 1) -> str:
    """What a cell sets, in words; its seed where there are several."""
    parts = [f"{label_of(field)} {worded(field, value)}" for field, value in cell.set.items()]
    return ", ".join(parts + [f"seed {cell.seed}"] * (seeds > 1 or not parts))


def written(value: Any) -> str:
    """A value of an axis, for people."""
    if isinstance(value, list | tuple):
        return ", ".join(map(written, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def is_share(field: str) -> bool:
    """Whether the numbers of a field are shares of the heads or neurons that go."""
    return re.fullmatch(r"(heads|neurons)\.(level|blocks\.\d|layers\.\d+)", field) is not None


def worded(field: str, value: Any) -> str:
    """A value of a field, for people: shares in hundredths."""
    return as_percent(value) if is_share(field) and isinstance(value, int | float) else written(value)


def recipe_of_cell(sweep: Sweep, cell: Cell) -> Recipe | None:
    """A cell's recipe, for the controls: with the training and the cut of the sweep's own recipe, which a sweep may leave out.
    None for a cell that makes no recipe."""
    if cell.recipe is None:
        return None
    changes = {"cut": sweep.recipe.get("cut", True)}
    if sweep.mode != "recover":
        changes["tuning"] = sweep.recipe.get("tuning", {})
    return Recipe.model_validate(cell.recipe.model_dump(mode="json") | changes)
