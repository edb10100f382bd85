"""Rankings after recovery.

Does the criterion, or the schedule, that is best before a recovery also come out best after it, or does training level them?

Half of the neurons go by every criterion, and by every schedule at random; all are trained alike, with several seeds, beside a
control that lost nothing. A ranking survives where the rank correlation of the perplexities before and after is above a half
beyond the spread over seeds, and does not where it is below. A third of the heads at random is trained with closed gates and once
more after the cut, since one of the two may be the easier to train.
"""

import math
from collections.abc import Callable, Mapping
from statistics import fmean

from engine.record.catalogue import CRITERIA
from engine.record.done_cells import Done, Found, control, done, grouped, of_training, paired, ratios
from engine.record.experiments.schedules import shape_of, shaped
from engine.record.figure import Figure, Line, Table, Verdict
from engine.record.scale import CHANCE, Form, scale_of
from engine.record.spread import (
    Estimate,
    as_number,
    as_percent,
    as_ratio,
    estimate,
    estimate_correlation,
    nearest,
    rank_correlation,
)
from engine.record.sweep import Sweep

LEVEL, HEADS = 0.5, 1 / 3
ALIKE = 0.01  # nats per token, below which two ways to train come to the same
ENOUGH = 0.5  # the rank correlation above which a ranking survives


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """Criteria at one level, schedules at the same level by lot, and the control, each with the same seeds."""
    scale = scale_of(model, form)
    recipe = scale.recipe | {"tuning": scale.tuning}
    able = [each for each in CRITERIA.names() if "neurons" in CRITERIA.entry(each).facts["UNITS"]]
    level, drawn = {"neurons": {"level": LEVEL, "shape": "uniform"}}, recipe | {"criterion": CHANCE}
    heads = {"heads": {"level": HEADS, "shape": "uniform"}}
    return {
        "control": Sweep(drawn, {}, "recover", scale.seeds),
        "criteria": Sweep(recipe | level, {"criterion": able}, "recover", scale.seeds),
        "schedules": Sweep(drawn, {"neurons": shaped(LEVEL)}, "recover", scale.seeds),
        "closed and cut": Sweep(drawn | heads, {"tuning.cut_first": [False, True]}, "recover", scale.seeds),
    }


def answer(found: Found) -> tuple[Verdict, ...]:
    """For criteria and for schedules: whether the ranking survives, and what is left of the distance between first and last; how
    heads that were cut recover beside closed ones; and what the training itself does."""
    more = cut_over_closed(found)
    told = [_told(found, name) for name in NAMED]
    return (*told, *([] if more is None else [_cut(more)]), *of_training(control(found)))


def survival(found: Found, name: str) -> Estimate | None:
    """The rank correlation of what was pruned with what was recovered, a replicate for each seed; `name` is a sweep's."""
    told, ranked = [], []
    for cells in grouped(done(found, name), lambda cell: cell.cell.seed).values():
        pairs = [(cell.rise("pruned"), cell.rise("tuned")) for cell in cells if cell.rise("tuned") is not None]
        correlation = rank_correlation(*zip(*pairs, strict=True)) if len(pairs) > 2 else None
        if correlation is not None:
            told.append(correlation)
            ranked.append(len(pairs))
    return estimate_correlation(told, nearest(min(ranked))) if told else None


def distance(found: Found, name: str, stage: str) -> Estimate | None:
    """How far the worst is from the best at a stage, nats per token, a replicate for each seed."""
    seeds = grouped(done(found, name), lambda cell: cell.cell.seed).values()
    rises = [[rise for cell in cells if (rise := cell.rise(stage)) is not None] for cells in seeds]
    return estimate(max(each) - min(each) for each in rises if len(each) > 1)


def cut_over_closed(found: Found) -> Estimate | None:
    """How much higher the loss is after training what was cut than after training the same with closed gates, by seed."""
    cells = grouped(done(found, "closed and cut"), _is_cut)
    return paired(cells.get(True, ()), cells.get(False, ()), lambda cell: HEADS, lambda cell: cell.rise("tuned"))


