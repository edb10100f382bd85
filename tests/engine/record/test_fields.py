"""Tests of engine/record/fields.py: fields found, set and named by dotted name; its sentences stand beside the recipe's."""

import json

import pytest

from engine.record.errors import BadInput
from engine.record.fields import assign, model_field


def test_assign_sets_fields_at_any_depth_in_a_copy():
    """Values are JSON, or else strings; an element of a list is named by its index."""
    plain = {"heads": {"level": 0.1}, "neurons": {"shape": "custom", "blocks": [0, 0, 0]}}
    before = json.dumps(plain)
    changed = assign(
        plain, ["heads.level=0.5", "neurons.blocks.1=1", "model=gpt2", "tuning.steps=3e0", "cut=false", "prompt=a=b"]
    )
    assert changed == {
        "heads": {"level": 0.5},
        "neurons": {"shape": "custom", "blocks": [0, 1, 0]},
        "model": "gpt2",
        "tuning": {"steps": 3},
        "cut": False,
        "prompt": "a=b",
    }
    assert json.dumps(plain) == before


@pytest.mark.parametrize("change", ["heads.level", "", "neurons.blocks.7=1", "neurons.blocks.x=1", "model.x=1", "model.x.y=1"])
def test_assign_refuses_what_has_no_place(change):
    """The sentence repeats what was typed."""
    with pytest.raises(BadInput) as caught:
        assign({"model": "gpt2", "neurons": {"blocks": [0, 0, 0]}}, [change])
    assert repr(change) in str(caught.value)


@pytest.mark.parametrize("recipe", [[], None, "text", 5])
def test_assign_refuses_what_is_no_object(recipe):
    """A recipe file may hold any JSON."""
    with pytest.raises(BadInput):
        assign(recipe, ["seed=1"])


def test_a_field_is_found_by_its_dotted_name():
    """The knob that the page draws; None where there is none."""
    assert model_field("tuning.steps").high == 1_000_000
    assert model_field("model").default == "gpt2-tiny"
    assert [model_field(name) for name in ("", "x", "heads.x", "model.x", "x.level", "heads.level.x")] == [None] * 6
