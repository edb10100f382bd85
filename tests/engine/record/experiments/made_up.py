"""Cells whose numbers follow a law that is made up, so that the answer of an experiment is known beforehand."""

import random
from collections.abc import Callable, Iterable, Mapping

from engine.record.cells import SweepCellDone
from engine.record.costs import Latency
from engine.record.figure import Verdict, as_sentence
from engine.record.recipe import Recipe, Schedule
from engine.record.sweep import Sweep

DENSE = 100.0
Law = Callable[[Recipe], Mapping[str, float]]  # what the stages of a recipe come to, beside the dense perplexity


def found_by(sweeps: Mapping[str, Sweep], law: Law, keep: Callable[[int], bool] = lambda number: True):
    """The cells of all sweeps, those whose number is to be kept, as the law has them."""
    return {
        name: {cell.number: _done(sweep, cell, law) for cell in sweep.cells if keep(cell.number)}
        for name, sweep in sweeps.items()
    }


def shaken(law: Callable[[Recipe, random.Random], Mapping[str, float]]) -> Law:
    """A law with chance in it: the same draw for the same recipe."""
    return lambda recipe: law(recipe, random.Random(recipe.model_dump_json()))


def _done(sweep: Sweep, cell, law: Law) -> SweepCellDone:
    stages = {"baseline": DENSE, **law(cell.recipe)}
    if sweep.mode == "measure":
        stages = {stage: stages[stage] for stage in ("baseline", "pruned")}
    elif not cell.recipe.tuning.control:
        stages.pop("control", None)
    kept = 1 - (_mean(cell.recipe.heads, cell.recipe) + _mean(cell.recipe.neurons, cell.recipe)) / 4
    times = tuple(Latency(size, 256, 1.0, kept, 7, what) for size in (1, 8) for what in ("prefill", "decode"))
    more = {"latency": times} if getattr(sweep, "latency", False) else {}
    last = stages.get("tuned", stages["pruned"])
    named = {"number": cell.number, "set": dict(cell.set), "seed": cell.seed, "status": "done"}
    return SweepCellDone(**named, perplexity=last, parameters=round(1e6 * kept), perplexities=stages, tokens=4096, **more)


def _mean(schedule: Schedule, recipe: Recipe) -> float:
    """The share of all units of one kind that goes, of a model with six layers, or with as many as the schedule names."""
    taken = schedule.shares(len(schedule.layers or range(6)), recipe.protect)
    return sum(taken) / len(taken)


def in_text(verdicts: Iterable[Verdict]) -> str:
    """All that an experiment says, as one text."""
    return " ".join(map(as_sentence, verdicts))
