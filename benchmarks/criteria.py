"""What each criterion's choice costs the built-in models: three tenths of the heads and of the neurons gone, nothing trained.

Default recipe otherwise: uniform heads, linear neurons, least-squares compensation. What scores heads alone prunes heads alone,
and so does the chance beside it. The value is the rise of the log-perplexity
on 16,384 tokens of the evaluation split, in nats a token; the reference is the mean rise over three seeds of random pruning.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import mean

from benchmarks import Row
from engine import Recipe, run
from engine.record.catalogue import CRITERIA
from engine.record.events import Evaluated
from engine.record.recipe import Schedule, Tuning

MODELS = ("gpt2-tiny", "opt-tiny", "pythia-tiny")
SEEDS = (0, 1, 2)
GOAL = 0.8  # activation "clearly" beats chance; of the others nothing is promised


def measure() -> Iterator[Row]:
    """A row for each model and criterion."""
    for model in MODELS:
        chance: dict[str, list[float]] = {}
        for criterion in CRITERIA.names():
            if criterion == "random":
                continue
            units = CRITERIA.load(criterion).UNITS
            gone = " and ".join(units)
            if gone not in chance:
                chance[gone] = [rise(model, "random", seed, units) for seed in SEEDS]
            against = f"random {gone}, seeds 0 to 2: " + ", ".join(f"{one:.3f}" for one in chance[gone])
            goal = GOAL if criterion == "activation" else None
            value = rise(model, criterion, 0, units)
            yield Row(f"{model}, damage by {criterion}", value, "nats", goal, mean(chance[gone]), against)


def rise(model: str, criterion: str, seed: int, units: Sequence[str]) -> float:
    """The log-perplexity that pruning units of these kinds adds, in nats a token."""
    spared = {kind: Schedule(level=0.0) for kind in ("heads", "neurons") if kind not in units}
    recipe = Recipe(model=model, criterion=criterion, seed=seed, tuning=Tuning(steps=0), cut=False, **spared)
    found = {event.stage: event.perplexity for event in run(recipe) if isinstance(event, Evaluated)}
    return math.log(found["pruned"] / found["baseline"])
