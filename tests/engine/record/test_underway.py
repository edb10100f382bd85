"""Tests of engine/record/underway.py: a sweep is carried out by a process of its own, stopped, gone on with, deleted."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.record.errors import BadInput
from engine.record.lock import read_lock, take_lock
from engine.record.recipe import Recipe
from engine.record.sweep import Sweep
from engine.record.swept import begin, open_sweep
from engine.record.underway import carry_on, discard, find_sweep, last_words, list_sweeps, stop

SMALL = {
    "heads": {"level": 0},
    "calibration": {"tokens": 256, "sequence_length": 64},
    "evaluation": {"tokens": 256, "sequence_length": 64},
}
ASKED = Sweep(SMALL, {"neurons.level": [0, 0.3, 0.6], "criterion": ["random", "magnitude", "activation"]})


def until(true: Callable[[], bool], seconds: float = 90) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_sweep_is_carried_out_apart_stopped_and_gone_on_with(home) -> None:
    """What was done before it was told to stop is not done again; its process is another one, which ends by itself."""
    folder = begin(ASKED)
    carry_on(folder)
    assert list_sweeps() == [folder] and find_sweep(folder.name) == folder
    until(lambda: len(open_sweep(folder).done) >= 1)
    process = psutil.Process(read_lock(folder)["pid"])
    assert process.pid != os.getpid()
    with pytest.raises(BadInput, match="goes on already"):
        carry_on(folder)
    with pytest.raises(BadInput, match="is held by a process"):
        discard(folder.name)
    try:
        assert "told to stop" in stop(folder)
    except BadInput:  # it was through sooner
        pass
    process.wait(30)
    before = open_sweep(folder)
    assert before.status in ("stopped", "finished")
    assert carry_on(folder).wait(90) == 0
    after = open_sweep(folder)
    assert after.status == "finished" and len(after.done) == len(ASKED.cells)
    assert all(after.done[number] == cell for number, cell in before.done.items())
    assert last_words(folder).endswith(folder.name)
    assert "is deleted" in discard(folder.name) and list_sweeps() == [] and not folder.exists()


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
