"""Tests of engine/pruning/evidence.py: each thing is gathered once, and is what calibration and criteria give."""

import pytest
import torch

from engine.models.anatomy import dissect
from engine.pruning.calibration import calibrate
from engine.pruning.evidence import Evidence
from engine.pruning.statistics import Statistics
from engine.record.catalogue import CRITERIA
from engine.record.errors import BadInput, UnknownName
from engine.record.lifecycle import Progressed
from tests.families import FAMILIES, logits, make, tokens

BLOCKS = tokens(20, 16)


def drive(steps) -> tuple[list, object]:
    """Everything that a generator yields, and what it returns."""
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return told, end.value


@pytest.fixture
def evidence() -> Evidence:
    """Of a tiny GPT-2."""
    model = make("gpt2")
    return Evidence(model, dissect(model))


def test_statistics_are_those_of_a_calibration_pass(evidence):
    """With its progress in tokens."""
    told, found = drive(evidence.statistics(BLOCKS, ("rms", "mean")))
    wanted = calibrate(evidence.model, BLOCKS, ("rms", "mean"))
    assert all(torch.equal(mine.rms, theirs.rms) for mine, theirs in zip(found.mlp, wanted.mlp, strict=True))
    assert told[0].what.startswith("calibration, in ") and told[0].done == 0
    assert told[1:] == [Progressed("calibration", done, 320, "tokens") for done in (128, 256, 320)]


def test_what_is_known_is_not_gathered_again(evidence):
    """No pass where nothing is needed, or nothing new; with more needs one pass for all of them."""
    assert drive(evidence.statistics(BLOCKS, ())) == ([], None)
    _, first = drive(evidence.statistics(BLOCKS, ("rms",)))
    assert drive(evidence.statistics(BLOCKS, ("rms",))) == ([], first)
    told, more = drive(evidence.statistics(BLOCKS, ("mean",)))
    assert told and more.gathered >= {"rms", "mean"}
    assert drive(evidence.statistics(BLOCKS, ("rms", "mean"))) == ([], more)
    told, other = drive(evidence.statistics(BLOCKS.flip(0), ("rms", "mean")))
    assert told and other is not more, "another text of the same shape is another text"


def test_another_process_reads_what_was_gathered(tmp_path):
    """From the folder of the run: without a pass, to the bit, and only what is missing is gathered."""
    model = make("gpt2")
    _, wanted = drive(Evidence(model, dissect(model), tmp_path).statistics(BLOCKS, ("rms", "covariance")))
    told, found = drive(Evidence(make("gpt2"), dissect(model), tmp_path).statistics(BLOCKS, ("covariance", "mean")))
    assert torch.equal(found.mlp[0].summed, wanted.mlp[0].summed) and found.gathered == {"covariance", "mean"}
    assert len(told) == 4, "a pass for the mean alone"
    told, found = drive(Evidence(make("gpt2"), dissect(model), tmp_path).statistics(BLOCKS, ("rms", "mean", "covariance")))
    assert told == [] and torch.equal(found.mlp[1].rms, wanted.mlp[1].rms)


def test_of_several_texts_only_the_last_is_held_and_the_others_are_read_again(tmp_path):
    """To the bit and without a pass; scores, which are small, are held of all."""
    model, other = make("gpt2"), BLOCKS.flip(0)
    evidence = Evidence(model, dissect(model), tmp_path)
    drive(evidence.scores("activation", BLOCKS, 0))
    _, first = drive(evidence.statistics(BLOCKS, ("rms", "covariance")))
    drive(evidence.statistics(other, ("rms",)))
    assert not evidence.has_statistics(BLOCKS, ("rms",)) and evidence.has_statistics(other, ("rms",))
    assert evidence.has_scores("activation", BLOCKS, 0)
    told, again = drive(evidence.statistics(BLOCKS, ("rms", "covariance")))
    assert told == [] and torch.equal(again.mlp[1].summed, first.mlp[1].summed)
    assert not evidence.has_statistics(other, ("rms",))


def test_another_model_never_reads_it(tmp_path):
    """After one step of training, say: whatever lies in the folder is of the weights before."""
    model = make("gpt2")
    drive(Evidence(model, dissect(model), tmp_path).statistics(BLOCKS, ("rms",)))
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight[0, 0] += 1
    told, found = drive(Evidence(model, dissect(model), tmp_path).statistics(BLOCKS, ("rms",)))
    assert told and torch.equal(found.mlp[0].rms, calibrate(model, BLOCKS, ("rms",)).mlp[0].rms)


def test_several_criteria_share_one_pass(evidence):
    """And have the scores that each has alone."""
    names = ("activation", "energy", "random", "taylor")
    told, found = drive(evidence.scores_of(names, BLOCKS, 3))
    assert sum(event.done == 0 for event in told) == 1
    alone = Evidence(evidence.model, evidence.anatomy)
    assert found == tuple(drive(alone.scores(name, BLOCKS, 3))[1] for name in names)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("criterion", CRITERIA.names())
def test_scores_are_the_criterions_own(family, criterion):
    """For every criterion of the folder; a second time they cost nothing, and another seed is another matter."""
    model = make(family)
    evidence, entry = Evidence(model, dissect(model)), CRITERIA.load(criterion)
    _, scores = drive(evidence.scores(criterion, BLOCKS, 5))
    statistics: Statistics | None = calibrate(model, BLOCKS, entry.NEEDS) if entry.NEEDS else None
    assert scores == entry.score(model, dissect(model), statistics, 5)
    again = drive(evidence.scores(criterion, BLOCKS, 5))
    assert again == ([], scores) and again[1] is scores
    assert (drive(evidence.scores(criterion, BLOCKS, 6))[1] == scores) == (criterion != "random")


@pytest.mark.parametrize("criterion", CRITERIA.names())
def test_whoever_gives_up_leaves_the_model_as_it_was(criterion):
    """After any number of steps, to the bit and in its mode; what was not finished is not known"""
    model = make("gpt2")
    before, evidence = logits(model), Evidence(model, dissect(model))
    for count in range(4):
        steps = evidence.scores(criterion, BLOCKS, 0)
        for _ in range(count):
            next(steps, None)
        steps.close()
        assert torch.equal(logits(model), before) and not model.training
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_an_unknown_criterion_is_refused(evidence):
    """Before any text is read."""
    with pytest.raises(UnknownName, match="did you mean 'activation'"):
        drive(evidence.scores("activaton", BLOCKS, 0))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused(evidence, bad):
    """They rank nothing, and no file could hold them."""
    with torch.no_grad():
        evidence.model.transformer.h[0].mlp.c_proj.weight[3, 2] = bad
    with pytest.raises(BadInput, match="criterion 'magnitude' finds scores that are no finite numbers"):
        drive(evidence.scores("magnitude", BLOCKS, 0))
