"""Tests of engine/record/axes.py: which values an axis has, in which order they are tried, and what is no axis."""

import json
import math

import pytest

from engine.record.axes import Axis, axis_of
from engine.record.errors import BadInput


def test_a_grid_has_its_ends_and_equal_steps_or_ratios():
    """Also where the field takes whole numbers; draws lie inside, the same ones for the same seed."""
    assert axis_of("ridge", {"from": 0, "to": 0.6, "steps": 4}).values == (0.0, 0.2, 0.4, 0.6)
    assert axis_of("ridge", {"from": 0.01, "to": 1, "steps": 3, "scale": "log"}).values == (0.01, 0.1, 1.0)
    assert axis_of("rounds", {"from": 1, "to": 10, "steps": 4}, whole=True).values == (1, 4, 7, 10)
    wish = {"from": 0.001, "to": 1, "draws": 400, "scale": "log", "seed": 3}
    drawn = axis_of("ridge", wish)
    assert drawn == axis_of("ridge", wish) and drawn.drawn and drawn.values != axis_of("other", wish).values
    assert min(drawn.values) >= 0.001 and max(drawn.values) <= 1
    assert sum(math.log10(value) for value in drawn.values) / 400 == pytest.approx(-1.5, abs=0.15)


def test_the_ends_come_first_and_then_the_middles():
    """By size, however the values are listed; what has no size is all of one rank."""
    assert Axis("level", (0, 1, 2, 3, 4)).ranks == (0, 2, 1, 2, 0)
    assert Axis("level", (4, 0, 2)).ranks == (0, 0, 1)
    assert Axis("level", (5,)).ranks == (0,) and Axis("level", (5, 6)).ranks == (0, 0)
    assert set(Axis("level", tuple(range(9))).ranks) == {0, 1, 2, 3}
    assert Axis("criterion", ("a", "b", "c")).ranks == (0, 0, 0)


BAD = {
    "0.5": "axis level 0.5 is no axis; give a list of values",
    "[]": "axis level [] is empty",
    "[0.1, 0.2, 0.1]": "axis level names 0.1 twice",
    "[1, 1.0]": "axis level names 1.0 twice",
    '{"from": 0, "to": 1}': 'must have either "steps" or "draws"',
    '{"from": 1, "to": 0, "steps": 3}': "axis level goes from 1 to 0",
    '{"from": 0, "to": 1, "steps": 1}': "axis level: steps 1 is not allowed; it takes a whole number from 2 up.",
    '{"from": 0, "to": 1, "steps": 3, "scale": "log"}': "begin above 0",
    '{"from": 0, "to": 1, "step": 3}': "(did you mean 'steps'?)",
    '{"from": 0, "to": 1, "draws": 100000}': "axis level has 100,000 values; at most 10,000 are allowed.",
}


@pytest.mark.parametrize(("given", "said"), BAD.items())
def test_what_is_no_axis_is_refused_in_one_sentence(given, said):
    """It names the axis, the value and what is allowed."""
    with pytest.raises(BadInput) as raised:
        axis_of("level", json.loads(given))
    assert said in str(raised.value) and "\n" not in str(raised.value)
