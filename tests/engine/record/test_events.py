"""Tests of engine/record/events.py and lifecycle.py: every event, one by one."""

import random

import pytest

from engine.record.events import ENDS, EVENTS
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


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_frozen_and_says_what_happened(name):
    """The name in the line is the name of the class."""
    event = EVENTS[name]
    assert event.__name__ == name and event.__dataclass_params__.frozen and event.__doc__.strip().endswith(".")


def test_the_ends_are_events():
    """Exactly one of these is a run's last."""
    assert set(ENDS) <= set(EVENTS.values())
