"""A sweep as figures: a map or curves of its cells, and perplexity over parameters with the front; pure, and draws nothing."""

import math
from collections.abc import Callable, Iterable, Sequence

from engine.record.cells import SweepCellDone
from engine.record.figure import Figure, Line, Place, Series, Value
from engine.record.swept import SweepState
from widgets.grid import Axle, Spot, axles_of, front, spots, value_of, written

STAGES = {"pruned": "pruned", "tuned": "recovered", "control": "control"}
HERE = ""  # the name of the only sweep that these figures are of
GROUPS = 6  # series at most into which the points of a scatter are told apart
FRONT = "the front"
NAN = math.nan


def place_of(number: int) -> Place:
    """Where a cell of the sweep stands in these figures."""
    return Place(HERE, number)


def standing_for(state: SweepState, number: int) -> Place:
    """The cell that stands in the figure of the cells for the place at which this one is."""
    axles = axles_of(state.sweep)
    found = spots(state, map_axles(axles) if len(axles) > 1 else axles).values()
    return place_of(next(spot.number for spot in found if any(cell.number == number for cell in spot.cells)))


def failed(state: SweepState) -> frozenset[Place]:
    """The cells that have failed."""
    return frozenset(place_of(number) for number, one in state.done.items() if one.status == "failed")


def cells_figure(state: SweepState) -> Figure:
    """All cells: a map where two fields vary or more, curves or bars where one does."""
    axles = axles_of(state.sweep)
    if len(axles) > 1:
        return _map(state, *map_axles(axles))
    return _curves(state, axles[0] if axles else None)


def front_figure(state: SweepState) -> Figure:
    """Perplexity over parameters, a point for each cell that is done, and those that no other beats joined."""
    good = [one for one in state.done.values() if one.status == "done" and one.parameters is not None]
    axles = [axle for axle in axles_of(state.sweep) if not axle.is_number and len(axle.values) <= GROUPS]
    cells = {cell.number: cell for cell in state.sweep.cells}
    groups: dict[str, list[SweepCellDone]] = {}
    for one in sorted(good, key=lambda one: one.parameters):
        groups.setdefault(written(value_of(cells[one.number], axles[0].field)) if axles else "cells", []).append(one)
    best = [good[at] for at in front([(one.parameters, one.perplexity) for one in good])]
    series = [_points(name, found) for name, found in groups.items()]
    return Figure(
        "front", "scatter", "Perplexity over parameters", "parameters", "perplexity", (_points(FRONT, best), *series),
        log_y=True, fronts=(FRONT,), lines=_unpruned(good),
    )  # fmt: skip


def map_axles(axles: Sequence[Axle]) -> tuple[Axle, Axle]:
    """What goes from left to right and what from the top down: the first two fields, numbers from left to right."""
    first, second = axles[:2]
    return (second, first) if second.is_number and not first.is_number else (first, second)


def cells_words(state: SweepState) -> str:
    """What the figure of the cells shows, in a sentence or two."""
    axles = axles_of(state.sweep)
    found = spots(state, map_axles(axles) if len(axles) > 1 else axles)
    good = [spot for spot in found.values() if spot.perplexity is not None]
    lost = sum(one.status == "failed" for one in state.done.values())
    many = max((len(spot.cells) for spot in found.values()), default=1)
    words = f"{len(good):,} of {len(found):,} {'places' if many > 1 else 'cells'} are measured"
    if good:
        values = [spot.perplexity for spot in good]
        words += f", perplexity {written(round(min(values), 1))} to {written(round(max(values), 1))}"
    if many > 1:
        what = "seeds" if many == len(state.sweep.seeds) else "recipes"
        words += f", each the mean of up to {many} {what}"
    why = next((one.error for one in state.done.values() if one.status == "failed"), "")
    return f"{words}." + (f" {lost:,} failed, the first since: {why}" if lost else "")


def _map(state: SweepState, along: Axle, down: Axle) -> Figure:
    found = spots(state, (along, down))
    xs = tuple(map(_on_axis(along), along.values))
    rows = []
    for row, value in enumerate(down.values):
        line = [found.get((column, row), Spot(())) for column in range(len(along.values))]
        heights = tuple(NAN if spot.perplexity is None else spot.perplexity for spot in line)
        cells = tuple(None if spot.number is None else place_of(spot.number) for spot in line)
        rows.append(Series(written(value), xs, heights, cells=cells))
    return Figure(
        "cells", "heat", "Perplexity by cell", along.label, down.label, tuple(rows), log_y=True, value_label="perplexity"
    )


def _curves(state: SweepState, along: Axle | None) -> Figure:
    found = spots(state, (along,) if along else ())
    places = sorted(found)
    xs = [_on_axis(along)(along.values[place[0]]) if along else "the recipe" for place in places]
    stages = [stage for stage in STAGES if any(stage in one.perplexities for one in state.done.values())] or ["pruned"]
    series = []
    for stage in stages:
        values = [[one.perplexities[stage] for one in found[place].done if stage in one.perplexities] for place in places]
        means = tuple(sum(each) / len(each) if each else NAN for each in values)
        low, high = (tuple(end(each, default=NAN) for each in values) for end in (min, max))
        cells = tuple(place_of(found[place].number) for place in places)
        series.append(Series(STAGES[stage], tuple(xs), means, low, high, cells))
    kind, label = "curves" if along and along.is_number else "bars", along.label if along else ""
    lines = _unpruned(state.done.values())
    return Figure("cells", kind, "Perplexity", label, "perplexity", tuple(series), log_y=True, lines=lines)


def _unpruned(found: Iterable[SweepCellDone]) -> tuple[Line, ...]:
    """The perplexity of the unpruned model, where all cells have the same one."""
    before = {one.perplexities["baseline"] for one in found if "baseline" in one.perplexities}
    return (Line("unpruned", before.pop()),) if len(before) == 1 else ()


def _points(name: str, found: Sequence[SweepCellDone]) -> Series:
    xs, ys = tuple(one.parameters for one in found), tuple(one.perplexity for one in found)
    return Series(name, xs, ys, cells=tuple(place_of(one.number) for one in found))


def _on_axis(axle: Axle) -> Callable[[object], Value]:
    """How a value stands on an axis: a number as it is, all else in words."""
    return (lambda value: value) if axle.is_number else written
