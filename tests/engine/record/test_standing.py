"""Tests of engine/record/standing.py: what an event leaves of what was measured."""

import pytest

from engine.record.events import Evaluated, GatesChanged, PlanMade, Previewed, TuningStarted
from engine.record.standing import Curve, Standing, after

PLAN = PlanMade(((0, 1),), (1, 0), (0, 0), (0.3, 0.0), (0.0, 0.0), 1000, 900, "random")
BY_HAND = GatesChanged(((0, 1),), (1, 0), (0, 0), 1000, 900, "by hand")


def measured(*stages: str) -> Standing:
    """Perplexities of some stages."""
    found = {stage: Evaluated(stage, 20.0, 100.0, 50, "text", 32, "float32") for stage in stages}
    return Standing(perplexity=found, curves={"tuned": Curve(4)})


@pytest.mark.parametrize(
    ("fact", "left"),
    [
        (PLAN, ["baseline"]),
        (BY_HAND, ["baseline"]),
        (TuningStarted("tuned", "full", 8, "float32"), ["baseline", "pruned"]),
        (TuningStarted("control", "full", 8, "float32"), ["baseline", "pruned", "tuned", "cut"]),
    ],
)
def test_a_change_leaves_what_was_measured_before_it(fact, left):
    """A plan and a gate leave the baseline, a recovery the pruned model's too, and its control takes nothing away."""
    assert list(after(measured("baseline", "pruned", "tuned", "cut"), fact).perplexity) == left


def test_each_arm_has_a_curve_of_its_own():
    """A recovery begins a new picture, its control joins it."""
    tuned = after(measured("baseline"), TuningStarted("tuned", "full", 8, "float32"))
    both = after(tuned, TuningStarted("control", "full", 8, "float32"))
    assert tuned.curves == {"tuned": Curve(8)} and both.curves == {"tuned": Curve(8), "control": Curve(8)}


def test_what_says_nothing_of_the_model_leaves_all():
    """A preview is not what stands."""
    standing = measured("baseline")
    assert after(standing, Previewed((), (0, 0), (0, 0), 1000, 1000, 20.0, 50, 32)) is standing