def survives(found: Found, name: str) -> bool | None:
    """Whether the ranking survives; None where that cannot be told."""
    told = survival(found, name)
    if told is None or told.low is None:
        return None
    return True if told.low > ENOUGH else False if told.high < ENOUGH else None


def figures(found: Found) -> tuple[Figure, ...]:
    """Before and after recovery: bars for each criterion and for each schedule, with the spread over seeds."""
    kept, over = control(found), "perplexity over the whole model's"
    lines = (Line("control: trained, nothing gone", math.exp(kept.mean)),) if kept else ()
    drawn = []
    for name, of in NAMED.items():
        cells = done(found, name)
        order = grouped(cells, of)
        best = sorted(order, key=lambda each: fmean(cell.rise() for cell in order[each]))
        cells = [cell for each in best for cell in order[each]]
        stages = (("pruned", "pruned"), ("tuned", "recovered"))
        bars = tuple(line for stage, called in stages if (line := ratios(called, cells, of, stage)).x)
        title = f"{name.capitalize()} before and after recovery, {as_percent(LEVEL)} of the neurons gone"
        drawn.append(Figure(name, "bars", title, name, over, bars, log_y=True, lines=lines, base=1.0))
    return tuple(drawn)


def table(found: Found) -> Table:
    """A row for each criterion and schedule: the ratios before and after recovery with their spread over seeds."""
    rows = []
    for name, of in NAMED.items():
        for each, cells in grouped(done(found, name), of).items():
            ends = [ratios(each, cells, of, stage) for stage in ("pruned", "tuned")]
            numbers = [(*line.y, *line.low, *line.high) if line.x else (None, None, None) for line in ends]
            rows.append((name, each, *numbers[0], *numbers[1]))
    for is_cut, cells in grouped(done(found, "closed and cut"), _is_cut).items():
        name = f"a third of the heads, {'cut' if is_cut else 'closed'}"
        ends = [ratios(name, cells, lambda _: HEADS, stage) for stage in ("pruned", "tuned")]
        rows.append(("heads", name, *(number for line in ends for number in (*line.y, *line.low, *line.high))))
    told = ("lowest", "highest")
    return Table(("of", "name", "pruned over whole", *told, "recovered over whole", *told), tuple(rows))


def _told(found: Found, name: str) -> Verdict:
    kept, ends = survival(found, name), [distance(found, name, stage) for stage in ("pruned", "tuned")]
    if kept is None or None in ends:
        return Verdict(f"Whether the ranking of {name} survives recovery cannot be told yet")
    ranking = f"the ranking of {name}"
    told = {True: f"The{ranking[3:]} survives recovery", False: f"The{ranking[3:]} does not survive recovery"}
    apart = " to ".join(f"{math.exp(each.mean):,.2f}" for each in ends)
    numbers = f"rank correlation {as_number(kept)}; the perplexity of the worst over the best's goes from {apart}"
    return Verdict(told.get(survives(found, name), f"Whether {ranking} survives recovery cannot be told"), numbers)


def _cut(more: Estimate) -> Verdict:
    """How heads that are cut before the training come out beside closed ones."""
    is_alike = more.low is not None and max(-more.low, more.high) < ALIKE
    beside = {1: "come out worse than", 0: "cannot be told from", -1: "come out better than"}[more.sign]
    said = f"Heads that are cut before the training {'come to the same as' if is_alike else beside} closed ones"
    return Verdict(said, f"they end at {as_ratio(more, '.3f')} the perplexity")


def _is_cut(cell: Done) -> bool:
    return cell.cell.set["tuning.cut_first"]


def _criterion(cell: Done) -> str:
    return cell.cell.set["criterion"]


NAMED: Mapping[str, Callable[[Done], str]] = {"criteria": _criterion, "schedules": shape_of}
