"""Schedules at equal parameters.

For as many neurons gone, is it better to take the same share of every layer, or more from the front, the middle or the back, and
should the share grow linearly or exponentially?

Seven schedules take the same level of the neurons, 10 to 60 %: uniform, linear and exponential up and down, middle-heavy, and the
shares that are suggested. Linear and exponential are also compared at the same level and the same steepness, over a range of
steepness, those that grow from front to back apart from those that shrink, and as a gentle linear beside a steep exponential,
where shape and steepness differ at once. At 60 % chosen at random, in the full form at 20 and 40 % too, the models are trained as
well, beside a control that lost nothing. A schedule is better where its perplexity is lower beyond the spread over criteria and
the seeds of random.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from engine.record.done_cells import Done, Found, control, done, grouped, leader, of_training, paired, ratios
from engine.record.figure import Figure, Line, Series, Table, Verdict
from engine.record.scale import CHANCE, Form, both, repeated, scale_of
from engine.record.spread import Estimate, as_percent, as_ratio
from engine.record.sweep import Sweep

GROWN = ("linear", "exponential")
STEEP = 3.0  # the back block's share over the front's, of the schedules that grow
MIDDLE = (0.75, 1.5, 0.75)  # of the level, in the blocks; the mean is the level where the three are as long
STEEPNESS = (0.25, 0.5, 1, 2, 4, 8)
GENTLE, SHARP = 2, 4  # the steepness of the linear and of the exponential schedule that were compared before
AT = 0.3  # the level at which steepness varies
RECOVERED = 0.6  # the level that is trained in every form
TRAINED = {"short": (RECOVERED,), "medium": (RECOVERED,), "full": (0.2, 0.4, RECOVERED)}
SUGGESTED = "suggested"


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """All schedules at all levels, the suggested shares, steepness by shape, and the recovery of some levels with its control."""
    scale = scale_of(model, form)
    suggest = scale.recipe | {"allocation": "suggest"}
    varied = scale.recipe | {"neurons": {"level": AT, "shape": "linear"}}
    trained = scale.recipe | {"tuning": scale.tuning, "criterion": CHANCE}
    recovered = {}
    for level in TRAINED[form]:
        at = {"neurons": {"level": level, "shape": "uniform"}, "allocation": "suggest"}
        plain, suggested = _called(level)
        recovered[plain] = Sweep(trained, {"neurons": shaped(level)}, "recover", scale.seeds)
        recovered[suggested] = Sweep(trained | at, {}, "recover", scale.seeds)
    return {
        **repeated(scale, "shapes", scale.recipe, {"neurons": [each for level in scale.levels for each in shaped(level)]}),
        **repeated(scale, SUGGESTED, suggest, {"neurons.level": list(scale.levels)}),
        **repeated(scale, "steepness", varied, {"neurons.shape": list(GROWN), "neurons.steepness": list(STEEPNESS)}),
        "control": Sweep(trained, {}, "recover", scale.seeds),
        **recovered,
    }


def shaped(level: float) -> list[dict[str, Any]]:
    """The schedules that take this level of the neurons, each as a recipe has it."""
    grown = [{"level": level, "shape": shape, "steepness": steepness} for shape in GROWN for steepness in (STEEP, 1 / STEEP)]
    middle = [round(level * part, 6) for part in MIDDLE]
    return [{"level": level, "shape": "uniform"}, *grown, {"level": level, "shape": "custom", "blocks": middle}]


def shape_of(cell: Done) -> str:
    """What a cell's schedule is called."""
    asked = cell.cell.set.get("neurons")
    if asked is None:
        return SUGGESTED
    if asked["shape"] == "custom":
        return "middle-heavy"
    if asked["shape"] == "uniform":
        return "uniform"
    return f"{asked['shape']} {'up' if asked['steepness'] > 1 else 'down'}"


def answer(found: Found) -> tuple[Verdict, ...]:
    """The best schedule before and after recovery, what the training itself does, and linear against exponential: matched, and as
    they were compared before."""
    pruned, recovered = _best(_measured(found), "pruned", "without training"), []
    for level in _levels_trained(found):
        when = f"after recovery, {as_percent(level)} of the neurons gone at random"
        recovered.append(_best(_trained(found, level), "tuned", when))
    return pruned, *recovered, *of_training(control(found)), _matched(found)


def exponential_over_linear(found: Found, growing: bool = True) -> Estimate | None:
    """How much higher the loss of exponential schedules is than that of linear ones, at the same level and steepness: of those
    that grow from front to back, or of those that shrink."""
    matched = (cell for cell in done(found, *both("steepness")) if _steepness(cell) != 1)  # at 1 both are uniform
    cells = grouped((cell for cell in matched if (_steepness(cell) > 1) == growing), lambda cell: cell.cell.set["neurons.shape"])
    return paired(cells.get("exponential", ()), cells.get("linear", ()), _steepness, Done.rise)


def steep_over_gentle(found: Found) -> Estimate | None:
    """The same for a steep exponential schedule beside a gentle linear one, where not only the shape differs."""
    cells = grouped(done(found, *both("steepness")), lambda cell: (cell.cell.set["neurons.shape"], _steepness(cell)))
    return paired(cells.get(("exponential", SHARP), ()), cells.get(("linear", GENTLE), ()), lambda cell: AT, Done.rise)


