"""Tests of engine/record/live.py without a worker: what is listed and in which words, what is stopped, resumed and refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.record import commands as ask
from engine.record.cells import SweepCellDone, SweepStarted
from engine.record.claim import take_lock
from engine.record.errors import BadInput
from engine.record.events import StepTrained
from engine.record.folder import Tail, Writer, create, post
from engine.record.lifecycle import (
    CommandFinished,
    CommandStarted,
    CommandStopped,
    RunFailed,
    RunFinished,
    RunPaused,
    RunStarted,
    WorkerStarted,
)
from engine.record.live import discard, find, live_runs, live_sweeps, resume, stop
from engine.record.lock import STALE, is_watched, read_lock, watch
from engine.record.recipe import Recipe
from engine.record.sweep import Sweep
from engine.record.sweep_folder import begin


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A run at home that has begun and that nobody holds."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    folder = create(Recipe(), tmp_path / "runs" / "one")
    tell(folder, RunStarted({"model": "gpt2-tiny"}, "1"), WorkerStarted(7, 1))
    return folder


def tell(folder: Path, *events) -> None:
    """Write events as a worker would."""
    writer = Writer(folder / "events.jsonl", clock=lambda: 1_700_000_000.0)
    for event in events:
        writer.append(event)
    writer.close()


def words(folder: Path) -> tuple[str, bool]:
    """The state of the only run, in words, and whether it is awake."""
    (run,) = live_runs(folder.parent, over=True)
    return run.state, run.awake


def test_a_run_is_listed_until_it_is_over(folder):
    """With its model, since when, and where."""
    (run,) = live_runs()
    assert (run.name, run.model, run.since, run.folder) == ("one", "gpt2-tiny", "2023-11-14T22:13:20Z", str(folder))
    assert (run.state, run.status, run.awake, run.worker) == ("nothing to do", "idle", False, None)
    tell(folder, RunFailed("The disk is full."))
    assert live_runs() == [] and words(folder) == ("failed: The disk is full.", False)


def test_a_sweep_is_listed_until_it_is_over_with_its_cells(folder):
    """Also in the folder of an experiment; one that nobody holds is interrupted, one that cannot be read says why."""
    asked = Sweep({"model": "opt-tiny"}, {"neurons.level": [0.1, 0.2, 0.3]})
    home = folder.parent
    inside, other = (begin(asked, home / name) for name in ("experiment/levels", "sweep"))
    tell(inside, SweepStarted(asked.plain(), 3, 0, 0, "1"), SweepCellDone(1, {}, 0, "done"), SweepCellDone(0, {}, 0, "failed"))
    new, begun = live_sweeps()
    assert (begun.name, begun.model, begun.since) == ("experiment/levels", "opt-tiny", "2023-11-14T22:13:20Z")
    assert (begun.state, begun.awake, begun.folder) == ("sweep, interrupted: 1 of 3 cells done", False, str(inside))
    assert (new.name, new.state, new.since) == ("sweep", "sweep, new: 0 of 3 cells done", None)
    tell(inside, SweepCellDone(0, {}, 0, "done"), SweepCellDone(2, {}, 0, "done"), RunFinished())
    (other / "sweep.json").write_text("{")
    assert [each.status for each in live_sweeps()] == ["unreadable"]
    assert live_sweeps(over=True)[1].state == "sweep, finished: 3 of 3 cells done"
    assert [run.name for run in live_runs()] == ["one"]


def test_a_sweep_whose_process_was_stopped_says_which(folder):
    """The process is one that has nothing to do with sweeps."""
    at = begin(Sweep({}, {"neurons.level": [0.1, 0.2]}), folder.parent / "sweep")
    tell(at, SweepStarted({}, 2, 0, 0, "1"))
    claim = take_lock(at)
    with subprocess.Popen(["sleep", "60"]) as process:
        claim.beat(worker=process.pid)
        assert live_sweeps()[0].state == "sweep, busy: 0 of 2 cells done"
        process.send_signal(signal.SIGSTOP)
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        (told,) = live_sweeps()
        assert told.state == f"sweep, busy: 0 of 2 cells done; process {process.pid} is stopped" and told.stopped == process.pid
        process.kill()


def test_the_state_is_told_in_words(folder):
    """What is being done, and whether anybody does it."""
    post(folder, ask.Evaluate("baseline"))
    assert words(folder) == ("left before it was done", False)
    tell(folder, CommandStarted(0, "Tune"), StepTrained("tuned", 3, 9, 1.0, 1e-3))
    assert words(folder) == ("interrupted in Tune, step 3 of 9", False)
    assert take_lock(folder, worker=4711)
    assert words(folder) == ("doing Tune, step 3 of 9", True) and live_runs()[0].worker == 4711
    tell(folder, RunPaused())
    assert words(folder) == ("paused in Tune, step 3 of 9", True)
    tell(folder, CommandFinished(0, "Tune"))
    post(folder, ask.Evaluate("pruned"))
    assert words(folder) == ("about to begin", True)


def test_a_run_that_cannot_be_read_hides_no_other(folder):
    """It is listed with the reason."""
    (create(Recipe(), folder.parent / "broken") / "recipe.json").write_text("{")
    assert [run.status for run in live_runs()] == ["idle", "unreadable"]
    assert "is not JSON" in live_runs()[1].state


@pytest.mark.parametrize("lock", ['{"pid": "x"}', '{"pid": "x", "born": 1, "worker": null, "started": 0, "heartbeat": 0}', None])
def test_a_lock_that_is_none_hides_no_run(lock, folder):
    """Words for numbers, or a folder of that name: every run is listed, that one as asleep."""
    place = create(Recipe(), folder.parent / "locked") / "lock.json"
    place.write_text(lock) if lock else place.mkdir()
    assert [(run.name, run.awake) for run in live_runs()] == [(folder.name, False), ("locked", False)]


def test_what_is_asleep_is_stopped_without_waking_it(folder):
    """The Stop is there for whoever takes it up."""
    post(folder, ask.Evaluate("baseline"))
    assert stop(folder) == "one is asleep and will not go on with what it was doing."
    assert isinstance(Tail(folder / "commands.jsonl").read()[-1].fact, ask.Stop)
    assert not (folder / "worker.log").exists()


def test_stop_waits_for_the_answer(folder):
    """Which the process that holds the run gives between two steps."""
    assert take_lock(folder)
    post(folder, ask.Evaluate("baseline"))
    tell(folder, CommandStarted(0, "Evaluate"))
    assert stop(folder, nap=lambda _: tell(folder, CommandStopped(0, "Evaluate"))) == "one has stopped what it was doing."
    assert words(folder) == ("nothing to do", True)


def test_resume_says_where_the_process_that_was_to_take_a_run_up_has_ended(folder, tmp_path, monkeypatch):
    """And not that the run goes on: a disk may be too full for a lock."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexit 9\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    post(folder, ask.Evaluate("baseline"))
    with pytest.raises(BadInput, match="^run 'one' does not go on: its process ended at once"):
        resume(folder)


