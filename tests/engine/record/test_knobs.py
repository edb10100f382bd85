"""Tests of engine/record/knobs.py: fields that can describe themselves to a form."""

import pytest
from pydantic import BaseModel, ValidationError

from engine.record.knobs import Knob, knob, knobs_of
from engine.record.recipe import Calibration, Measuring, Recipe, Schedule, Tuning


class Inner(BaseModel):
    """A part."""

    width: int = knob(3, 1, 5, reason="How wide.")


class Outer(BaseModel):
    """A whole with a part."""

    name: str = knob("x", reason="What it is called.")
    inner: Inner = knob(make=Inner, reason="What is in it.")


def test_a_knob_tells_default_range_and_reason():
    """What a form needs, in the order of definition."""
    assert list(knobs_of(Outer)) == ["name", "inner"]
    assert knobs_of(Outer)["name"] == Knob("name", "x", None, None, "What it is called.")
    assert knobs_of(Outer)["inner"].default == Inner()
    assert knobs_of(Inner)["width"] == Knob("width", 3, 1, 5, "How wide.")


@pytest.mark.parametrize("width, fits", [(0, False), (1, True), (5, True), (6, False)])
def test_the_range_that_is_told_is_the_one_that_holds(width, fits):
    """Both ends belong to it."""
    if fits:
        assert Inner(width=width).width == width
    else:
        with pytest.raises(ValidationError):
            Inner(width=width)


@pytest.mark.parametrize("model", [Recipe, Schedule, Tuning, Calibration, Measuring])
def test_every_field_of_a_recipe_has_a_reason_and_a_default_in_its_range(model):
    """A form can be drawn for any of them."""
    for found in knobs_of(model).values():
        assert found.reason.endswith("."), found.name
        if found.low is not None:
            assert found.low <= found.default <= found.high, found.name
