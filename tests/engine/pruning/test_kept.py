"""Unit numbers before and after cuts, held to sets of original numbers."""

import random

from engine.models.narrow import Kept
from engine.pruning.kept import original, present, without
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
        kept, gone = DENSE, set()
        for _ in range(3):
            plan = random_plan(kept, generator)
            gone |= original(kept, plan).neurons
            kept = without(kept, plan)
        assert kept.neurons == tuple(tuple(n for n in range(9) if (layer, n) not in gone) for layer in range(3))


def test_present_and_original_undo_each_other():
    """Translating units that are there to original numbers and back gives the same units."""
    generator = random.Random(1)
    kept = without(DENSE, random_plan(DENSE, generator))
    for _ in range(50):
        plan = random_plan(kept, generator)
        assert present(kept, original(kept, plan)) == plan


def test_units_that_are_gone_have_no_present_number():
    """They are left out of a translated plan."""
    kept = without(DENSE, Plan(heads={(0, 1)}))
    assert present(kept, Plan(heads={(0, 1), (0, 2), (1, 1)})) == Plan(heads={(0, 1), (1, 1)})
