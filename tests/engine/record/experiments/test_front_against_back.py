"""Tests of engine/record/experiments/front_against_back.py: with numbers whose truth is known."""

import math

import pytest

from engine.record.experiments import front_against_back
from engine.record.schedules import shares
from tests.engine.record.experiments.made_up import DENSE, found_by, in_text, shaken

SWEEPS = front_against_back.sweeps("smollm2-135m", "medium")


def law(back, noise=0.001):
    """What goes from the back costs so much more than from the front, by model."""

    def pruned(recipe, draw):
        asked = recipe.neurons
        front, middle, last = shares(3, asked.level, asked.shape, asked.steepness)
        return {"pruned": DENSE * math.exp(front + middle + back[recipe.model] * last + draw.gauss(0, noise))}

    return shaken(pruned)


def test_the_four_models_are_measured_alike():
    """Three architectures and the one that was asked for; every schedule has its mirror image."""
    assert front_against_back.models(dict.fromkeys(SWEEPS, {})) == ("gpt2-tiny", "opt-tiny", "pythia-tiny", "smollm2-135m")
    for sweep in SWEEPS.values():
        steep = sorted(sweep.axes["neurons.steepness"])
        assert [1 / each for each in reversed(steep)] == pytest.approx(steep)


def test_the_better_end_is_named_for_each_model_and_for_all():
    """With the ratio of a front-heavy schedule to its mirror image."""
    found = found_by(SWEEPS, law({"gpt2-tiny": 2.0, "opt-tiny": 2.1, "pythia-tiny": 2.2, "smollm2-135m": 1.9}))
    said = in_text(front_against_back.answer(found))
    assert said.startswith("Over 4 models: the front is the better place to prune; ") and said.count(": the front is") == 6
    found = found_by(SWEEPS, law({"gpt2-tiny": 0.2, "opt-tiny": 0.1, "pythia-tiny": 0.3, "smollm2-135m": 0.2}))
    assert "the back is the better place" in in_text(front_against_back.answer(found))


def test_what_the_first_layer_alone_costs_is_not_the_fronts():
    """The back is better as long as the first layer counts, and with that left whole it cannot be told."""

    def pruned(recipe, draw):
        first, *others = recipe.neurons.shares(6, recipe.protect)
        return {"pruned": DENSE * math.exp(4 * first + sum(others) + draw.gauss(0, 0.01))}

    said = in_text(front_against_back.answer(found_by(SWEEPS, shaken(pruned))))
    assert "the back is the better place" in said and "With the first layer whole: where more should go cannot be told; " in said


def test_sparing_a_layer_is_held_against_the_same_level():
    """At the other level the difference is larger, which is none of that layer's doing."""

    def pruned(recipe, draw):
        front, _, back = shares(3, recipe.neurons.level, recipe.neurons.shape, recipe.neurons.steepness)
        return {"pruned": DENSE * math.exp((front - back) * recipe.neurons.level**3 + draw.gauss(0, 1e-5))}

    found = found_by(SWEEPS, shaken(pruned))
    low, high = (front_against_back.back_over_front(found, "gpt2-tiny", "", level).mean for level in (0.3, 0.5))
    spared = front_against_back.back_over_front(found, "gpt2-tiny", front_against_back.SPARED).mean
    assert (
        high < 2 * low < 0 and spared == front_against_back.back_over_front(found, "gpt2-tiny", ", first layer whole", 0.3).mean
    )
    assert f"at a level of 30\u00a0% it is {math.exp(low):.3f}"[:-1] in in_text(front_against_back.answer(found))


def test_models_that_disagree_tell_nothing_together():
    """Each still has its own answer."""
    found = found_by(SWEEPS, law({"gpt2-tiny": 2.0, "opt-tiny": 0.2, "pythia-tiny": 2.0, "smollm2-135m": 0.2}))
    said = in_text(front_against_back.answer(found))
    assert (
        said.startswith("Over 4 models: where more should go cannot be told; ")
        and "On gpt2-tiny: the front" in said
        and "opt-tiny: the back" in said
    )
    found = found_by(SWEEPS, law(dict.fromkeys(("gpt2-tiny", "opt-tiny", "pythia-tiny", "smollm2-135m"), 1.0), 0.2))
    assert in_text(front_against_back.answer(found)).count("cannot be told") >= 4
