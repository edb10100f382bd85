"""How much can go.

How many heads and neurons can go before the language suffers, what does that save, and is there anything special about 30 %?

The level of the neurons, and that of the heads, rises from 0 to 60 %; the model is measured before and after a recovery, whose
control is the cell at level 0. On a grid of both the cut models are timed as well, 8 texts at once or, where the evaluation has
fewer, one, which shows what parameters and time are to be had for which perplexity. A level is special where the loss over the
parameters that are gone bends upwards more than at every other level, beyond the spread over the seeds of random. Heads go whole,
so that several levels may come to the same.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from statistics import fmean

from engine.record.done_cells import Done, Found, done, grouped, of_training, ratios
from engine.record.experiments.criteria import criterion_of
from engine.record.figure import Figure, Line, Place, Series, Table, Verdict, front
from engine.record.scale import CHANCE, Form, both, repeated, scale_of
from engine.record.spread import Estimate, as_percent, as_ratio, as_times, estimate
from engine.record.sweep import Sweep

KINDS = ("neurons", "heads")
LEVELS = {
    "short": (0, 0.3, 0.6), "medium": (0, 0.15, 0.3, 0.45, 0.6), "full": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
}  # fmt: skip
BENDS = 3  # levels at which the bend must be known before one of them is called special
ASKED = 0.3  # the level that is said to be special
GRID = {"heads.level": [0, 0.3, 0.6], "neurons.level": [0, 0.3, 0.6, 0.9]}
STAGES = ("pruned", "tuned")


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """A line of levels for each kind of unit, and a grid of both whose cut models are timed; all of them trained."""
    scale = scale_of(model, form)
    recipe = scale.recipe | {"tuning": scale.tuning}
    found = {}
    for kind in KINDS:
        found |= repeated(scale, kind, recipe, {f"{kind}.level": list(LEVELS[form])}, "recover")
    return found | {"grid": Sweep(recipe | {"criterion": scale.criteria[0]}, GRID, "recover", latency=True)}


def answer(found: Found) -> tuple[Verdict, ...]:
    """What 30 % costs before and after recovery, whether it is special, what the training itself does, and how sure times are."""
    kept = next((each for kind in KINDS if (each := over_untrained(found, kind, 0)) is not None), None)
    return (*(verdict for kind in KINDS for verdict in _of_kind(found, kind)), *of_training(kept), *_timed(found))


def cost(found: Found, kind: str, level: float, stage: str, by: str = CHANCE) -> Estimate | None:
    """What a level of one kind costs in nats per token, chosen by a criterion: before the recovery over the whole model, after it
    over the control. Before it only chance has replicates: any other criterion has one number, whichever batches follow."""
    cells = _chosen(found, kind, by)
    whole = {cell.replicate: cell for cell in cells if level_of(cell) == 0}
    rises = [beyond(cell, whole.get(cell.replicate), stage) for cell in cells if level_of(cell) == level]
    told = [rise for rise in rises if rise is not None]
    return estimate(told if by == CHANCE or stage == "tuned" else told[:1])


def over_untrained(found: Found, kind: str, level: float, by: str = CHANCE) -> Estimate | None:
    """The loss of the recovered model over that of the whole model as it was, which a training of its own would help as well."""
    rises = (cell.rise("tuned") for cell in _chosen(found, kind, by) if level_of(cell) == level)
    return estimate(rise for rise in rises if rise is not None)


def chooser(found: Found, kind: str) -> str:
    """The criterion that chooses beside chance, the first where there are several; that of chance where none was measured."""
    return next((criterion_of(cell) for cell in done(found, kind)), CHANCE)


def beyond(cell: Done, whole: Done | None, stage: str) -> float | None:
    """The rise of a cell's loss: pruned over the whole model, recovered over the control, which is the recovery of `whole`."""
    rise = cell.rise(stage)
    if rise is None or stage == "pruned":
        return rise
    control = whole.rise("tuned") if whole is not None else None
    return None if control is None else rise - control


def kinks(found: Found, kind: str, stage: str) -> dict[float, Estimate]:
    """How much the loss bends upwards at each level between the ends, by the seeds of random: the second divided difference over
    the share of the parameters that are gone, nats per token. Of levels that come to the same units the lowest stands for all."""
    cells = [cell for cell in _chosen(found, kind, CHANCE) if cell.rise(stage) is not None]
    gone, lines = _gone(cells), [{level_of(cell): cell.rise(stage) for cell in of} for of in grouped(cells, _seed).values()]
    asked = next(levels for levels in LEVELS.values() if gone.keys() <= set(levels))
    levels = [at for before, at in pairwise((-1, *asked)) if gone.get(at) != gone.get(before, -1)]
    told = {}
    for before, at, after in zip(levels, levels[1:], levels[2:], strict=False):
        whole = [line for line in lines if {before, at, after} <= line.keys()]
        if whole:
            steps = gone[at] - gone[before], gone[after] - gone[at]
            slopes = (((line[at] - line[before]) / steps[0], (line[after] - line[at]) / steps[1]) for line in whole)
            told[at] = estimate(2 * (second - first) / sum(steps) for first, second in slopes)
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
        for criterion, cells in grouped(done(found, *both(kind)), criterion_of).items():
            for level in sorted({level_of(cell) for cell in cells}):
                told = [cost(found, kind, level, stage, criterion) for stage in STAGES]
                rows.append((f"{kind}, {criterion}", level, *_ends(told[0]), *_ends(told[1]), None, None))
    grid = done(found, "grid")
    whole = _whole(grid)
    for cell in grid:
        named = " and ".join(f"{as_percent(value)} of the {name.partition('.')[0]}" for name, value in cell.cell.set.items())
        pruned, tuned = (beyond(cell, whole, stage) for stage in STAGES)
        at = [None if rise is None else math.exp(rise) for rise in (pruned, tuned)]
        rows.append((named, None, at[0], None, None, at[1], None, None, _size(cell, whole), time_of(cell)))
    ends = ("from", "to")
    head = ("units", "level", "pruned over whole", *ends, "recovered over control", *ends, "parameters left", "time left")
    return Table(head, tuple(rows))


