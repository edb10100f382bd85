"""How much can go.

How many heads and neurons can go before the language suffers, what does that save, and is there anything special about 30 %?

The level of the neurons, and that of the heads, rises from 0 to 60 %; the model is measured before and after a recovery, whose
control is the cell at level 0. On a grid of both the cut models are timed as well, which shows what parameters and time are to
be had for which perplexity. A level is special where the loss bends upwards more, by its second difference, than at every other
level, beyond the spread over criteria and the seeds of random.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from statistics import fmean

from engine.record.figure import Figure, Line, Place, Series, Table
from engine.record.gathered import Done, Found, done, ratios
from engine.record.scale import Form, both, repeated, scale_of
from engine.record.spread import Estimate, as_ratio, estimate
from engine.record.sweep import Sweep

KINDS = ("neurons", "heads")
LEVELS = {"short": (0, 0.15, 0.3, 0.45, 0.6), "full": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}  # in equal steps
BENDS = 3  # levels at which the bend must be known before one of them is called special
ASKED = 0.3  # the level that is said to be special
GRID = {"heads.level": [0, 0.3, 0.6], "neurons.level": [0, 0.3, 0.6, 0.9]}
STAGES = ("pruned", "tuned")
BATCH = 8  # of the passes whose time is shown


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """A line of levels for each kind of unit, and a grid of both whose cut models are timed; all of them trained."""
    scale = scale_of(model, form)
    recipe = scale.recipe | {"tuning": scale.tuning}
    found = {}
    for kind in KINDS:
        found |= repeated(scale, kind, recipe, {f"{kind}.level": list(LEVELS[form])}, "recover")
    return found | {"grid": Sweep(recipe | {"criterion": scale.criteria[0]}, GRID, "recover", latency=True)}


def answer(found: Found) -> str:
    """What 30 % costs before and after recovery, and whether it is special."""
    return " ".join(_of_kind(found, kind) for kind in KINDS)


def cost(found: Found, kind: str, level: float, stage: str) -> Estimate | None:
    """What a level of one kind costs in nats per token: before the recovery over the whole model, after it over the control."""
    cells = done(found, *both(kind))
    whole = {cell.replicate: cell for cell in cells if level_of(cell) == 0}
    rises = (beyond(cell, whole.get(cell.replicate), stage) for cell in cells if level_of(cell) == level)
    return estimate(rise for rise in rises if rise is not None)


def over_untrained(found: Found, kind: str, level: float) -> Estimate | None:
    """The loss of the recovered model over that of the whole model as it was, which a training of its own would help as well."""
    rises = (cell.rise("tuned") for cell in done(found, *both(kind)) if level_of(cell) == level)
    return estimate(rise for rise in rises if rise is not None)


def beyond(cell: Done, whole: Done | None, stage: str) -> float | None:
    """The rise of a cell's loss: pruned over the whole model, recovered over the control, which is the recovery of `whole`."""
    rise = cell.rise(stage)
    if rise is None or stage == "pruned":
        return rise
    control = whole.rise("tuned") if whole is not None else None
    return None if control is None else rise - control


def kinks(found: Found, kind: str, stage: str) -> dict[float, Estimate]:
    """The second difference of the loss at each level between the ends, nats per token: above 0 where it bends upwards."""
    of_replicate: dict[tuple[str, int], dict[float, float]] = {}
    cells = done(found, *both(kind))
    levels = sorted({level_of(cell) for cell in cells})
    for cell in cells:
        if (rise := cell.rise(stage)) is not None:
            of_replicate.setdefault(cell.replicate, {})[level_of(cell)] = rise
    told, step = {}, min((after - before for before, after in pairwise(levels)), default=0)
    for before, at, after in zip(levels, levels[1:], levels[2:], strict=False):
        if after - before > 2.01 * step:  # what lies between is not measured yet
            continue
        whole = [line for line in of_replicate.values() if {before, at, after} <= line.keys()]
        if whole:
            told[at] = estimate(line[after] - 2 * line[at] + line[before] for line in whole)
    return told


def is_special(found: Found, kind: str, stage: str) -> bool | None:
    """Whether the loss bends at 30 % more than anywhere else, beyond the spread; None where that cannot be told."""
    bends = kinks(found, kind, stage)
    if len(bends) < BENDS or ASKED not in bends or bends[ASKED].low is None:
        return None
    asked, others = bends[ASKED], [bend for level, bend in bends.items() if level != ASKED]
    if all(asked.low > other.high for other in others):
        return True
    return False if any(other.low > asked.high for other in others) or asked.high <= 0 else None


def figures(found: Found) -> tuple[Figure, ...]:
    """Perplexity over the level before and after recovery, and over parameters and time with their fronts."""
    return (*(_curves(found, kind) for kind in KINDS), *_scatters(done(found, "grid")))


