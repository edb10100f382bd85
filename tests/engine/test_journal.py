"""Tests of engine/journal.py: no event is lost to a full disk, and none is written twice."""

import json
from pathlib import Path

import pytest

from engine.journal import PAUSE, Journal
from engine.record.folder import read_events
from engine.record.lifecycle import CommandFinished, CommandStarted, Degraded, RunFinished, RunPaused, RunResumed


def facts(folder: Path) -> list[object]:
    """What a reader finds."""
    return [stamped.fact for stamped in read_events(folder)]


def test_an_event_waits_until_it_can_be_written_and_that_is_told(tmp_path, monkeypatch):
    """Three tries at the second line, a second between two; whoever appends is held so long."""
    monkeypatch.setenv("ESPALIER_FAULTS", "log@2x3")
    naps: list[float] = []
    journal = Journal(tmp_path, nap=naps.append)
    for fact in (CommandStarted(0, "Load"), CommandFinished(0, "Load"), RunPaused()):
        journal.append(fact)
    journal.close()
    assert naps == [PAUSE] * 3
    told = Degraded("going on", "a wait of 0 s", "no event could be written (No space left on device)")
    assert facts(tmp_path) == [CommandStarted(0, "Load"), CommandFinished(0, "Load"), told, RunPaused()]
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2, 3]


def test_what_may_be_missing_waits_for_nothing(tmp_path, monkeypatch):
    """And nothing is said of it."""
    monkeypatch.setenv("ESPALIER_FAULTS", "log@1")
    journal = Journal(tmp_path, nap=lambda _: pytest.fail("it waited"))
    for _ in range(2):
        journal.offer(RunPaused())
    journal.close()
    assert facts(tmp_path) == [RunPaused()]


def test_nobody_waits_who_is_not_waited_for(tmp_path, monkeypatch):
    """The supervisor is gone: the worker ends with the error of the disk."""
    monkeypatch.setenv("ESPALIER_FAULTS", "log@1x9")
    stays = iter([True, True, False])
    journal = Journal(tmp_path, lambda: next(stays), nap=lambda _: None)
    with pytest.raises(OSError, match="No space left on device"):
        journal.append(RunPaused())
    journal.close()
    assert facts(tmp_path) == []


def test_nothing_comes_after_the_end(tmp_path, monkeypatch):
    """Also where the end had to wait."""
    monkeypatch.setenv("ESPALIER_FAULTS", "log@1x2")
    journal = Journal(tmp_path, nap=lambda _: None)
    for fact in (RunFinished(), RunResumed()):
        journal.append(fact)
    journal.offer(RunPaused())
    journal.close()
    assert facts(tmp_path) == [RunFinished()]
