"""Tests of the plan: the order in which units go, what a plan is made of, and what a cut along it takes."""

import math
import subprocess
import sys

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.plan import Plan, parameters_removed, ranked
from engine.record.errors import BadInput
from tests.families import FAMILIES, HEADS, LAYERS, NEURONS, make


def test_units_go_from_the_lowest_score_up_and_of_equal_ones_the_lower_index_first():
    """So that the same scores always make the same plan."""
    assert [group for _, group in ranked("head", 0, (0.3, 0.1, 0.2, 0.1), None)] == [(1,), (3,), (2,), (0,)]


def test_heads_that_go_together_go_by_the_mean_of_their_scores():
    """Groups of two, of which the lower mean goes first; a head of no group is not in the order."""
    scores = (0.0, 0.9, 0.4, 0.3, 0.0)
    assert ranked("head", 0, scores, [(0, 1), (2, 3)]) == [(pytest.approx(0.35), (2, 3)), (pytest.approx(0.45), (0, 1))]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused_by_name(bad):
    """The message says which unit of which layer, also where that unit would not have gone."""
    with pytest.raises(BadInput, match="head 2 in layer 1"):
        ranked("head", 1, (5.0, 6.0, bad), [(0, 1)])


def test_a_plan_is_made_from_any_pairs():
    """Lists from JSON, numbers from tensors and repeated units make the same plan, which is hashable."""
    plan = Plan(heads=[[1, 2], (0, 3), [1, 2]], neurons=torch.tensor([[2, 7]]).numpy())
    assert plan == Plan(heads={(0, 3), (1, 2)}, neurons={(2, 7)})
    assert len({plan, Plan(heads={(0, 3), (1, 2)}, neurons={(2, 7)})}) == 1


def test_units_are_listed_in_order():
    """The units of a layer come ascending, and another layer's do not come."""
    plan = Plan(heads={(0, 3), (0, 1), (1, 0)}, neurons={(1, 10), (1, 2)})
    assert plan.heads_of(0) == (1, 3)
    assert plan.neurons_of(1) == (2, 10)
    assert plan.neurons_of(0) == ()


@pytest.mark.parametrize("pair", [(1,), (1, 2, 3), (0.5, 1), "a", 7, ("0", "1")])
def test_what_is_no_pair_of_whole_numbers_is_refused(pair):
    """The offending value is in the message."""
    with pytest.raises(BadInput, match="no pair"):
        Plan(heads=[pair])


def test_negative_units_are_refused():
    """-1 is not the last one."""
    with pytest.raises(BadInput, match="counted from 0"):
        Plan(neurons=[(0, -1)])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parameters_that_go_are_those_that_a_cut_takes(family):
    """The count of the plan agrees with the parameters that are really gone."""
    model = make(family)
    plan = Plan(heads={(0, 1), (1, 0), (1, 2)}, neurons={(0, 3), (1, 0), (1, 19)})
    smaller = cut(model, plan)
    gone = sum(one.numel() for one in model.parameters()) - sum(one.numel() for one in smaller.parameters())
    assert parameters_removed(plan, dissect(model)) == gone > 0


@pytest.mark.parametrize("plan", [Plan(heads={(LAYERS, 0)}), Plan(heads={(0, HEADS)}), Plan(neurons={(1, NEURONS)})])
def test_units_that_the_model_does_not_have_are_refused(plan):
    """The message says what there is."""
    with pytest.raises(BadInput, match="0 to"):
        parameters_removed(plan, dissect(make("gpt2")))


def test_planning_needs_no_torch():
    """The module is plain counting and imports in a process that never loads torch."""
    code = "import sys, engine.pruning.plan; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