def level_of(cell: Done) -> float:
    """The level of a cell of the two lines."""
    return next(value for name, value in cell.cell.set.items() if name.endswith(".level"))


def time_of(cell: Done) -> float | None:
    """How long a forward pass of the cut model takes, over the dense one's, of the most texts at once that were timed; None where
    none was."""
    times = [each for each in cell.cell.latency if each.what == "prefill"]
    most = max(times, key=lambda each: each.batch, default=None)
    return None if most is None else most.cut / most.dense


def _of_kind(found: Found, kind: str) -> tuple[Verdict, ...]:
    chosen = chooser(found, kind)
    told = {by: [cost(found, kind, ASKED, stage, by) for stage in STAGES] for by in dict.fromkeys((chosen, CHANCE))}
    told = {by: ends for by, ends in told.items() if None not in ends}
    share = f"{as_percent(ASKED)} of the {kind}"
    if not told:
        return (Verdict(f"What {share} cost cannot be told yet"),)
    first, *others = told
    pruned, tuned = (as_times(each) for each in told[first])
    costs = (
        f"Without {share}, chosen by {first}, perplexity is {pruned} the whole model's, and after recovery {tuned} the control's"
    )
    numbers = f"{_costs(*told[first])}{''.join(f'; chosen by {by} {_costs(*told[by])}' for by in others)}"
    special = {
        True: f"{share} are special",
        False: f"{share} are not special",
        None: f"Whether {share} are special cannot be told",
    }
    bends = kinks(found, kind, "pruned")
    most = f"the loss bends most at {as_percent(max(bends, key=lambda level: bends[level].mean))}" if bends else ""
    return Verdict(costs, numbers), Verdict(special[is_special(found, kind, "pruned")], most)


def _costs(pruned: Estimate, tuned: Estimate) -> str:
    """What both stages of one way to choose cost, with their intervals."""
    return f"{as_ratio(pruned, '.3f')}, and after recovery {as_ratio(tuned, '.3f')}"


def _timed(found: Found) -> tuple[Verdict, ...]:
    """How sure times are: what came of timing the model that lost nothing beside itself."""
    whole = _whole(done(found, "grid"))
    times = [each.cut / each.dense for each in whole.cell.latency] if whole is not None else []
    if not times:
        return ()
    sure = as_percent(round(max(abs(each - 1) for each in times), 2))
    numbers = f"the model that lost nothing was timed at {min(times):.2f} to {max(times):.2f} times itself"
    return (Verdict(f"Measured times are sure to within {sure}", numbers),)


def _curves(found: Found, kind: str) -> Figure:
    cells = done(found, *both(kind))
    stages = (("pruned", "pruned"), ("tuned", "recovered"))
    ways = grouped(cells, criterion_of).items()
    lines = [ratios(f"{by}, {name}", of, level_of, stage) for by, of in ways for stage, name in stages]
    trained = [rise for cell in cells if level_of(cell) == 0 and (rise := cell.rise("tuned")) is not None]
    marks = (Line("control: trained, nothing gone", math.exp(fmean(trained))),) if trained else ()
    curves = tuple(line for line in lines if line.x)
    axis, over = f"level: share of the {kind} removed", "perplexity over the whole model's"
    return Figure(kind, "curves", f"How many {kind} can go", axis, over, curves, log_y=True, lines=marks, shares=True)


def _chosen(found: Found, kind: str, by: str) -> list[Done]:
    return [cell for cell in done(found, *both(kind)) if criterion_of(cell) == by]


def _gone(cells: list[Done]) -> dict[float, float]:
    """The share of the parameters that is gone at each level; {} until the whole model was measured."""
    left = {level_of(cell): cell.cell.parameters for cell in cells}
    return {level: 1 - parameters / left[0] for level, parameters in left.items()} if 0 in left else {}


def _seed(cell: Done) -> int:
    return cell.cell.seed


def _scatters(grid: list[Done]) -> Iterator[Figure]:
    whole = _whole(grid)
    for name, axis, x in (
        ("parameters", "parameters left, over the whole model's", lambda cell: _size(cell, whole)),
        ("latency", "time of a forward pass, over the whole model's", time_of),
    ):
        series, fronts = [], []
        for stage, called in (("pruned", "pruned"), ("tuned", "recovered")):
            points = [(x(cell), cell.cell.perplexities.get(stage), cell.place) for cell in grid]
            points = [point for point in points if None not in point]
            best = [points[at] for at in front([point[:2] for point in points])]
            if points:
                series += [_points(called, points), _points(f"front, {called}", best)]
                fronts.append(f"front, {called}")
        title = "Perplexity over parameters" if name == "parameters" else "Perplexity over measured time"
        more = {"log_y": True, "fronts": tuple(fronts), "shares": name == "parameters"}
        yield Figure(name, "scatter", title, axis, "perplexity", tuple(series), **more)


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