def table(found: Found) -> Table:
    """A row for each kind of unit and level, then for each cell of the grid."""
    rows: list[tuple] = []
    for kind in KINDS:
        for level in sorted({level_of(cell) for cell in done(found, *both(kind))}):
            told = [cost(found, kind, level, stage) for stage in STAGES]
            if any(told):
                rows.append((kind, level, *_ends(told[0]), *_ends(told[1]), None, None))
    grid = done(found, "grid")
    whole = _whole(grid)
    for cell in grid:
        named = " and ".join(f"{value:.0%} of the {name.partition('.')[0]}" for name, value in cell.cell.set.items())
        pruned, tuned = (beyond(cell, whole, stage) for stage in STAGES)
        at = [None if rise is None else math.exp(rise) for rise in (pruned, tuned)]
        rows.append((named, None, at[0], None, None, at[1], None, None, _size(cell, whole), time_of(cell)))
    ends = ("from", "to")
    head = ("units", "level", "pruned over whole", *ends, "recovered over control", *ends, "parameters left", "time left")
    return Table(head, tuple(rows))


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (cost, perplexity) those that no other beats in both, from the cheapest on."""
    kept: list[tuple[float, float]] = []
    for cost_of, perplexity in sorted(points):
        if not kept or perplexity < kept[-1][1]:
            kept.append((cost_of, perplexity))
    return kept


def level_of(cell: Done) -> float:
    """The level of a cell of the two lines."""
    return next(value for name, value in cell.cell.set.items() if name.endswith(".level"))


def time_of(cell: Done) -> float | None:
    """How long a forward pass of the cut model takes, over the dense one's; None where that was not measured."""
    times = [each for each in cell.cell.latency if each.batch == BATCH and each.what == "prefill"]
    return times[0].cut / times[0].dense if times else None


def _of_kind(found: Found, kind: str) -> str:
    told = {stage: cost(found, kind, ASKED, stage) for stage in STAGES}
    if None in told.values():
        return f"What {ASKED:.0%} of the {kind} cost cannot be told yet."
    pruned, tuned = (as_ratio(each, ".3f") for each in told.values())
    said = f"Without {ASKED:.0%} of the {kind} perplexity is {pruned} the whole model's, and after recovery {tuned} the control's"
    special = {True: "is special", False: "is not special", None: "cannot be told to be special"}
    bends = kinks(found, kind, "pruned")
    beside = f": the loss bends most at {max(bends, key=lambda level: bends[level].mean):.0%}" if bends else ""
    return f"{said}; {ASKED:.0%} {special[is_special(found, kind, 'pruned')]}{beside}."


def _curves(found: Found, kind: str) -> Figure:
    cells = done(found, *both(kind))
    lines = [ratios(name, cells, level_of, stage) for stage, name in (("pruned", "pruned"), ("tuned", "recovered"))]
    trained = [rise for cell in cells if level_of(cell) == 0 and (rise := cell.rise("tuned")) is not None]
    marks = (Line("control: trained, nothing gone", math.exp(fmean(trained))),) if trained else ()
    curves = tuple(line for line in lines if line.x)
    axis, over = f"level: share of the {kind} removed", "perplexity over the whole model's"
    return Figure(kind, "curves", f"How many {kind} can go", axis, over, curves, log_y=True, lines=marks)


def _scatters(grid: list[Done]) -> Iterator[Figure]:
    whole = _whole(grid)
    for name, axis, x in (
        ("parameters", "parameters left, over the whole model's", lambda cell: _size(cell, whole)),
        ("latency", f"time of a forward pass of {BATCH} texts, over the whole model's", time_of),
    ):
        series, fronts = [], []
        for stage, called in (("pruned", "pruned"), ("tuned", "recovered")):
            points = [(x(cell), cell.cell.perplexities.get(stage), cell.place) for cell in grid]
            points = [point for point in points if None not in point]
            best = front(point[:2] for point in points)
            first = {point[:2]: point[2] for point in reversed(points)}
            if points:
                series += [_points(called, points), _points(f"front, {called}", [(*point, first[point]) for point in best])]
                fronts.append(f"front, {called}")
        title = "Perplexity over parameters" if name == "parameters" else "Perplexity over measured time"
        yield Figure(name, "scatter", title, axis, "perplexity", tuple(series), log_y=True, fronts=tuple(fronts))


def _points(name: str, points: list[tuple[float, float, Place]]) -> Series:
    x, y, cells = zip(*points, strict=True)
    return Series(name, x, y, cells=cells)


def _whole(grid: list[Done]) -> Done | None:
    return next((cell for cell in grid if not any(cell.cell.set.values())), None)


def _size(cell: Done, whole: Done | None) -> float | None:
    return None if whole is None else cell.cell.parameters / whole.cell.parameters


def _ends(found: Estimate | None) -> tuple[float | None, float | None, float | None]:
    ends = (None, None, None) if found is None else (found.mean, found.low, found.high)
    return tuple(None if each is None else math.exp(each) for each in ends)
