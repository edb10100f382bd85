"""What each criterion's choice costs the built-in models: three tenths of the heads and of the neurons gone, nothing trained.

Default recipe otherwise: uniform heads, linear neurons, least-squares compensation. The value is the rise of the log-perplexity
on 16,384 tokens of the evaluation split, in nats a token; the reference is the mean rise over three seeds of random pruning.
"""

import math
from collections.abc import Iterator
from statistics import mean

from benchmarks import Row
from engine import Recipe, run
from engine.record.catalogue import CRITERIA
from engine.record.events import Evaluated
from engine.record.recipe import Tuning

MODELS = ("gpt2-tiny", "opt-tiny", "pythia-tiny")
SEEDS = (0, 1, 2)
GOAL = 0.8  # activation "clearly" beats chance; of the others nothing is promised


def measure() -> Iterator[Row]:
    """A row for each model and criterion."""
    for model in MODELS:
        chance = [rise(model, "random", seed) for seed in SEEDS]
        against = "random, seeds 0 to 2: " + ", ".join(f"{one:.3f}" for one in chance)
        for criterion in CRITERIA.names():
            if criterion != "random":
                value = rise(model, criterion, 0)
                goal = GOAL if criterion == "activation" else None
                yield Row(f"{model}, damage by {criterion}", value, "nats", goal, mean(chance), against)


def rise(model: str, criterion: str, seed: int) -> float:
    """The log-perplexity that pruning adds, in nats a token."""
    recipe = Recipe(model=model, criterion=criterion, seed=seed, tuning=Tuning(steps=0), cut=False)
    found = {event.stage: event.perplexity for event in run(recipe) if isinstance(event, Evaluated)}
    return math.log(found["pruned"] / found["baseline"])
