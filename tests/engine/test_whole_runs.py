"""Runs of the command line on real processes: one that is interrupted goes on, and comes to the end that it would have had."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from engine.__main__ import main
from engine.record import commands as ask
from engine.record.claim import is_held
from engine.record.client import open_run
from engine.record.errors import BadInput
from engine.record.events import StepTrained, TrainingResumed
from engine.record.folder import Writer, read_events, read_recipe
from engine.record.lifecycle import SHELTER, CommandFinished, RunFailed, RunFinished, RunStarted, WorkerStarted
from engine.record.live import live_runs, resume, stop
from engine.record.lock import read_lock
from engine.record.recipe import Recipe
from engine.record.state import RunState
from engine.record.whole_runs import begin
from engine.recovery.bookmarks import VARIABLE
from engine.session import run
from engine.summary import in_words, summary

pytestmark = pytest.mark.slow
PATIENCE = 120  # seconds: a process that imports torch on a busy machine takes some
STEPS = 40


@pytest.fixture
def asked(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe whose recovery takes long enough to be interrupted, with a bookmark every five steps."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(VARIABLE, "5")
    return recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"steps": STEPS})})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the run is to be; whatever process holds it at the end is ended."""
    folder = tmp_path / "run"
    yield folder
    if is_held(folder):
        psutil.Process(read_lock(folder)["pid"]).terminate()
        until(lambda: not is_held(folder))


