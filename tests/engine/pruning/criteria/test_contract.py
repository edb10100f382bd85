"""What every criterion promises, tried on every file of the folder with every family."""

import math
import subprocess
import sys
from itertools import product

import pytest
import torch

from engine.models.anatomy import dissect, head_features, matrix, output_features
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import CRITERIA
from engine.pruning.cut import cut
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.pruning.statistics import NEEDS
from tests.engine.pruning.small import FAMILIES, GROUPED, HEADS, NEURONS, small, text

COSTS = ("free", "weights", "one pass", "one pass + search", "pass + backward", "many passes")
EVERY = list(product(CRITERIA.names(), (*FAMILIES, GROUPED)))


def scored(name, model, seed=0):
    """The scores of a criterion, with as much calibration as it asks for."""
    criterion = CRITERIA.load(name)
    found = calibrate(model, text(), criterion.NEEDS) if criterion.NEEDS else None
    return criterion.score(model, dissect(model), found, seed)


@pytest.mark.parametrize("name", CRITERIA.names())
def test_the_menu_entry_is_complete(name):
    """Label, cost, needs and units are literals that can be read without importing, and the help is some sentences."""
    entry = CRITERIA.entry(name)
    assert entry.facts["LABEL"]
    assert entry.facts["COST"] in COSTS
    assert set(entry.facts["NEEDS"]) <= set(NEEDS)
    assert set(entry.facts["UNITS"]) <= {"heads", "neurons"} and entry.facts["UNITS"]
    assert "Source: " in entry.help and entry.help.count(". ") >= 2


def test_the_menu_is_read_without_torch():
    """The page shows names, costs and help texts from a process that never imports torch."""
    code = (
        "import sys; from engine.pruning.criteria import CRITERIA; "
        "print([CRITERIA.entry(name).facts['LABEL'] for name in CRITERIA.names()], 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Random" in answer.stdout and answer.stdout.strip().endswith("False")


@pytest.mark.parametrize(("name", "family"), EVERY)
def test_every_unit_gets_a_finite_score(name, family):
    """Plain numbers, one for each head and each neuron that the criterion scores, and not all the same."""
    scores, units = scored(name, small(family)), CRITERIA.load(name).UNITS
    for kind, of_layers, width in (("heads", scores.heads, HEADS), ("neurons", scores.neurons, NEURONS)):
        assert [len(one) for one in of_layers] == ([width] * 3 if kind in units else [])
        for of_layer in of_layers:
            assert all(type(score) is float and math.isfinite(score) for score in of_layer)
            assert (
                len(set(of_layer)) >= len(of_layer) // 2
            )  # not all: two ReLU neurons may both be silent, a group may share a score


@pytest.mark.parametrize("name", [name for name in CRITERIA.names() if "STEPS" in CRITERIA.entry(name).facts])
def test_what_takes_long_comes_in_steps(name):
    """Its progress rises to the whole, and its end are the scores."""
    model, criterion, told = small("gpt2"), CRITERIA.load(name), []
    found = calibrate(model, text(), criterion.NEEDS)
    steps = criterion.scoring(model, dissect(model), found, 0)
    with pytest.raises(StopIteration) as end:
        while True:
            told.append(next(steps))
    assert end.value.value == criterion.score(model, dissect(model), found, 0)
    done = [step.done for step in told]
    assert done == sorted(set(done)) and done[-1] == told[0].total and len(done) >= 2 * 3


@pytest.mark.parametrize(("name", "family"), EVERY)
def test_the_same_seed_gives_the_same_scores(name, family):
    """Whatever was drawn from torch's own generator in between."""
    model = small(family)
    one = scored(name, model, seed=3)
    torch.rand(5)
    assert scored(name, model, seed=3) == one


@pytest.mark.parametrize(("name", "family"), EVERY)
def test_scoring_leaves_no_trace(name, family):
    """Weights, modes, gradients, hooks and the global random state are what they were."""
    model = small(family).train()
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    chance = torch.get_rng_state()
    scored(name, model)
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, weights[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(("name", "family"), [pair for pair in EVERY if CRITERIA.entry(pair[0]).facts["COST"] != "free"])
def test_a_unit_that_does_nothing_goes_first(name, family):
    """High = keep: a head and a neuron with all their weights at zero get the lowest scores of their layer.

    Where a score can be negative, which says that the model is better off without the unit, theirs is the one nearest to 0.
    """
    model = small(family)
    layer = dissect(model).layers[1]
    _silence(model, layer, head=2, neuron=17)
    scores, units = scored(name, model), CRITERIA.load(name).UNITS
    for kind, of_kind, unit in (("heads", scores.heads, 2), ("neurons", scores.neurons, 17)):
        if kind in units:
            sizes = [abs(score) for score in of_kind[1]]
            assert sizes[unit] == min(sizes) < max(sizes)


@pytest.mark.parametrize(("name", "family"), EVERY)
def test_gated_and_cut_models_are_scored(name, family):
    """With gates closed every unit still has a score; of a cut model the units that it has left, in every layer."""
    model = small(family)
    plan = Plan(
        heads={(0, 0), (0, 1), *((1, head) for head in range(HEADS))},
        neurons={(0, 3), *((2, neuron) for neuron in range(NEURONS))},
    )
    with Gates(model) as gates:
        gates.set(plan)
        gated = scored(name, model)
    smaller = scored(name, cut(model, plan))
    for kind, left in (("heads", [HEADS - 2, 0, HEADS]), ("neurons", [NEURONS - 1, NEURONS, 0])):
        if kind in CRITERIA.load(name).UNITS:
            assert all(math.isfinite(score) for of_layer in getattr(gated, kind) for score in of_layer)
            assert [len(of_layer) for of_layer in getattr(smaller, kind)] == left


def _silence(model, layer, head, neuron):
    with torch.no_grad():
        for one in layer.attention_inputs:
            features = head_features(one, layer, [head])
            matrix(model.get_submodule(one.path))[features] = 0
            model.get_submodule(one.path).bias[features] = 0
        matrix(model.get_submodule(layer.attention_output))[:, output_features(layer, [head])] = 0
        for path in layer.mlp_inputs:
            matrix(model.get_submodule(path))[neuron] = 0
            model.get_submodule(path).bias[neuron] = 0
        matrix(model.get_submodule(layer.mlp_output))[:, neuron] = 0
