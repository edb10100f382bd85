"""A sweep as figures: a map or curves of its cells, and perplexity over parameters with the front; pure, and draws nothing."""

import math
from collections.abc import Callable, Iterable, Sequence

from engine.record.cells import SweepCellDone
from engine.record.figure import Figure, Line, Place, Series, Value, front
from engine.record.sweep_folder import SweepState
from widgets.grid import SEED, Axle, Spot, axles_of, is_share, mean, spots, value_of, worded, written

STAGES = {"pruned": "pruned", "tuned": "recovered", "control": "control"}
HERE = ""  # the name of the only sweep that these figures are of
GROUPS = 6  # series at most into which the points of a scatter are told apart
FRONT = "the front"
NAN = math.nan


def place_of(number: int) -> Place:
    """Where a cell of the sweep stands in these figures."""
    return Place(HERE, number)


def standing_for(state: SweepState, number: int, fields: Sequence[str] = ()) -> Place:
    """The cell that stands in the figure of the cells for the place at which this one is."""
    found = spots(state, shown_axles(axles_of(state.sweep), fields)).values()
    return place_of(next(spot.number for spot in found if any(cell.number == number for cell in spot.cells)))


def failed(state: SweepState) -> frozenset[Place]:
    """The cells that have failed."""
    return frozenset(place_of(number) for number, one in state.done.items() if one.status == "failed")


def cells_figure(state: SweepState, fields: Sequence[str] = ()) -> Figure:
    """All cells: a map where two fields vary or more, curves or bars where one does. `fields` are those of the map, from left to
    right and from the top down; the first two where none are named."""
    axles = shown_axles(axles_of(state.sweep), fields)
    if len(axles) > 1:
        return _map(state, *axles)
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


def shown_axles(axles: Sequence[Axle], fields: Sequence[str] = ()) -> tuple[Axle, ...]:
    """The one axis that there is, or what goes from left to right and what from the top down: the two `fields` that are named,
    else the first two, numbers from left to right."""
    named = {axle.field: axle for axle in axles}
    if len(set(fields)) == 2 and set(fields) <= set(named):
        return tuple(named[field] for field in fields)
    if len(axles) > 1 and axles[1].is_number and not axles[0].is_number:
        return axles[1], axles[0]
    return tuple(axles[:2])


def cells_words(state: SweepState, fields: Sequence[str] = ()) -> str:
    """What the figure of the cells shows, in a sentence or two."""
    found = spots(state, shown_axles(axles_of(state.sweep), fields)).values()
    values = [spot.perplexity for spot in found if spot.perplexity is not None]
    several = max((spot.recipes for spot in found), default=1) > 1
    things = "cells" if all(len(spot.cells) == 1 for spot in found) else "places"
    words = f"{len(values):,} of {len(found):,} {things} are measured"
    if values:
        words += f", perplexity {written(round(min(values), 1))} to {written(round(max(values), 1))}"
    if several:
        measured, recipes = (sum(getattr(spot, name) for spot in found) for name in ("measured", "recipes"))
        words += f"; {measured:,} of {recipes:,} recipes, of which each place shows the best"
    if len(state.sweep.seeds) > 1 and not any(axle.field == SEED for axle in axles_of(state.sweep)):
        words += f"; a recipe counts with the geometric mean of up to {len(state.sweep.seeds)} seeds"
    lost = [one.error for one in state.done.values() if one.status == "failed"]
    return f"{words}." + (f" {len(lost):,} failed, the first since: {lost[0]}" if lost else "")


def protocol_words(state: SweepState) -> str:
    """Under which protocol the cells that are done were measured, or that it is not the same for all; empty while none is."""
    recipes = {cell.number: cell.recipe for cell in state.sweep.cells}
    found = {
        (str(recipes[one.number].corpus), one.tokens, recipes[one.number].evaluation.sequence_length)
        for one in state.done.values()
        if one.status == "done" and recipes[one.number] is not None
    }
    if len(found) > 1:
        return "Not all cells were measured on the same text and tokens: of those that were not, do not compare the perplexities."
    return "".join(
        f"Measured on {corpus}, evaluation split, {f'{tokens:,} tokens' if tokens else 'tokens'} in blocks of {length:,}."
        for corpus, tokens, length in found
    )


def missing_words(state: SweepState) -> str:
    """What a place without a number is."""
    return "not needed by the search" if state.best is not None and state.status == "finished" else "not measured yet"


def _map(state: SweepState, along: Axle, down: Axle) -> Figure:
    found = spots(state, (along, down))
    several = any(spot.recipes > 1 for spot in found.values())
    xs = tuple(map(_on_axis(along), along.values))
    rows = []
    for row, value in enumerate(down.values):
        line = [found.get((column, row), Spot()) for column in range(len(along.values))]
        heights = tuple(NAN if spot.perplexity is None else spot.perplexity for spot in line)
        cells = tuple(None if spot.number is None else place_of(spot.number) for spot in line)
        notes = tuple(f"{spot.measured}/{spot.recipes}" if spot.measured else "" for spot in line) if several else ()
        rows.append(Series(worded(down.field, value), xs, heights, cells=cells, notes=notes))
    says = "perplexity of the best recipe of a place, below it how many of them are measured" if several else "perplexity"
    return Figure(
        "cells",
        "heat",
        "Perplexity by cell",
        along.label,
        down.label,
        tuple(rows),
        log_y=True,
        value_label=says,
        shares=is_share(along.field),
    )


def _curves(state: SweepState, along: Axle | None) -> Figure:
    found = spots(state, (along,) if along else ())
    places = sorted(found)
    xs = [_on_axis(along)(along.values[place[0]]) if along else "the recipe" for place in places]
    stages = [stage for stage in STAGES if any(stage in one.perplexities for one in state.done.values())] or ["pruned"]
    series = []
    for stage in stages:
        values = [[one.perplexities[stage] for one in found[place].done if stage in one.perplexities] for place in places]
        means = tuple(mean(each) if each else NAN for each in values)
        low, high = (tuple(end(each, default=NAN) for each in values) for end in (min, max))
        cells = tuple(place_of(found[place].number) for place in places)
        series.append(Series(STAGES[stage], tuple(xs), means, low, high, cells))
    kind, label = "curves" if along and along.is_number else "bars", along.label if along else ""
    lines = _unpruned(state.done.values())
    shares = along is not None and is_share(along.field)
    return Figure("cells", kind, "Perplexity", label, "perplexity", tuple(series), log_y=True, lines=lines, shares=shares)


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
