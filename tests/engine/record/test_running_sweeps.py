"""Tests of engine/record/running_sweeps.py: a sweep is carried out by a process of its own, stopped, gone on with, deleted."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine import sweep
from engine.record.cells import SweepCellDone
from engine.record.claim import is_held, take_lock
from engine.record.detached import start_apart
from engine.record.errors import BadInput
from engine.record.lock import read_lock
from engine.record.recipe import Recipe
from engine.record.running_sweeps import carry_on, discard, find_sweep, last_words, own_sweeps, reaped, stop
from engine.record.sweep import Sweep
from engine.record.sweep_folder import begin, open_sweep

SMALL = {
    "heads": {"level": 0},
    "calibration": {"tokens": 256, "sequence_length": 64},
    "evaluation": {"tokens": 256, "sequence_length": 64},
}
ASKED = Sweep(SMALL, {"neurons.level": [0, 0.3], "criterion": ["random", "magnitude"]})


def until(true: Callable[[], bool], seconds: float = 90) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_sweep_that_was_left_is_carried_on_apart_and_deleted(home) -> None:
    """Cells that are done are not done again; its process is another one, which ends by itself, and while it lives nobody else
    carries the sweep out or deletes it."""
    folder = begin(ASKED)
    with closing(sweep(ASKED, folder)) as events:
        first = next(event for event in events if isinstance(event, SweepCellDone))
    assert own_sweeps() == [folder] and find_sweep(folder.name) == folder and open_sweep(folder).status == "stopped"
    process = carry_on(folder)
    until(lambda: is_held(folder))
    assert read_lock(folder)["pid"] == process.pid != os.getpid()
    with pytest.raises(BadInput, match="goes on already"):
        carry_on(folder)
    with pytest.raises(BadInput, match="is held by a process"):
        discard(folder.name)
    assert process.wait(90) == 0
    after = open_sweep(folder)
    assert after.status == "finished" and len(after.done) == len(ASKED.cells) and after.done[first.number] == first
    assert last_words(folder).endswith(folder.name)
    assert "is deleted" in discard(folder.name) and own_sweeps() == [] and not folder.exists()


def test_the_process_that_holds_a_sweep_is_told_to_stop(home) -> None:
    """By the signal that the command line takes for a wish."""
    folder = begin(ASKED)
    holds = "import sys, time; from engine.record.claim import take_lock; claim = take_lock(sys.argv[1]); time.sleep(60)"
    process = reaped(start_apart(["-c", holds, str(folder)], folder / "worker.log", "The log"))
    until(lambda: read_lock(folder) is not None)
    lock = (folder / "lock.json").read_text()
    (folder / "lock.json").unlink()
    with pytest.raises(BadInput, match="goes on, and lock.json does not name its process"):
        stop(folder)
    (folder / "lock.json").write_text(lock)
    assert "told to stop" in stop(folder)
    assert process.wait(30) == -signal.SIGTERM
    with pytest.raises(BadInput, match="is doing nothing"):
        stop(folder)


def test_what_is_not_there_or_does_nothing_is_refused(home) -> None:
    """In one sentence each; a run is no sweep."""
    folder = begin(ASKED)
    with pytest.raises(BadInput, match="is doing nothing"):
        stop(folder)
    with pytest.raises(BadInput, match="is not in"):
        find_sweep("../elsewhere")
    assert last_words(folder) == ""
    assert take_lock(folder)
    with pytest.raises(BadInput, match="is held by a process"):
        discard(folder.name)
    with pytest.raises(BadInput, match="by this very process"):
        stop(folder)
    assert folder.exists()


def test_a_process_that_cannot_begin_leaves_its_last_words(home) -> None:
    """A page that starts one and hears nothing from it can say why."""
    plain = Recipe.model_validate(SMALL).model_dump(mode="json")
    folder = begin(Sweep(plain, {"neurons.level": [0, 0.3]}))
    (Path(folder) / "sweep.json").write_text("{", encoding="utf-8")
    assert carry_on(folder).wait(60) == 2
    assert "is not JSON" in last_words(folder)