def figures(found: Found) -> tuple[Figure, ...]:
    """Perplexity over the level for each schedule, over steepness for both shapes, and before and after recovery."""
    shapes = grouped(_measured(found), shape_of)
    levels = tuple(ratios(name, cells, _level) for name, cells in shapes.items())
    by_shape = grouped(done(found, *both("steepness")), lambda cell: cell.cell.set["neurons.shape"])
    steep = tuple(ratios(name, cells, _steepness) for name, cells in by_shape.items())
    over = "perplexity over the whole model's"
    x_label = f"steepness: the back block's share over the front's, at a level of {as_percent(AT)}"
    return (
        Figure(
            "level",
            "curves",
            "Schedules at equal parameters",
            "level: share of all neurons",
            over,
            levels,
            log_y=True,
            shares=True,
        ),
        Figure("steepness", "curves", "Linear and exponential, matched", x_label, over, steep, log_x=True),
        *(_recovery(found, level) for level in _levels_trained(found)),
    )


def _recovery(found: Found, level: float) -> Figure:
    trained, kept = _trained(found, level), control(found)
    stages = (("pruned", "pruned"), ("tuned", "recovered")) if trained else ()
    bars = tuple(ratios(name, trained, shape_of, stage) for stage, name in stages)
    lines = (Line("control: trained, nothing gone", math.exp(kept.mean)),) if kept and trained else ()
    name = "recovery" if level == RECOVERED else f"recovery-{level * 100:.0f}"
    title = f"A level of {as_percent(level)}, before and after recovery"
    over = "perplexity over the whole model's"
    return Figure(name, "bars", title, "schedule", over, bars, log_y=True, lines=lines, base=1.0)


def table(found: Found) -> Table:
    """A row for each schedule and level, then for each shape and steepness, then for what was trained."""
    rows: list[tuple] = []
    for name, cells in grouped(_measured(found), shape_of).items():
        rows += _rows(name, ratios(name, cells, _level), "pruned")
    for name, cells in grouped(done(found, *both("steepness")), lambda cell: cell.cell.set["neurons.shape"]).items():
        for x, y, low, high in _points(ratios(name, cells, _steepness)):
            rows.append((f"{name}, steepness {x:g}", AT, "pruned", y, low, high))
    for level, (stage, called) in product(_levels_trained(found), (("pruned", "pruned"), ("tuned", "recovered"))):
        for x, y, low, high in _points(ratios(called, _trained(found, level), shape_of, stage)):
            rows.append((x, level, f"{called}, trained ones", y, low, high))
    return Table(("schedule", "level", "stage", "perplexity ratio", "lowest", "highest"), tuple(rows))


def _best(cells: list[Done], stage: str, when: str) -> Verdict:
    found = leader(grouped(cells, shape_of), _level, lambda cell: cell.rise(stage))
    if found is None:
        return Verdict(f"Which schedule is best {when} cannot be told yet", "fewer than two were measured")
    first, second, more = found
    if more is None or more.sign < 1:
        return Verdict(f"Which schedule is best {when} cannot be told", f"{first} and {second} come first and are too close")
    return Verdict(f"Best schedule {when}: {first}", f"the next, {second}, has {as_ratio(more)} its perplexity")


def _matched(found: Found) -> Verdict:
    more, apart = exponential_over_linear(found), steep_over_gentle(found)
    if more is None or apart is None:
        return Verdict("Whether linear or exponential is better cannot be told yet")
    said = {1: "linear is better than exponential", -1: "exponential is better than linear"}
    verdict = said.get(more.sign, "linear and exponential cannot be told apart")
    what = f"matched on level ({as_percent(AT)}) and steepness exponential has {as_ratio(more, '.3f')} linear's perplexity"
    shrinking = exponential_over_linear(found, growing=False)
    beside = f", where it shrinks {as_ratio(shrinking, '.3f')}" if shrinking else ""
    study = f"with a steepness of {SHARP} beside a linear one of {GENTLE} {as_ratio(apart, '.3f')}"
    return Verdict(f"Where the share grows from front to back, {verdict}", f"{what}{beside}, and {study}")


def _measured(found: Found) -> list[Done]:
    return done(found, *both("shapes"), *both(SUGGESTED))


def _called(level: float) -> tuple[str, str]:
    """The names of the sweeps that train a level: by the schedules that have a shape, and by the one that is suggested."""
    name = "recovered" if level == RECOVERED else f"recovered, {level * 100:.0f} percent"
    return name, f"{name}, {SUGGESTED}"


def _levels_trained(found: Found) -> tuple[float, ...]:
    """The levels of which anything was trained, and always the one that is in every form."""
    return tuple(level for level in TRAINED["full"] if level == RECOVERED or _trained(found, level))


def _trained(found: Found, level: float = RECOVERED) -> list[Done]:
    return done(found, *_called(level))


def _level(cell: Done) -> float:
    """The level of a cell's schedule; what sets none is trained, at one level at a time."""
    return cell.cell.set["neurons"]["level"] if "neurons" in cell.cell.set else cell.cell.set.get("neurons.level", RECOVERED)


def _steepness(cell: Done) -> float:
    return cell.cell.set["neurons.steepness"]


def _points(line: Series) -> Iterable[tuple]:
    return zip(line.x, line.y, line.low, line.high, strict=True)


def _rows(name: str, line: Series, stage: str) -> list[tuple]:
    return [(name, x, stage, y, low, high) for x, y, low, high in _points(line)]
