"""Tests of the ablation criterion: against the perplexity of the model with one gate closed after another."""

import math

import pytest

from engine.evaluation.perplexity import evaluate
from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.criteria import ablation
from engine.pruning.gates import Gates
from engine.pruning.plan import Plan
from engine.record.errors import BadInput
from tests.engine.pruning.small import FAMILIES, planned, small, text


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_what_evaluation_finds(family):
    """The logarithm of the perplexity with the gates of a head, or of a group, closed, less that with all open."""
    model, blocks = small(family), text(4, 8)
    scores = ablation.score(model, dissect(model), calibrate(model, blocks, ablation.NEEDS), 0)
    whole = math.log(evaluate(model, blocks).perplexity)
    with Gates(model) as gates:
        for layer in dissect(model).layers:
            for heads in layer.head_groups:
                gates.set(Plan([(layer.index, head) for head in heads]))
                rise = math.log(evaluate(model, blocks).perplexity) - whole
                assert sum(scores.heads[layer.index][head] for head in heads) == pytest.approx(rise, abs=1e-6)


def test_neurons_are_not_scored():
    """To leave out each of them would take thousands of passes; a plan that would take some is refused, none is made up."""
    model = small("gpt2")
    scores = ablation.score(model, dissect(model), calibrate(model, text(2, 8), ablation.NEEDS), 0)
    assert scores.neurons == ()
    assert len(planned(scores, dissect(model), (0.5,) * 3, (0.0,) * 3).heads) == 6
    with pytest.raises(BadInput, match="does not score neurons"):
        planned(scores, dissect(model), (0.5,) * 3, (0.5,) * 3)
