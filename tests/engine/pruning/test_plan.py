"""Tests of the plan: which units go for which scores and shares."""

import math
import subprocess
import sys

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.plan import Plan, Scores, make_plan, parameters_removed
from engine.record.errors import BadInput
from engine.record.schedules import count
from tests.families import FAMILIES, HEADS, LAYERS, NEURONS, make

SCORES = Scores(heads=((0.3, 0.1, 0.2, 0.4), (0.4, 0.3, 0.2, 0.1)), neurons=((1.0, 2.0, 3.0), (3.0, 2.0, 1.0)))


def test_the_lowest_scores_of_each_layer_go():
    """Heads and neurons are ranked apart, layer by layer, low scores first."""
    plan = make_plan(SCORES, (0.5, 0.25), (1 / 3, 2 / 3))
    assert plan.heads == {(0, 1), (0, 2), (1, 3)}
    assert plan.neurons == {(0, 0), (1, 1), (1, 2)}


def test_of_equal_scores_the_lower_index_goes_first():
    """Ties are broken by index, so that the same scores always make the same plan."""
    plan = make_plan(Scores(heads=((1.0,) * 6,), neurons=((0.0, -1.0, 0.0, 0.0),)), (0.5,), (0.5,))
    assert plan.heads_of(0) == (0, 1, 2)
    assert plan.neurons_of(0) == (0, 1)


@pytest.mark.parametrize("share", [0, 0.125, 0.25, 0.375, 0.49, 0.5, 0.875, 1])
def test_a_plan_takes_as_many_units_as_the_page_announces(share):
    """The number of units is the very count that the page shows before anything is scored."""
    plan = make_plan(SCORES, (share, share), (share, share))
    assert len(plan.heads_of(0)) == count(share, 4)
    assert len(plan.neurons_of(1)) == count(share, 3)


def test_level_zero_takes_nothing_and_level_one_everything():
    """The ends of the range mean what they say."""
    assert make_plan(SCORES, (0, 0), (0, 0)) == Plan()
    everything = make_plan(SCORES, (1, 1), (1, 1))
    assert (len(everything.heads), len(everything.neurons)) == (8, 6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused_by_name(bad):
    """The message says which unit of which layer, also where that unit would not have gone."""
    with pytest.raises(BadInput, match="head 2 in layer 1"):
        make_plan(Scores(heads=((0.0,) * 3, (5.0, 6.0, bad)), neurons=((), ())), (0, 0), (0, 0))


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan, math.inf])
def test_a_share_outside_zero_to_one_is_refused(share):
    """The message names the layer and the value."""
    with pytest.raises(BadInput, match=f"neuron share of layer 1 is {share}"):
        make_plan(SCORES, (0, 0), (0, share))


def test_a_share_for_each_layer_is_asked_for():
    """One share for two layers is not stretched to fit."""
    with pytest.raises(BadInput, match="1 head shares are given for 2 layers"):
        make_plan(SCORES, (0.5,), (0.5, 0.5))


def test_units_without_scores_do_not_go_silently():
    """A criterion that scores heads alone plans heads alone, and is refused where neurons are to go as well."""
    scores = Scores(heads=SCORES.heads, neurons=())
    assert make_plan(scores, (0.25, 0.25), (0, 0)) == Plan(heads={(0, 1), (1, 3)})
    with pytest.raises(BadInput, match="does not score neurons"):
        make_plan(scores, (0.25, 0.25), (0, 0.1))


def test_heads_that_go_together_go_by_the_mean_of_their_scores():
    """Groups of two: the share is one of groups, of which the lower mean goes; a head of no group stays."""
    scores = Scores(heads=((0.0, 0.9, 0.4, 0.3), (0.0, 0.1, 0.2, 0.3)), neurons=((), ()))
    plan = make_plan(scores, (0.5, 1.0), (0, 0), [((0, 1), (2, 3)), ()])
    assert plan == Plan(heads={(0, 2), (0, 3)})
    assert make_plan(scores, (0.25, 0.24), (0, 0), [((0, 1), (2, 3))] * 2).heads_of(0) == (2, 3)


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