def until(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold while one may wait."""
    end = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def ended(folder: Path) -> RunState:
    """The state of a run once it is over and its worker has gone."""
    assert until(lambda: open_run(folder).is_over and not is_held(folder)), (folder / "worker.log").read_text()[-2000:]
    return open_run(folder)


def steps(folder: Path) -> list[int]:
    """The steps of the model's training that the record tells of."""
    told = [stamped.fact for stamped in read_events(folder)] if (folder / "events.jsonl").exists() else []
    return [fact.step for fact in told if isinstance(fact, StepTrained) and fact.arm == "tuned"]


def test_a_run_that_is_asked_to_end_goes_on_later_and_waits_for_room_on_the_disk(asked, folder, tmp_path, monkeypatch):
    """Nobody else carries it out meanwhile, whatever becomes of lock.json. SIGTERM in the training: one line says how to go on.
    The worker that does finds no room for the checkpoint, waits and tries again from the last bookmark: the same numbers, curves
    and weights as without all that."""
    for _ in run(asked, tmp_path / "whole"):
        pass
    whole = open_run(tmp_path / "whole")

    (tmp_path / "recipe.json").write_text(asked.model_dump_json())
    line = [sys.executable, "-m", "engine", "run", str(tmp_path / "recipe.json"), "--folder", str(folder)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert until(lambda: len(steps(folder)) >= 6)
        (folder / "lock.json").write_text("garbage")
        assert resume(folder) == "run goes on already."
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE)[1].splitlines()[-1]
    assert process.returncode == 1
    how = f"with runs --resume {folder}; runs --stop {folder} ends it."
    assert said == f"espalier: Interrupted. The run goes on from its last checkpoint or bookmark {how}"
    assert not open_run(folder).is_over and not is_held(folder)

    monkeypatch.setenv("ESPALIER_FAULTS", "checkpoint@2")
    assert resume(folder) == "run goes on."
    state = ended(folder)
    facts = [stamped.fact for stamped in read_events(folder)]
    resumed = [fact.step for fact in facts if isinstance(fact, TrainingResumed) and fact.arm == "tuned"]
    assert resumed[0] >= 5 and resumed[0] % 5 == 0 and resumed[1:] == [STEPS - 5]
    assert steps(folder)[-5:] == list(range(STEPS - 4, STEPS + 1))
    why = "instead of going on with Tune: a wait for the disk, because No space left on device"
    assert why in in_words(state) and state.refusals == ()
    assert (state.status, state.standing.perplexity) == (whole.status, whole.standing.perplexity)
    assert state.standing.curves == whole.standing.curves
    saved = [(where / "model" / "model.safetensors").read_bytes() for where in (folder, tmp_path / "whole")]
    assert saved[0] == saved[1] and not list(folder.glob("checkpoints/bookmarks"))


def test_a_run_whose_worker_was_stopped_itself_says_so_to_whoever_ends_it(asked, folder):
    """At once: nobody watches over it, it neither ends nor goes on, and the run is its own. Once it has ended the run can be."""
    begin(asked, folder, (*ask.commands_of(asked), ask.Finish(whole=True))).release()
    assert resume(folder) == "run goes on."
    assert until(lambda: len(steps(folder)) >= 6)
    supervisor, worker = (read_lock(folder)[key] for key in ("pid", "worker"))
    os.kill(worker, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    assert until(lambda: not is_held(folder))
    began = time.monotonic()
    said = stop(folder)
    assert time.monotonic() - began < 3
    assert said.startswith(f"run was asked to stop, which it cannot: process {worker}, which carries it out, is stopped")
    (listed,) = live_runs(folder.parent)
    assert listed.stopped == worker and listed.state.endswith(f"; process {worker} is stopped")
    with pytest.raises(BadInput, match=f"cannot go on: process {worker}, which carries it out, is stopped"):
        resume(folder)
    os.kill(worker, signal.SIGKILL)
    assert until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)
    assert stop(folder) == "run is over: stopped."


def test_a_run_that_has_lost_its_last_command_fails_in_a_worker(asked, folder):
    """Its first process had begun it: whoever takes it up says what is gone, and does not wait for more."""
    commands = (*ask.commands_of(asked), ask.Finish(whole=True))
    begin(asked, folder, commands).release()
    with closing(Writer(folder / "events.jsonl")) as record:
        record.append(RunStarted(asked.model_dump(mode="json"), "1", len(commands)))
    path = folder / "commands.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    resume(folder)
    count, gone = len(commands), "of commands.jsonl is gone, of"
    why = f"The run cannot go on: line {count} {gone} {count} that the run began with; start a new run."
    assert ended(folder).failure == RunFailed(why)


@pytest.mark.parametrize(
    ("name", "spoil", "why"),
    [
        ("commands.jsonl", lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "The run cannot go on: line 5 of {}"),
        ("commands.jsonl", lambda lines: [*lines[:6], lines[7], *lines[7:]], "The run cannot go on: line 7 of {}"),
        ("events.jsonl", lambda lines: lines[:1] + lines[2:], "The run cannot go on where it was: line 2 of {}"),
    ],
    ids=["pruning and measuring exchanged", "a second training", "an event gone"],
)
def test_a_run_whose_lines_are_not_where_they_were_written_fails_in_a_worker(name, spoil, why, asked, folder):
    """In one sentence, before anything is done with a model that was meant to be another."""
    commands = (*ask.commands_of(asked), ask.Finish(whole=True))
    begin(asked, folder, commands).release()
    with closing(Writer(folder / "events.jsonl")) as record:
        for event in (
            RunStarted(asked.model_dump(mode="json"), "1", len(commands)),
            CommandFinished(0, "Load"),
            WorkerStarted(1, 1),
        ):
            record.append(event)
    path = folder / name
    path.write_bytes(b"".join(spoil(path.read_bytes().splitlines(keepends=True))))
    resume(folder)
    assert ended(folder).failure.reason.startswith(f"{why.format(name)} is gone, or not in its place")
    assert not (folder / "checkpoints").exists() and steps(folder) == []


def test_a_run_that_has_finished_is_not_failed_by_a_last_line_and_a_recipe_that_are_damaged(asked, folder):
    """Whoever takes it up ends it once more, as it had ended, and says what stood in for what."""
    commands = (*ask.commands_of(asked), ask.Finish(whole=True))
    begin(asked, folder, commands).release()
    told = (
        RunStarted(asked.model_dump(mode="json"), "1", len(commands)),
        CommandFinished(len(commands) - 2, "Save"),
        RunFinished(),
    )
    with closing(Writer(folder / "events.jsonl")) as record:
        for event in told:
            record.append(event)
    path = folder / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b"RunFinished", b"RunFinishee"))
    (folder / "recipe.json").write_text("{")
    resume(folder)
    said = in_words(ended(folder))
    assert said.startswith("finished") and "line 3 of events.jsonl is not as it was written" in said
    assert "instead of the recipe of recipe.json: that of the record, because recipe.json is not JSON" in said
    assert read_recipe(folder) == asked


