"""Tests of engine/record/experiments/how_much.py: with numbers whose truth is known."""

import math
from dataclasses import replace

import pytest

from engine.record.costs import Latency
from engine.record.done_cells import done
from engine.record.experiments import how_much
from engine.record.schedules import count
from tests.engine.record.experiments.made_up import DENSE, found_by, in_text, shaken

SWEEPS = how_much.sweeps("gpt2-tiny", "medium")


def law(rise, noise=0.001):
    """A level costs the rise in nats; recovery leaves half of it and lowers everything by a tenth."""

    def costs(recipe, draw):
        of_both = rise(recipe.neurons.level) + rise(recipe.heads.level) + draw.gauss(0, noise)
        return {"pruned": DENSE * math.exp(of_both), "tuned": 0.9 * DENSE * math.exp(of_both / 2), "cut": 1.0}

    return shaken(costs)


def test_a_recovery_is_held_against_the_control_and_not_against_the_untrained_model():
    """A tenth comes from the training alone."""
    found = found_by(SWEEPS, law(lambda level: level))
    assert how_much.cost(found, "neurons", 0.3, "pruned").mean == pytest.approx(0.3, abs=0.01)
    assert how_much.cost(found, "neurons", 0.3, "tuned").mean == pytest.approx(0.15, abs=0.01)
    assert how_much.over_untrained(found, "neurons", 0.3).mean == pytest.approx(0.15 + math.log(0.9), abs=0.01)
    assert how_much.cost(found, "neurons", 0.3, "tuned").count == 3
    assert how_much.cost({}, "neurons", 0.3, "tuned") is None


@pytest.mark.parametrize(
    ("by", "noise", "said"),
    [
        (0.9, 0, "The training itself made the whole model better; the control has 0.900 times"),
        (1.07, 0.001, "The training itself made the whole model worse; the control has 1.07"),
        (1.0, 0.2, "Whether the training itself makes the whole model better or worse cannot be told; the control has "),
    ],
)
def test_what_the_training_itself_does_is_told(by, noise, said):
    """By the seeds of the control, over the model that was not trained."""

    def costs(recipe, draw):
        return {
            "pruned": DENSE * math.exp(recipe.neurons.level),
            "tuned": DENSE * by * math.exp(draw.gauss(0, noise)),
            "cut": 1.0,
        }

    assert said in in_text(how_much.answer(found_by(SWEEPS, shaken(costs))))
    assert "The training" not in in_text(how_much.answer({}))


def test_what_a_criterion_chooses_is_told_apart_from_what_chance_does():
    """They cost unlike, and before a recovery only chance has replicates; after it the batches are drawn for both."""

    def costs(recipe, draw):
        rise = recipe.neurons.level * (2 if recipe.criterion == "random" else 1) + draw.gauss(0, 0.001)
        return {"pruned": DENSE * math.exp(rise), "tuned": DENSE * math.exp(rise / 2), "cut": 1.0}

    found = found_by(SWEEPS, shaken(costs))
    by, drawn = (how_much.cost(found, "neurons", 0.3, "pruned", each) for each in (how_much.chooser(found, "neurons"), "random"))
    assert (by.count, drawn.count) == (1, 3) and drawn.mean == pytest.approx(2 * by.mean, rel=0.05)
    recovered = how_much.cost(found, "neurons", 0.3, "tuned", how_much.chooser(found, "neurons"))
    assert recovered.count == 3 and recovered.sign == 1
    assert "chosen by activation, perplexity is 1.3" in in_text(how_much.answer(found))


@pytest.mark.parametrize("form", ["medium", "full"])
def test_whole_heads_bend_no_smooth_loss(form):
    """Of six heads 10 and 20 % are one: a loss that grows with the square of what is really gone bends everywhere alike."""

    def costs(recipe, draw):
        gone = count(recipe.heads.level, 6) / 6
        rise = gone**2 + draw.gauss(0, 1e-6)
        return {"pruned": DENSE * math.exp(rise), "tuned": DENSE * math.exp(rise), "cut": 1.0}

    found = found_by(how_much.sweeps("gpt2-tiny", form), shaken(costs))
    whole = {
        name: {number: replace(cell, parameters=_left(cell.set)) for number, cell in cells.items()}
        for name, cells in found.items()
    }
    bends = [bend.mean for bend in how_much.kinks(whole, "heads", "pruned").values()]
    assert bends and bends == pytest.approx([bends[0]] * len(bends), rel=0.01)
    assert how_much.is_special(whole, "heads", "pruned") is None


def _left(asked):
    """What is left of a million parameters, of which heads are a quarter, six in a layer."""
    return round(1e6 - 2.5e5 * count(asked.get("heads.level", 0), 6) / 6)


@pytest.mark.parametrize(
    ("rise", "noise", "special"),
    [
        (lambda level: max(0.0, level - 0.3), 0.001, True),
        (lambda level: max(0.0, level - 0.45), 0.001, False),
        (lambda level: level, 0.2, None),
    ],
    ids=["a knee at 30 %", "a knee elsewhere", "noise"],
)
def test_a_level_is_special_where_the_loss_bends_most(rise, noise, special):
    """And where the noise is larger than the bend that cannot be told; nor where not every level was measured."""
    found = found_by(SWEEPS, law(rise, noise))
    assert how_much.is_special(found, "neurons", "pruned") is special
    said = {True: "s are special", False: "s are not special", None: "s are special cannot be told"}
    assert said[special] in in_text(how_much.answer(found))
    some = {
        name: {number: cell for number, cell in cells.items() if 0.15 not in cell.set.values()} for name, cells in found.items()
    }
    assert how_much.is_special(some, "neurons", "pruned") is None


def test_time_and_parameters_are_over_those_of_the_whole_model():
    """Every cell of the grid is a point in both charts, and the fronts are among them."""
    *_, parameters, latency = how_much.figures(found_by(SWEEPS, law(lambda level: level)))
    for figure in (parameters, latency):
        by_name = {series.name: series for series in figure.series}
        assert len(by_name["pruned"].x) == 12 and max(by_name["pruned"].x) == 1
        for name in ("pruned", "recovered"):
            points = set(zip(by_name[name].x, by_name[name].y, strict=True))
            assert set(zip(by_name[f"front, {name}"].x, by_name[f"front, {name}"].y, strict=True)) <= points
    assert figure.fronts == ("front, pruned", "front, recovered")


@pytest.mark.parametrize(
    ("timed", "share"),
    [(((1, "prefill", 0.9), (8, "prefill", 0.5), (8, "decode", 0.1)), 0.5), (((1, "prefill", 0.9),), 0.9), ((), None)],
    ids=["several texts at once", "one text", "nothing"],
)
def test_time_is_that_of_the_most_texts_at_once_that_were_timed(timed, share):
    """A small evaluation has too few for eight, and its model is in the chart all the same."""
    (cell, *_) = done(found_by(SWEEPS, law(lambda level: level)), "grid")
    latency = tuple(Latency(batch, 256, 1.0, cut, 7, what) for batch, what, cut in timed)
    assert how_much.time_of(replace(cell, cell=replace(cell.cell, latency=latency))) == share
