"""What came of a sweep's cells, arranged for charts: rows, columns, means, the front; knows no widget and draws nothing.

Cells that differ in their seed only, or in a field that a chart has no axis for, stand at one place, where their mean counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.record.cells import SweepCellDone
from engine.record.recipe import Recipe
from engine.record.sweep import Cell, Sweep
from engine.record.swept import SweepState
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
    """All cells of one place, those of them that are done, and the mean perplexity of its recipes; None while one of them has
    none, and `failed` is a cell that has failed then."""

    cells: tuple[Cell, ...]
    done: tuple[SweepCellDone, ...] = ()
    perplexity: float | None = None
    failed: int | None = None

    @property
    def number(self) -> int | None:
        """The cell that stands for the place: one that has failed, where that is why there is no mean, else the first."""
        return self.failed if self.failed is not None else self.cells[0].number if self.cells else None


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
    """The mean over the recipes of the mean over their seeds; where one recipe is missing it would not say what it seems to."""
    found = {cell.number: state.done[cell.number] for cell in cells if cell.number in state.done}
    groups: dict[str, list[SweepCellDone]] = {}
    for cell in cells:
        group = groups.setdefault(repr(cell.set), [])
        if cell.number in found and found[cell.number].status == "done":
            group.append(found[cell.number])
    good = tuple(one for group in groups.values() for one in group)
    means = [sum(one.perplexity for one in group) / len(group) for group in groups.values() if group]
    lost = next((one.number for one in found.values() if one.status == "failed"), None)
    whole = len(means) == len(groups)
    return Spot(tuple(cells), good, sum(means) / len(means) if whole else None, None if whole else lost)


def rise_of(found: SweepCellDone) -> float | None:
    """By how much the loss of a cell's model is above the unpruned model's, in nats per token; None where that is not known."""
    before = found.perplexities.get("baseline")
    return math.log(found.perplexity / before) if before and found.perplexity else None


def front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """The points (parameters, perplexity) than which none is better in one and no worse in the other, by ascending parameters."""
    best, found = math.inf, []
    for number in sorted(range(len(points)), key=lambda number: points[number]):
        if points[number][1] < best:
            best = points[number][1]
            found.append(number)
    return tuple(found)


def told(cell: Cell, seeds: int = 1) -> str:
    """What a cell sets, in words; its seed where there are several."""
    parts = [f"{label_of(field)} {written(value)}" for field, value in cell.set.items()]
    return ", ".join(parts + [f"seed {cell.seed}"] * (seeds > 1 or not parts))


def written(value: Any) -> str:
    """A value of an axis, for people."""
    if isinstance(value, list | tuple):
        return ", ".join(map(written, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def recipe_of_cell(sweep: Sweep, cell: Cell) -> Recipe | None:
    """A cell's recipe, for the controls: with the training and the cut of the sweep's own recipe, which a sweep may leave out.
    None for a cell that makes no recipe."""
    if cell.recipe is None:
        return None
    changes = {"cut": sweep.recipe.get("cut", True)}
    if sweep.mode != "recover":
        changes["tuning"] = sweep.recipe.get("tuning", {})
    return Recipe.model_validate(cell.recipe.model_dump(mode="json") | changes)
