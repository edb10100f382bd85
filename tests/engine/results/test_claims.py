"""Tests of engine/results/claims.py: verdicts on results whose truth is made up; "confounded" and "cannot be told" among them."""

import math

import pytest

from engine.record.catalogue import EXPERIMENTS
from engine.record.result import Result
from engine.record.schedules import shares
from engine.results.claims import CLAIMS, CONFIRMED, CONFOUNDED, NOT, UNMEASURED, UNTOLD, claims
from tests.engine.record.experiments.made_up import DENSE, found_by, shaken

MODELS = ("gpt2-tiny", "opt-tiny", "pythia-tiny")


def results(experiment, law):
    """The results of an experiment on the built-in models, by a law for recipes."""
    asked = MODELS[:1] if experiment == "front-against-back" else MODELS
    sweeps = {model: EXPERIMENTS.load(experiment).sweeps(model, "short") for model in asked}
    return [Result(experiment, model, "short", "", {}, "", each, found_by(each, shaken(law))) for model, each in sweeps.items()]


def verdict(said, *of_experiments):
    """What becomes of the claim that begins like this."""
    (claim,) = (
        claim for claim in claims([each for results in of_experiments for each in results]) if claim.said.startswith(said)
    )
    assert (claim.verdict == UNMEASURED) == (not claim.why)
    return claim.verdict


def test_what_is_due_to_one_layer_is_confounded():
    """The back is the better place only because the first layer is at the front."""

    def law(recipe, draw):
        first, *others = recipe.neurons.shares(6, recipe.protect)
        return {"pruned": DENSE * math.exp(4 * first + sum(others) + draw.gauss(0, 0.003))}

    assert verdict("Under a limit on size", results("front-against-back", law)) == CONFOUNDED


def test_without_results_nothing_is_told():
    """Every claim stands there, not measured."""
    assert [claim.verdict for claim in claims([])] == [UNMEASURED] * len(CLAIMS)


@pytest.mark.parametrize(
    ("training", "left", "expected"),
    [(0.9, 0.3, CONFOUNDED), (1.0, 0.3, NOT), (0.9, -0.3, CONFIRMED)],
    ids=["training helps everything", "it helps nothing", "pruning helps"],
)
def test_better_than_before_is_not_better_than_the_control(training, left, expected):
    """A recovered model may beat the untrained one only because everything that is trained does."""

    def law(recipe, draw):
        level = recipe.heads.level + recipe.neurons.level
        rise = left * level * 0.2 + draw.gauss(0, 0.001)
        return {"pruned": DENSE * math.exp(level), "tuned": training * DENSE * math.exp(rise), "cut": 1.0}

    assert verdict("Pruned heads and a fine-tuning", results("how-much", law)) == expected


@pytest.mark.parametrize(("entropy", "expected"), [(0.5, CONFIRMED), (2.0, NOT), (1.0, UNTOLD)])
def test_entropy_is_held_against_magnitude_and_chance(entropy, expected):
    """Better than both, worse than one, or alike."""

    def law(recipe, draw):
        weight = entropy if recipe.criterion == "entropy" else 1
        return {"pruned": DENSE * math.exp((recipe.heads.level + recipe.neurons.level) * weight + draw.gauss(0, 0.02))}

    assert verdict("Of random, magnitude and entropy", results("criteria", law)) == expected


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((2, 0, 2), CONFIRMED), ((0, 3, 3), CONFOUNDED), ((0, 3, 0), NOT), ((1, 1, 1), UNTOLD)],
    ids=["linear is better", "only the steepness is worse", "exponential is better", "no difference"],
)
def test_linear_against_exponential_is_confounded_where_only_the_steepness_differs(weights, expected):
    """What the study compared differs in both."""

    def law(recipe, draw):
        asked = recipe.neurons
        taken = asked.blocks or shares(3, asked.level, asked.shape, asked.steepness)
        rise = sum(weight * share for weight, share in zip(weights, taken, strict=True)) + draw.gauss(0, 0.003)
        return {"pruned": DENSE * math.exp(rise), "tuned": DENSE}

    assert verdict("From front to back the share", results("schedules", law)) == expected


@pytest.mark.parametrize(
    ("back", "better", "everywhere"),
    [((0.2, 0.3, 0.1), CONFIRMED, CONFIRMED), ((2, 3, 2.5), NOT, CONFIRMED), ((0.2, 2, 0.5), UNTOLD, NOT)],
    ids=["the back", "the front", "models disagree"],
)
def test_the_back_is_better_and_everywhere(back, better, everywhere):
    """Two claims of one experiment: a direction, and that it is the same for all models."""

    def law(recipe, draw):
        front, middle, last = shares(3, recipe.neurons.level, recipe.neurons.shape, recipe.neurons.steepness)
        return {"pruned": DENSE * math.exp(front + middle + back[MODELS.index(recipe.model)] * last + draw.gauss(0, 0.003))}

    found = results("front-against-back", law)
    assert verdict("Under a limit on size", found) == better
    assert verdict("What holds for GPT-2", found) == everywhere