def test_what_fails_a_run_fails_it_in_a_worker_too(asked, folder, tmp_path, monkeypatch):
    """Whose process had died before it did any of it: all is asked, the recovery is refused, and nothing is cut from what was
    meant for another model."""
    monkeypatch.setenv("ESPALIER_FAULTS", "loss@3x20")
    *_, last = run(asked, tmp_path / "whole")
    assert isinstance(last, RunFailed)
    begin(asked, folder, (*ask.commands_of(asked), ask.Finish(whole=True))).release()
    resume(folder)
    state = ended(folder)
    assert (state.status, state.failure) == ("failed", last) and state.failure.reason in in_words(state)
    assert summary(state)["refused"] == [{"command": "Tune", "why": last.reason}]
    assert "cut" not in state.standing.perplexity and not (folder / "model").exists()
    assert state.standing.perplexity == open_run(tmp_path / "whole").standing.perplexity
    assert not (folder / "checkpoints" / "bookmarks").exists() and os.listdir(folder / "checkpoints")


def test_a_run_of_the_command_line_whose_accelerator_fails_goes_on_on_the_cpu(asked, folder, tmp_path, monkeypatch, capsys):
    """In a worker, from the last bookmark, before the same command ends: numbers and weights are those of a run left alone."""
    for _ in run(asked, tmp_path / "whole"):
        pass
    whole = open_run(tmp_path / "whole")
    (tmp_path / "recipe.json").write_text(asked.model_dump_json())
    monkeypatch.setenv("ESPALIER_FAULTS", "device@8")
    assert main(["run", str(tmp_path / "recipe.json"), "--folder", str(folder)]) == 0
    said, state = capsys.readouterr(), open_run(folder)
    assert said.out == f"{folder}\n" and not is_held(folder)
    assert f"instead of cpu: {SHELTER}, because the accelerator failed (CUDA error: device-side assert triggered)" in said.err
    resumed = [event.fact for event in read_events(folder) if isinstance(event.fact, TrainingResumed)]
    assert [(each.arm, each.step) for each in resumed] == [("tuned", 5)] and len(state.restarts) == 1
    assert (state.status, state.standing.perplexity) == (whole.status, whole.standing.perplexity)
    saved = [(where / "model" / "model.safetensors").read_bytes() for where in (folder, tmp_path / "whole")]
    assert saved[0] == saved[1]


def test_a_run_whose_model_is_away_waits_for_it_in_a_worker_and_can_be_stopped_meanwhile(asked, folder, tmp_path):
    """It has failed before, and its bookmarks were gone with that; put back, it goes on from the last one."""
    model = Path(shutil.copytree(asked.model, tmp_path / "model"))
    asked = asked.model_copy(update={"model": str(model)})
    for _ in run(asked, tmp_path / "whole"):
        pass
    for place in (folder, tmp_path / "stopped"):
        for event in run(asked, place):
            if isinstance(event, StepTrained) and event.step == 8:
                break
    model.rename(tmp_path / "away")
    for place in (folder, tmp_path / "stopped"):
        assert resume(place) == f"{place.name} goes on."
    waits = "instead of going on where it was: a wait for the model, because There is no folder"
    assert until(lambda: all(waits in in_words(open_run(place)) for place in (folder, tmp_path / "stopped")))
    assert stop(tmp_path / "stopped") == "stopped is over: stopped."
    assert not open_run(folder).is_over
    (tmp_path / "away").rename(model)
    state, whole = ended(folder), open_run(tmp_path / "whole")
    assert (state.status, state.standing.perplexity) == (whole.status, whole.standing.perplexity)
    assert steps(folder)[:8] == list(range(1, 9))
