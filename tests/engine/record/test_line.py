"""Tests of engine/record/line.py: one fact, one line, whatever stands in the file."""

import json
import math
import random
import zlib
from dataclasses import dataclass

import pytest

from engine.record.commands import COMMANDS, Prune, SetGate
from engine.record.events import EVENTS, Evaluated
from engine.record.lifecycle import CommandStarted, Degraded, RunFailed, RunStarted
from engine.record.line import Stamped, Unreadable, decode, encode
from tests.engine.record.examples import example


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_survives_its_line(name):
    """With the parts of a recipe that it carries."""
    draw = random.Random(name)
    for _ in range(20):
        command = example(COMMANDS[name], draw)
        assert decode(encode(command, "command", 0, 0.0), "command", COMMANDS) == Stamped(0, 0.0, command)


def test_a_line_reads_as_plain_json():
    """Any program may read it: number, time, name, fields."""
    line = encode(Degraded("a", "b", "ü"), "event", 7, 12.25)
    said = {"seq": 7, "at": 12.25, "event": "Degraded", "asked": "a", "did": "b", "why": "ü", "arm": "", "step": 0}
    assert json.loads(line) == said | {"check": f"{zlib.crc32(line.rpartition(b', ')[0]):08x}"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_not_written(bad):
    """What was not measured is null; NaN in a file is a mistake of the writer."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(Evaluated("pruned", bad, 1.0, 1, "text", 8, "float32"), "event", 0, 0.0)


def test_what_is_no_plain_value_is_not_written():
    """A tensor, or anything else that is not a number, a text or a tuple of them."""
    with pytest.raises(TypeError, match="set cannot be written to a run folder"):
        encode(RunStarted({"names": {1}}, "1"), "event", 0, 0.0)


NONE = [
    b"", b"{", b'{"seq": 0, "at": 1.0, "event": "RunFin', b'{"seq": 0, "at": {} torn', b"\xff\xfe", b"[" * 100_000,
    b'{"seq": 0, "at": 1.0, "event": "RunImagined"}',
]  # fmt: skip
DAMAGED = [
    b"null", b"[]", b'"RunFinished"', b'{"event": "RunFinished"}', b'{"seq": 0, "at": 1.0}', b'{"seq" 0}',
    b'{"seq": 0, "at": 1.0, "event": null}', b'{"seq": 0, "at": 1.0, "event": []}',
    b'{"seq": 0, "at": 1.0, "event": {"RunFinished": 1}}', b'{"seq": 0, "at": 1.0, "command": "RunFinished"}',
]  # fmt: skip


@pytest.mark.parametrize("line", NONE, ids=range(len(NONE)))
def test_what_was_never_a_whole_line_of_this_version_reads_as_nothing(line):
    """Torn, by this version or by an older one, or of a class that a newer version brought."""
    assert decode(line, "event", EVENTS) is None


@pytest.mark.parametrize("line", DAMAGED, ids=range(len(DAMAGED)))
def test_what_is_no_line_of_ours_is_damage(line):
    """Whole, and nothing that a version of this project writes."""
    assert decode(line, "event", EVENTS).fact.damaged


@pytest.mark.parametrize("fact", [CommandStarted(6, "Tune"), SetGate(0, 11, open=True)], ids=lambda fact: type(fact).__name__)
def test_any_bit_that_flips_in_a_line_is_found_or_changes_nothing(fact):
    """In its name, where it would read as one of a newer version, in a number, and in the checksum, whose own name says nothing:
    without it the line is one of an older version. In the last blank or brace as well."""
    kind, classes = ("event", EVENTS) if type(fact).__name__ in EVENTS else ("command", COMMANDS)
    line, found = encode(fact, kind, 3, 1.5)[:-1], 0
    for place in range(8 * len(line)):
        flipped = bytearray(line)
        flipped[place // 8] ^= 1 << place % 8
        read = decode(bytes(flipped), kind, classes)
        damaged = isinstance(read.fact, Unreadable) and read.fact.damaged
        assert damaged or read == Stamped(3, 1.5, fact), bytes(flipped)
        found += damaged
    assert found > 0.9 * 8 * len(line)


def test_a_command_that_is_none_is_answered():
    """Whoever asked for it waits; nobody waits for an event."""
    read = decode(b'{"seq": 3, "at": 1.0, "command": "Distort", "by": 2}\n', "command", COMMANDS)
    assert read.seq == 3 and (read.fact.name, read.fact.field) == ("Distort", "")
    assert read.fact.reason.startswith("'Distort' is no command of this version of Espalier;")
    assert decode(b'{"seq": 3, "at": 1.0, "event": "Distorted", "by": 2}\n', "event", EVENTS) is None


def test_fields_that_a_newer_version_added_are_passed_over():
    """An older page can watch a newer worker."""
    assert decode(
        b'{"seq": 0, "at": 1.0, "event": "RunFailed", "reason": "r", "mood": "sad"}', "event", EVENTS
    ).fact == RunFailed("r")


def test_fields_that_do_not_fit_are_told_apart():
    """The line keeps its place, and says in one sentence what does not fit."""
    read = decode(b'{"seq": 4, "at": 1.0, "command": "SetGate", "layer": "x", "head": 1, "open": true}', "command", COMMANDS)
    assert read == Stamped(4, 1.0, read.fact) and isinstance(read.fact, Unreadable)
    assert read.fact.name == SetGate.__name__ and read.fact.field == "layer" and read.fact.reason.endswith(".")


def test_a_posted_level_that_is_impossible_is_refused_as_in_a_recipe():
    """The same words, wherever it came from."""
    line = b'{"seq": 0, "at": 1.0, "command": "Prune", "criterion": "random", "heads": {"level": 1.5}, "neurons": {}}'
    assert decode(line, "command", COMMANDS).fact == Unreadable(
        Prune.__name__, "heads.level", "heads.level 1.5 is not allowed; it takes a number from 0 to 1."
    )


def test_any_junk_reads_as_something_or_nothing():
    """Lines with random bytes changed raise nothing."""
    draw = random.Random(0)
    for _ in range(2000):
        line = bytearray(encode(example(EVENTS[draw.choice(list(EVENTS))], draw), "event", 0, 0.0))
        for _ in range(draw.randint(1, 4)):
            line[draw.randrange(len(line))] = draw.randrange(256)
        assert isinstance(decode(bytes(line), "event", EVENTS), Stamped | None)


def test_only_dataclasses_are_written():
    """A line is a fact with a name."""

    @dataclass(frozen=True)
    class Inner:
        x: int

    assert json.loads(encode(Degraded("a", Inner(1), "b"), "event", 0, 0.0))["did"] == {"x": 1}
    with pytest.raises(TypeError):
        encode("RunFinished", "event", 0, 0.0)
