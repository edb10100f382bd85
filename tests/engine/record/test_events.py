"""Tests of engine/record/events.py and lifecycle.py: every event, one by one."""

import json
import random
from dataclasses import replace

import pytest

from engine.record.events import ENDS, EVENTS, ModelLoaded
from engine.record.line import decode, encode
from tests.engine.record.examples import example


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_survives_its_line(name):
    """What is read back equals what was written, tuples and floats to the bit."""
    draw = random.Random(name)
    for _ in range(20):
        event = example(EVENTS[name], draw)
        line = encode(event, "event", 3, 1.5)
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        read = decode(line, "event", EVENTS)
        assert (read.seq, read.at) == (3, 1.5)
        assert read.fact == event and type(read.fact) is EVENTS[name]


def test_a_model_loaded_before_groups_were_told_is_read():
    """Its line names no groups: every head is one by itself and weighs what the head weighs; a newer line says it all."""
    loaded = ModelLoaded("m", "gpt2", 1000, 64, 300, (3, 2), (8, 8), (10, 11), (5, 5), "cpu", "float32")
    assert (loaded.groups, loaded.group_parameters) == ((3, 2), (10, 11))
    older = {name: value for name, value in vars(loaded).items() if not name.startswith("group")}
    line = json.dumps({"event": "ModelLoaded", "seq": 0, "at": 1.0} | older).encode()
    assert decode(line, "event", EVENTS).fact == loaded
    shared = replace(loaded, heads=(6, 4), groups=(3, 2), group_parameters=(30, 31))
    assert decode(encode(shared, "event", 0, 1.0), "event", EVENTS).fact == shared


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_frozen_and_says_what_happened(name):
    """The name in the line is the name of the class."""
    event = EVENTS[name]
    assert event.__name__ == name and event.__dataclass_params__.frozen and event.__doc__.strip().endswith(".")


def test_the_ends_are_events():
    """Exactly one of these is a run's last."""
    assert set(ENDS) <= set(EVENTS.values())
