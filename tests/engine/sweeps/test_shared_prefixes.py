"""Tests of engine/sweeps/shared_prefixes.py: shared numbers are those of each pruning by itself, with less work, bounded."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from engine.desk import Desk
from engine.models.anatomy import dissect
from engine.models.load import Loaded
from engine.pruning.cut_layers import Fit
from engine.pruning.packed_plans import packed
from engine.pruning.plan import Plan
from engine.record.recipe import Calibration, Measuring
from engine.record.steps import ended
from engine.report import size_of
from engine.sweeps.shared_prefixes import Sharing, Wish, within
from engine.watching import free_on
from tests.engine.pruning.small import FAMILIES, GROUPED, small, text
from tests.families import every_head, groups

CALIBRATION, MEASURING = Calibration(tokens=256, sequence_length=16), Measuring(tokens=96, sequence_length=8)


@pytest.fixture
def desk(tmp_path):
    """What makes a desk with a model and random text; nothing of them comes from a file."""
    blocks = {"calibration": text(16, 16), "evaluation": text(12, 8, seed=2)}
    texts = SimpleNamespace(blocks=lambda split, length, tokens, _: blocks[split][: tokens // length])
    return lambda model: Desk(Loaded("small", model, None, dissect(model), None), texts, "cpu", torch.float64, tmp_path)


def wishes(model, fit):
    """Prunings that begin alike and unlike: nothing, heads, neurons, a layer without either, and one of them twice."""
    anatomy = dissect(model)
    some, half = groups(anatomy, (1, 1)), {(0, at) for at in range(0, 40, 2)}
    whole = every_head(anatomy, 1), {(1, at) for at in range(40)}
    last = {(2, at) for at in range(5, 25)}
    plans = [Plan(), Plan(some), Plan((), half), Plan(some, half), Plan(some, half | last), Plan(some, half | {(2, 3)})]
    plans += [Plan(*whole), Plan(some, half), Plan(whole[0], half | whole[1] | last)]
    return [Wish(packed(plan), fit, CALIBRATION, MEASURING) for plan in plans]


def alone(place, wish):
    """The perplexity of a pruning laid over the model by itself, and the parameters that it added."""
    known = ended(place.known(wish.fit.method, wish.calibration))
    place.overlay.lay(wish.plan.plan, wish.fit.method, known, wish.fit.ridge, wish.fit.add_biases)
    found = ended(place.evaluate(place.model, wish.evaluation)).perplexity
    added = size_of(place.model)[0] - place.loaded.anatomy.parameters
    place.overlay.off()
    return found, added


@pytest.mark.parametrize("method", ["none", "bias", "least-squares"])
@pytest.mark.parametrize("family", [*FAMILIES, GROUPED])
def test_a_shared_number_is_the_number_alone(desk, family, method):
    """Of every family, heads and neurons, with biases where there were none, and layers of which nothing is left."""
    place = desk(small(family, biases=method == "bias"))
    asked = wishes(place.model, Fit(method, 1e-3))
    expected = [alone(place, wish) for wish in asked]
    sharing = Sharing(place, 10**7)
    line = sharing.ordered(asked)
    sharing.expect(asked[at] for at in line)
    for at in line:
        found = ended(sharing.measuring(asked[at]))
        assert found.evaluation.perplexity == pytest.approx(expected[at][0], rel=1e-10)
        assert found.added == expected[at][1]
    assert sharing.cache.held == 0  # nothing more is coming


def test_only_the_layers_after_the_first_difference_are_run(desk):
    """Each of the others is counted; the same pruning a second time runs none."""
    place = desk(small("gpt2"))
    asked = wishes(place.model, Fit())
    sharing = Sharing(place, 10**7)
    sharing.expect(asked)
    assert [ended(sharing.measuring(wish)).shared for wish in asked] == [0, 1, 0, 1, 2, 2, 1, 3, 1]


@pytest.mark.parametrize("most", [0, 3000, 9000])
def test_a_short_shelf_costs_work_and_no_number(desk, most):
    """With no room at all everything is run, and with little room some; the bound is never passed."""
    place = desk(small("opt"))
    asked = wishes(place.model, Fit("least-squares", 1e-3))
    expected = [alone(place, wish)[0] for wish in asked]
    sharing, shared = Sharing(place, most), 0
    sharing.expect(asked)
    for wish, value in zip(asked, expected, strict=True):
        found = ended(sharing.measuring(wish))
        shared += found.shared
        assert found.evaluation.perplexity == pytest.approx(value, rel=1e-10) and sharing.cache.held <= most
    assert shared == 3 if not most else 3 <= shared <= 11


def test_texts_and_compensations_are_not_mixed_up(desk):
    """The same units measured on fewer tokens, with another ridge, without added biases: each has its own number."""
    place = desk(small("llama", biases=False))
    first = wishes(place.model, Fit("least-squares", 1e-3))[4]
    asked = [first, replace(first, fit=Fit("least-squares", 10.0)), replace(first, fit=Fit("least-squares", 1e-3, False))]
    asked += [first, replace(first, evaluation=Measuring(tokens=64, sequence_length=8)), first]
    sharing = Sharing(place, 10**7)
    sharing.expect(asked)
    found = [ended(sharing.measuring(wish)).evaluation.perplexity for wish in asked]
    assert found == pytest.approx([alone(place, wish)[0] for wish in asked], rel=1e-10)
    assert len(set(found)) == 4


def test_on_an_accelerator_no_more_is_kept_than_a_part_of_what_is_free_there():
    """However much memory the machine has; on the CPU it is as much as was asked for."""
    assert within(10**18, "cpu") == 10**18 and within(5, "meta") == 5
    assert 0 < within(10**18, "meta") <= free_on(torch.device("meta")) // 2
