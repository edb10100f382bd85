"""How much of the damage 200 steps of recovery leave on the built-in models, with half of the heads and of the neurons gone.

By activation, uniform shares, default recipe otherwise. The gap is the difference in log-perplexity to the control, the dense
model after the same training, on 16,384 tokens of the evaluation split. The value is the gap that is left after recovery, the
reference the gap before it. Least-squares compensation with three seeds, and with one seed no compensation at all.
"""

import math
from collections.abc import Iterator

from benchmarks import Row
from engine import Recipe, run
from engine.record.events import Evaluated
from engine.record.recipe import Schedule

MODELS = ("gpt2-tiny", "opt-tiny", "pythia-tiny")
ARMS = (("least-squares", 0), ("least-squares", 1), ("least-squares", 2), ("none", 0))
GOAL = 0.5


def measure() -> Iterator[Row]:
    """A row for each model, compensation and seed."""
    half = Schedule(level=0.5)
    for model in MODELS:
        for compensation, seed in ARMS:
            recipe = Recipe(model=model, heads=half, neurons=half, compensation=compensation, seed=seed, cut=False)
            found = {event.stage: event.perplexity for event in run(recipe) if isinstance(event, Evaluated)}
            gaps = {stage: math.log(found[stage] / found["control"]) for stage in ("pruned", "tuned")}
            stages = ", ".join(f"{stage} {found[stage]:.1f}" for stage in ("baseline", "pruned", "tuned", "control"))
            what = f"{model}, gap after recovery, {compensation}, seed {seed}"
            yield Row(what, gaps["tuned"], "nats", GOAL, gaps["pruned"], f"before it; perplexity {stages}")
