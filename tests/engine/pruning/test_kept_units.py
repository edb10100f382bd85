"""Unit numbers after cuts, held to sets of original numbers."""

import random

from engine.models.narrow import Kept
from engine.pruning.kept_units import without
from engine.pruning.plan import Plan

DENSE = Kept(heads=((0, 1, 2, 3),) * 3, neurons=(tuple(range(9)),) * 3)


def random_plan(kept, generator):
    """About a third of what is left, by present number."""
    heads = {(at, h) for at, units in enumerate(kept.heads) for h in range(len(units)) if generator.random() < 0.33}
    return Plan(heads, {(at, n) for at, units in enumerate(kept.neurons) for n in range(len(units)) if generator.random() < 0.33})


def test_what_is_left_is_the_set_difference_of_original_numbers():
    """After any number of cuts by present number, the original numbers that are left are those that were never named."""
    generator = random.Random(0)
    for _ in range(50):
        kept, gone = DENSE, {"heads": set(), "neurons": set()}
        for _ in range(3):
            plan = random_plan(kept, generator)
            for kind, original in gone.items():
                original |= {(layer, getattr(kept, kind)[layer][at]) for layer, at in getattr(plan, kind)}
            kept = without(kept, plan)
        for kind, original in gone.items():
            for layer, units in enumerate(getattr(DENSE, kind)):
                assert getattr(kept, kind)[layer] == tuple(unit for unit in units if (layer, unit) not in original)
