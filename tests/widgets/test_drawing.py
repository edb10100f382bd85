"""The parts that charts share: what is sent, what is kept of a long line, where ticks fall."""

import math

import bqplot
import ipywidgets
import numpy as np
import pytest

from widgets.drawing import columns, every, icon, legend, line, put, short, strokes, thin, ticks


def test_put_sends_one_message_with_only_what_differs():
    """Equal values, arrays and gaps included, are not sent again."""
    mark = bqplot.Lines(
        x=np.array([1.0, math.nan]), y=np.array([2.0, 3.0]), scales={"x": bqplot.LinearScale(), "y": bqplot.LinearScale()}
    )
    sent = []
    mark.comm.publish_msg = lambda *args, **parts: sent.append(parts["data"]["state"])
    put(mark, x=np.array([1.0, math.nan]), y=np.array([2.0, 3.0]), stroke_width=2.0)
    assert sent == []
    put(mark, x=np.array([1.0, 5.0]), y=np.array([2.0, 4.0]), stroke_width=2.0)
    assert len(sent) == 1 and set(sent[0]) == {"x", "y"}


def test_put_tells_a_changed_kind_from_an_equal_value():
    """True and 1 are equal in Python and not the same to the browser."""
    box = ipywidgets.HTML(value="a")
    put(box, value="b")
    assert box.value == "b"


@pytest.mark.parametrize("most", [4, 10, 300, 1500])
def test_thinning_keeps_the_ends_the_extremes_and_the_order(most: int):
    """First, last, lowest and highest survive, in the order of time, within the limit."""
    points = [(step, math.sin(step / 50) + 0.01 * (step % 7)) for step in range(20_000)]
    points[7777], points[12345] = (7777, 99.0), (12345, -99.0)
    kept = thin(points, most)
    assert len(kept) <= most and (kept[0], kept[-1]) == (points[0], points[-1])
    assert {(7777, 99.0), (12345, -99.0)} <= set(kept)
    assert list(kept) == sorted(set(kept)) and set(kept) <= set(points)


def test_a_short_line_is_not_thinned():
    """Every point is kept below the limit, and an empty line stays empty."""
    points = tuple((step, 1.0) for step in range(1500))
    assert thin(points) == points and thin(()) == ()
    assert columns(())["x"].size == 0


def test_strokes_are_paths_with_gaps_between_and_none_at_the_end():
    """A gap at the end would make the front end place a label nowhere."""
    drawn = strokes([[(0, 0), (1, 1)], [(2, 2), (3, 3)]])
    assert np.isnan(drawn["x"]).tolist() == [False, False, True, False, False]
    assert strokes([])["x"].size == 0


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 200), (2.9, 5.3), (0, 7), (3.35, 3.36), (0, 1e7), (-4, 9), (0, 15.7)])
def test_ticks_are_round_and_inside(low: float, high: float):
    """At least two, at most five, evenly apart, within the ends."""
    found = ticks(low, high)
    assert 2 <= len(found) <= 5 and all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    steps = {float(f"{step:.6g}") for step in np.diff(found)}
    assert len(steps) == 1 and f"{steps.pop():.0e}"[0] in "125"


def test_an_axis_without_length_has_one_tick():
    """All values equal is no reason to fail."""
    assert ticks(3.0, 3.0) == [3.0]


@pytest.mark.parametrize("many", [1, 6, 7, 12, 13, 32, 48, 96, 1000])
def test_numbered_rows_get_few_ticks_from_zero(many: int):
    """The first is always named, and never more than asked."""
    found = every(many, 12)
    assert found[0] == 0 and len(found) <= 12 and found[-1] < many


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (31.44, "31.4"), (118.2, "118"), (1234.5, "1,234"), (123456.0, "1.2e5"), (1e30, "1.0e30"), (0.00012, "1.2e−4"),
     (-2.345, "−2.35"), (99.96, "100")],
)  # fmt: skip
def test_numbers_are_short(value: float, said: str):
    """Three digits, thousands with a comma, powers where it is huge or tiny, a real minus."""
    assert short(value) == said


def test_the_words_of_a_legend_are_escaped():
    """A legend's words may be somebody's file name; its samples are ours."""
    assert "&lt;b&gt;" in legend([(icon("M0 0", "#123"), "<b>")]) and "<svg" in legend([(icon("M0 0", "#123"), "x")])
    assert line("a", "says") == '<div class="esp-says">a</div>'
