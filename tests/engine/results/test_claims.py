"""Tests of engine/results/claims.py: verdicts on results whose truth is made up; "confounded" and "cannot be told" among them."""

import math

import pytest

from engine.record.catalogue import EXPERIMENTS
from engine.record.result import Result
from engine.record.schedules import shares
from engine.results.claims import CLAIMS, CONFIRMED, CONFOUNDED, NOT, UNMEASURED, UNTOLD, Claim, claims
from tests.engine.record.experiments.made_up import DENSE, found_by, shaken

MODELS = ("gpt2-tiny", "opt-tiny", "pythia-tiny")


def results(experiment, law):
    """The results of an experiment on the built-in models, by a law for recipes."""
    asked = MODELS[:1] if experiment == "front-against-back" else MODELS
    sweeps = {model: EXPERIMENTS.load(experiment).sweeps(model, "medium") for model in asked}
    return [Result(experiment, model, "medium", "", {}, "", each, found_by(each, shaken(law))) for model, each in sweeps.items()]


def verdicts(said, found):
    """What becomes of the claim that begins like this, by model."""
    (claim,) = (claim for claim in claims(found) if claim.said.startswith(said))
    assert bool(claim.verdicts) == bool(claim.why) and all(model in claim.why for model in claim.verdicts)
    return dict(claim.verdicts)


def verdict(said, found):
    """The same where it is one for all of the models."""
    told = set(verdicts(said, found).values())
    assert len(told) == 1
    return told.pop()


def test_what_is_due_to_one_layer_is_confounded():
    """The back is the better place only because the first layer is at the front."""

    def law(recipe, draw):
        first, *others = recipe.neurons.shares(6, recipe.protect)
        return {"pruned": DENSE * math.exp(4 * first + sum(others) + draw.gauss(0, 0.003))}

    assert verdict("Under a limit on size", results("front-against-back", law)) == CONFOUNDED


def test_without_results_nothing_is_told():
    """Every claim stands there, not measured."""
    assert [dict(claim.models) for claim in claims([])] == [{UNMEASURED: ()}] * len(CLAIMS)


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
    [((2, 0, 2), CONFIRMED), ((0, 3, 0), NOT), ((1, 1, 1), UNTOLD), (None, CONFOUNDED)],
    ids=["linear is better", "exponential is better", "no difference", "only the steepness is worse"],
)
def test_linear_against_exponential_is_confounded_where_only_the_steepness_differs(weights, expected):
    """What the study compared differs in both."""

    def law(recipe, draw):
        asked = recipe.neurons
        taken = asked.blocks or shares(3, asked.level, asked.shape, asked.steepness)
        steep = [asked.steepness / 10, 0, 0]
        rise = sum(weight * share for weight, share in zip(weights or (1, 1, 1), taken, strict=True)) + draw.gauss(0, 0.003)
        return {"pruned": DENSE * math.exp(rise + (0 if weights else steep[0])), "tuned": DENSE}

    assert verdict("From front to back the share", results("schedules", law)) == expected


@pytest.mark.parametrize(
    ("back", "better", "elsewhere"),
    [
        ((0.2, 0.3, 0.1, 0.1), (CONFIRMED,) * 4, (UNTOLD, UNTOLD, CONFIRMED)),
        ((2, 3, 2.5, 2), (NOT,) * 4, (UNTOLD, UNTOLD, CONFIRMED)),
        ((0.2, 2, 0.5, 3), (CONFIRMED, NOT, CONFIRMED, NOT), (NOT, UNTOLD, NOT)),
    ],
    ids=["the back", "the front", "models disagree"],
)
def test_the_back_is_better_and_everywhere(back, better, elsewhere):
    """Two claims of one experiment: a direction, model by model, and that it is the GPT-2's; of models that read the same text as
    that one it cannot be told whether it holds for what was trained on other data."""

    def law(recipe, draw):
        front, middle, last = shares(3, recipe.neurons.level, recipe.neurons.shape, recipe.neurons.steepness)
        weight = back[(*MODELS, "smollm2-135m").index(recipe.model)]
        return {"pruned": DENSE * math.exp(front + middle + weight * last + draw.gauss(0, 0.003))}

    sweeps = EXPERIMENTS.load("front-against-back").sweeps("smollm2-135m", "medium")
    found = [Result("front-against-back", "smollm2-135m", "medium", "", {}, "", sweeps, found_by(sweeps, shaken(law)))]
    named = (*MODELS, "smollm2-135m")
    assert verdicts("Under a limit on size", found) == dict(zip(named, better, strict=True))
    assert verdicts("What holds for GPT-2", found) == dict(zip(named[1:], elsewhere, strict=True))


def test_what_the_first_layer_brings_about_on_every_model_is_not_what_holds_for_all_layers():
    """All models miss the first layer most; of the others one misses those at the front, and one those at the back."""

    def law(recipe, draw):
        taken = recipe.neurons.shares(6, recipe.protect)
        others = taken[1:] if recipe.model == "smollm2-135m" else taken[:0:-1]
        rise = 4 * taken[0] + sum(at * share for at, share in enumerate(others)) / 10
        return {"pruned": DENSE * math.exp(rise + draw.gauss(0, 0.0003))}

    sweeps = EXPERIMENTS.load("front-against-back").sweeps("smollm2-135m", "medium")
    found = [Result("front-against-back", "smollm2-135m", "medium", "", {}, "", sweeps, found_by(sweeps, shaken(law)))]
    assert verdicts("What holds for GPT-2", found)["smollm2-135m"] == NOT


def test_the_verdict_of_most_models_comes_first():
    """With the models that it is the verdict on."""
    claim = Claim("study", "…", {"one": UNTOLD, "two": CONFIRMED, "three": CONFIRMED}, "numbers")
    assert list(claim.models.items()) == [(CONFIRMED, ("two", "three")), (UNTOLD, ("one",))]


@pytest.mark.parametrize(("more", "expected"), [(0.1, CONFIRMED), (-0.1, NOT), (0.0, NOT)])
def test_closed_gates_are_held_against_what_was_cut(more, expected):
    """The claim holds where what was cut recovers worse; not where both come to the same."""

    def law(recipe, draw):
        rise = 0.2 + (more if recipe.tuning.cut_first else 0) + draw.gauss(0, 0.0005)
        return {"pruned": DENSE * 1.4, "tuned": DENSE * math.exp(rise), "cut": 1.0}

    assert verdict("Closed gates recover", results("after-recovery", law)) == expected