def test_what_is_paused_is_resumed_where_it_is(folder):
    """By the process that holds it; what is not paused goes on already."""
    assert take_lock(folder)
    post(folder, ask.Evaluate("baseline"))
    tell(folder, CommandStarted(0, "Evaluate"))
    assert resume(folder) == "one goes on already."
    tell(folder, RunPaused())
    assert resume(folder) == "one goes on."
    assert isinstance(Tail(folder / "commands.jsonl").read()[-1].fact, ask.Resume)


@pytest.mark.parametrize("does", [stop, resume])
def test_what_is_over_or_idle_is_refused(does, folder):
    """In one sentence that says so."""
    with pytest.raises(BadInput, match="^run 'one' (is doing nothing|has nothing to go on with); "):
        does(folder)
    tell(folder, RunFinished())
    with pytest.raises(BadInput, match="^run 'one' is over: it has finished; start a new one to go on.$"):
        does(folder)


def test_a_run_is_found_by_name_or_by_folder(folder, tmp_path):
    """Runs of the command line may lie anywhere."""
    elsewhere = create(Recipe(), tmp_path / "elsewhere")
    assert find("one") == folder and find(str(elsewhere)) == elsewhere
    for name in ("", "two", str(tmp_path), os.devnull):
        with pytest.raises(BadInput, match="is not in"):
            find(name)


def test_a_run_that_nobody_needs_is_deleted_with_all_that_is_in_it(folder):
    """Whatever it holds, also one that cannot be read; and there is nothing to delete twice."""
    (folder / "checkpoints" / "step-000001").mkdir(parents=True)
    (folder / "checkpoints" / "step-000001" / "weights.safetensors").write_bytes(b"1234")
    (create(Recipe(), folder.parent / "broken") / "recipe.json").write_text("{")
    assert discard("one") == "one is deleted." and discard("broken") == "broken is deleted."
    assert list(folder.parent.iterdir()) == []
    with pytest.raises(BadInput, match="is not in"):
        discard("one")


def test_a_run_that_somebody_needs_is_not_deleted(folder):
    """A process that carries it out, or a page that looks; and nothing in it changes, its lock included."""
    before = {path.name for path in folder.iterdir()}
    claim = take_lock(folder)
    with pytest.raises(BadInput, match="is held by a process that carries it out"):
        discard("one")
    assert read_lock(folder)["pid"] == os.getpid()
    claim.release()
    assert {path.name for path in folder.iterdir()} == before
    watch(folder, "somebody")
    with pytest.raises(BadInput, match="is on a page"):
        discard("one")
    assert {path.name for path in folder.iterdir()} == before | {"viewers"} and is_watched(folder)
    os.utime(folder / "viewers" / "somebody", (0, time.time() - STALE))
    assert discard("one") == "one is deleted."


@pytest.mark.parametrize("name", ["", "..", ".", "one/checkpoints", "/"])
def test_what_is_no_run_of_this_home_is_not_deleted(folder, name):
    """Neither a path nor what lies outside; a link is left to whoever made it."""
    with pytest.raises(BadInput, match="is not in"):
        discard(name)
    link = folder.parent / "link"
    link.symlink_to(folder)
    with pytest.raises(BadInput, match="is a link"):
        discard("link")
    assert (folder / "recipe.json").is_file()
