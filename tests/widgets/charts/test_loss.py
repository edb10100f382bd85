"""Losses by step: four series apart, never going back."""

import bqplot
import numpy as np

from engine.record.events import RoundBegan, StepTrained, TuningStarted, Validated, WentBack
from tests.widgets.charts.states import folded, trained
from tests.widgets.charts.test_charts import built, inside, words
from widgets.charts.loss import forward, shaded, smoothed
from widgets.theme import LIGHT
from widgets.view import View


def lines(drawn) -> list[bqplot.Lines]:
    """Raw, smoothed and validation, each for tuned and control."""
    return [each for each in inside(drawn.widget) if isinstance(each, bqplot.Lines) and each.fill == "none"]


def test_training_and_validation_are_separate_for_both_arms():
    """Each series has the points that were measured for it."""
    facts = [
        TuningStarted("tuned", "full", 3, "float32"),
        Validated("tuned", 0, 5.0, 64),
        StepTrained("tuned", 1, 3, 4.0, 1e-3),
        StepTrained("tuned", 2, 3, 3.0, 1e-3),
        TuningStarted("control", "full", 3, "float32"),
        StepTrained("control", 1, 3, 2.0, 1e-3),
        Validated("control", 1, 2.5, 64),
    ]
    drawn = built("loss")
    drawn.draw(View(folded(*facts), None, LIGHT))
    raw, control_raw, _, _, validated, control_validated = lines(drawn)
    assert raw.x.tolist() == [1, 2] and raw.y.tolist() == [4, 3]
    assert control_raw.y.tolist() == [2] and validated.y.tolist() == [5] and control_validated.y.tolist() == [2.5]
    assert "Recovered, step 2 of 3: training 3.00, validation 5.00." in words(drawn)


def test_every_other_round_is_shaded_from_bottom_to_top():
    """The second from its first step to that of the third, the fourth to the end; a curve that went on is one."""
    rounds = [RoundBegan(number, 4, number / 4, 10 * (number - 1)) for number in (1, 2, 3, 4)]
    assert shaded(rounds, 40, 1.0, 5.0) == tuple(
        corner for a, b in ((10, 20), (30, 40)) for corner in ((a, 1.0), (a, 5.0), (b, 5.0), (b, 1.0))
    )
    assert (
        shaded(rounds[:2], 40, 1.0, 5.0)[-1] == (40, 1.0) and shaded(rounds[:1], 40, 1.0, 5.0) == shaded((), 40, 1.0, 5.0) == ()
    )
    facts = [rounds[0], TuningStarted("tuned", "full", 40, "float32"), StepTrained("tuned", 1, 40, 4.0, 1e-3), rounds[1]]
    facts += [TuningStarted("tuned", "full", 40, "float32", 10), StepTrained("tuned", 11, 40, 3.0, 1e-3)]
    drawn = built("loss")
    drawn.draw(View(folded(*facts, WentBack("tuned", 10, 11, "so it is")), None, LIGHT))
    (bands,) = [each for each in inside(drawn.widget) if isinstance(each, bqplot.Lines) and each.fill == "bottom"]
    assert bands.x.tolist() == [10, 10, 40, 40] and lines(drawn)[0].x.tolist() == [1, 11]
    assert "Round 2 of 4" in words(drawn) and "after step 10: so it is." in words(drawn)


def test_series_differ_by_more_than_colour():
    """Arms differ in the dash of the line and the mark of a point, training from validation by having points."""
    _, _, tuned, control, validated, control_validated = lines(built("loss"))
    assert tuned.line_style != control.line_style and validated.marker != control_validated.marker
    assert tuned.marker is None and validated.marker is not None


def test_steps_that_were_done_again_replace_the_first_ones():
    """After a restart from the checkpoint of step 2 the curve goes on from there, and never back."""
    points = ((1, 5.0), (2, 4.0), (3, 9.0), (4, 9.0), (3, 3.0), (4, 2.0))
    assert forward(points) == ((1, 5.0), (2, 4.0), (3, 3.0), (4, 2.0))
    assert forward(((1, 5.0), (2, float("inf")), (3, 4.0))) == ((1, 5.0), (3, 4.0))


def test_smoothing_is_a_mean_of_what_came_before():
    """A constant stays itself from the first point on; a short curve is not smoothed at all."""
    assert all(abs(loss - 2.5) < 1e-9 for _, loss in smoothed([(step, 2.5) for step in range(300)]))
    assert smoothed(((1, 5.0), (2, 3.0))) == ((1, 5.0), (2, 3.0))
    noisy = [(step, 3.0 + (-1) ** step) for step in range(400)]
    assert np.std([loss for _, loss in smoothed(noisy)][100:]) < 0.1


def test_the_step_axis_shows_the_whole_plan_from_the_start():
    """The room for all planned steps is there, so that progress can be seen."""
    drawn = built("loss")
    drawn.draw(View(folded(*trained("tuned", 200)[:20]), None, LIGHT))
    assert lines(drawn)[0].scales["x"].max == 200
