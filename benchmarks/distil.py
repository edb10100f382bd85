"""Whether a distillation recovers more than the text alone in as many steps: four models with half of their neurons gone.

By activation, uniform shares, least-squares compensation; 200 steps of 8 × 128 tokens at the default rates, 100 of SmolLM2 where
it is installed; no control. The value is the perplexity after a distillation (temperature 1, half of the loss), the reference
that after a full recovery of the same pruned model with the same batches, on 16,384 tokens of the evaluation split in blocks
of 256. Three seeds draw the batches.
"""

import sys
from collections.abc import Iterator

from benchmarks import Row
from engine import Recipe, run
from engine.record.catalogue import models
from engine.record.events import Evaluated
from engine.record.recipe import Schedule, Tuning

STEPS = {"gpt2-tiny": 200, "opt-tiny": 200, "pythia-tiny": 200, "smollm2-135m": 100}
SEEDS = (0, 1, 2)


def measure() -> Iterator[Row]:
    """A row for each model and seed."""
    half, none = Schedule(level=0.5), Schedule(level=0.0)
    here = [each.name for each in models() if each.name in STEPS and each.ready]
    for seed in SEEDS:
        for model in here:
            found = {}
            for method in ("full", "distil"):
                tuning = Tuning(method=method, steps=STEPS[model], control=False)
                recipe = Recipe(model=model, heads=none, neurons=half, tuning=tuning, seed=seed, cut=False)
                measured = {event.stage: event.perplexity for event in run(recipe) if isinstance(event, Evaluated)}
                found[method] = measured["tuned"]
            print(f"{model}, seed {seed}: {found}", file=sys.stderr, flush=True)
            pruned = f"a full recovery; perplexity baseline {measured['baseline']:.1f}, pruned {measured['pruned']:.1f}"
            yield Row(f"{model}, perplexity after distillation, seed {seed}", found["distil"], "", 1.0, found["full"], pruned)
