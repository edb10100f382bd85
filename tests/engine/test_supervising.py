"""Tests of engine/supervising.py: what a worker died of, as far as that is known from outside, and what the next one does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.record import commands as ask
from engine.record.client import open_run
from engine.record.events import ModelLoaded
from engine.record.folder import Writer, create, post, read_events
from engine.record.lifecycle import Degraded, RunFinished, RunStarted, WorkerRestarted
from engine.record.lock import read_lock, watch
from engine.record.state import RunState
from engine.recovery.bookmarks import VARIABLE
from engine.recovery.memory_savings import KILLED
from engine.supervising import KILLS, RESTARTS, SHELTER, crashed_on, end, from_outside, ran_short, supervise

LOADED = ModelLoaded("m", "gpt2", 1, 8, 8, (1,), (1,), (1,), (1,), "cuda", "float32")
ON_CUDA, ON_CPU = (RunState(model=replace(LOADED, device=device)) for device in ("cuda", "cpu"))
KILL, PATIENCE = -signal.SIGKILL, 240
GROUPS = Path("/sys/fs/cgroup")
MB = 2**20


def test_a_worker_that_its_driver_has_ended_counts_as_one_whose_accelerator_failed():
    """Where it computed on one; any other end is told as before."""
    told = crashed_on(-signal.SIGABRT, ON_CUDA)
    assert told == Degraded("cuda", SHELTER, "the worker ended with status -6, as it does when an accelerator fails")
    others = [(-signal.SIGABRT, ON_CPU), (KILL, ON_CUDA), (1, ON_CUDA), (-signal.SIGABRT, RunState())]
    assert [crashed_on(*other) for other in others] == [None] * 4


@pytest.mark.parametrize(
    ("status", "state", "sheltered", "before", "after", "short"),
    [
        (KILL, ON_CPU, False, 3, 4, True),
        (KILL, RunState(), False, 3, 4, True),
        (KILL, ON_CPU, False, 3, 3, False),  # somebody's own kill -9
        (KILL, ON_CPU, False, None, None, None),  # the system does not count
        (KILL, ON_CUDA, False, 3, 4, False),  # smaller pieces are of its own memory
        (KILL, ON_CUDA, True, 3, 4, True),
        (-signal.SIGSEGV, ON_CPU, False, 3, 4, False),
        (1, ON_CPU, False, None, None, False),
    ],
)
def test_a_worker_was_killed_for_memory_where_the_system_says_that_it_has_killed(status, state, sheltered, before, after, short):
    """A status of -9 alone says nothing."""
    assert ran_short(status, state, sheltered, before, after) is short


@pytest.mark.parametrize(
    ("status", "before", "after", "outside"),
    [(KILL, 3, 3, True), (KILL, 3, 4, False), (KILL, None, None, False), (-signal.SIGSEGV, 3, 3, False), (9, 3, 3, False)],
)
def test_somebody_has_killed_a_worker_that_no_lack_of_memory_has(status, before, after, outside):
    """A process may crash of what it does; by `kill -9` it dies of others alone."""
    assert from_outside(status, before, after) is outside


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has every worker end at once with the status that is given, in place of Python; with -9 by that signal."""

    def die(status: int) -> None:
        script = tmp_path / "python"
        script.write_text("#!/bin/sh\n" + (f"kill -{-status} $$\n" if status < 0 else f"exit {status}\n"))
        script.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(script))

    return die


def events_of(folder: Path, *facts: object) -> list[object]:
    """What a run's record says, once these are written at its end."""
    with closing(Writer(folder / "events.jsonl")) as writer:
        for fact in facts:
            writer.append(fact)
    return [stamped.fact for stamped in read_events(folder)]


def test_a_worker_that_dies_after_the_end_of_its_run_leaves_the_end_as_it_is(dying, recipe, tmp_path):
    """It had written it, and was on its way out: nothing is told after it, and nobody takes its place."""
    folder = create(recipe, tmp_path / "run")
    before = events_of(folder, RunStarted(recipe.model_dump(mode="json"), "1"), RunFinished())
    dying(9)
    assert supervise(folder) == 0 and events_of(folder) == before
    assert open_run(folder).status == "finished" and read_lock(folder) is None


def test_an_error_that_nobody_knows_is_told_with_the_death_that_it_was(dying, recipe, tmp_path):
    """By the last line of the log, in each of the deaths, after the last of which the run is given up."""
    folder = create(recipe, tmp_path / "run")
    (folder / "worker.log").write_text("Traceback (most recent call last):\n  …\nValueError: an odd file\n\n")
    events_of(folder, RunStarted(recipe.model_dump(mode="json"), "1"))
    dying(1)
    assert supervise(folder) == 1
    why = "the worker ended with status 1 (ValueError: an odd file)"
    assert {fact.why for fact in events_of(folder) if isinstance(fact, WorkerRestarted)} == {why}
    assert open_run(folder).failure.reason == f"{why}, {RESTARTS} times in a row"


def test_a_run_whose_workers_somebody_kills_one_after_another_is_left_to_be_resumed(dying, counter, recipe, tmp_path):
    """Not failed, since it has done nothing wrong: it says so, nobody holds it any more, and another supervisor goes on."""
    folder = create(recipe, tmp_path / "run")
    events_of(folder, RunStarted(recipe.model_dump(mode="json"), "1"))
    dying(KILL)
    why = "the worker ended with status -9"
    for _ in range(2):
        assert supervise(folder, tmp_path) == 1
        state = open_run(folder)
        assert not state.is_over and read_lock(folder) is None
    assert state.degraded == (Degraded("another worker", "none, until the run is resumed", f"{why}, {KILLS} times in a row"),)
    assert len(state.restarts) == 2 * (KILLS - 1) and all(each.outside and each.why == why for each in state.restarts)


def wait(folder: Path, holds: Callable[[RunState], bool]) -> RunState:
    """The state of a run once `holds` says so; it is looked at meanwhile, so that its worker stays."""
    end = time.monotonic() + PATIENCE
    while not holds(state := open_run(folder)):
        watch(folder, "test")
        assert time.monotonic() < end, f"still {state.status}, doing {state.doing!r}, {state.restarts} {state.degraded}"
        time.sleep(0.05)
    return state


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    """The file in which a system tells what it has killed, under a root of its own."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/garden\n", encoding="utf-8")
    (tmp_path / "sys/fs/cgroup/garden").mkdir(parents=True)
    file = tmp_path / "sys/fs/cgroup/garden/memory.events"
    file.write_text("low 0\noom 0\noom_kill 0\n", encoding="utf-8")
    return file


@pytest.mark.slow
def test_a_training_goes_on_with_less_where_the_system_killed_its_worker_and_as_it_was_where_somebody_did(
    counter, recipe, tmp_path, monkeypatch
):
    """Its user kills it first, then the system: half as many sequences at once, told once, and the run comes to its own end."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(VARIABLE, "1")
    folder = create(recipe, tmp_path / "run")
    tuning = recipe.tuning.model_copy(update={"steps": 100_000, "control": False})
    for command in (ask.commands_of(recipe)[0], ask.prune_of(recipe), ask.Tune(tuning, recipe.evaluation, recipe.prompt)):
        post(folder, command)
    watching = threading.Thread(target=supervise, args=[folder, tmp_path], daemon=True)
    watching.start()
    wait(folder, lambda state: state.step is not None)
    os.kill(read_lock(folder)["worker"], signal.SIGKILL)
    wait(folder, lambda state: state.restarts and state.resumed is not None)
    counter.write_text("low 0\noom 1\noom_kill 1\n", encoding="utf-8")
    os.kill(read_lock(folder)["worker"], signal.SIGKILL)
    wait(folder, lambda state: state.degraded)
    post(folder, ask.Stop())
    post(folder, ask.Finish())
    watching.join(PATIENCE)
    state, why = open_run(folder), "the worker ended with status -9 while doing Tune"
    assert state.status == "finished" and "tuned" in state.standing.perplexity
    assert [each.why for each in state.restarts] == [why, f"{why}, killed by the system because memory ran out"]
    (told,) = state.degraded
    assert told.asked.startswith("4 sequences at once in step ") and told.did.startswith("2 at once") and told.why == KILLED


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of its own, in which memory can be held down; whoever is left in it ends with the test."""
    parent = GROUPS / "memory" if (GROUPS / "memory").is_dir() else GROUPS
    name = parent / f"espalier-test-{os.getpid()}"
    try:
        name.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror}")
    try:
        if not any((name / file).exists() for file in ("memory.max", "memory.limit_in_bytes")):
            pytest.skip("control groups hold no memory down here")
        if psutil.swap_memory().total:
            pytest.skip("what does not fit goes to swap here, and nobody is killed")
        yield name
    finally:
        end = time.monotonic() + 30
        while (left := (name / "cgroup.procs").read_text().split()) and time.monotonic() < end:
            for pid in left:
                os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.2)
        name.rmdir()


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ("import time; print(flush=True); time.sleep(60)", -signal.SIGTERM),
        ("import signal, time; signal.signal(15, lambda *_: None); print(flush=True)\nwhile True: time.sleep(60)", KILL),
        ("import os, signal; print(flush=True); os.kill(os.getpid(), signal.SIGSTOP)", KILL),
    ],
    ids=["hears", "does not hear", "is stopped"],
)
def test_a_worker_that_is_to_end_does(does, status):
    """By itself where it can, and else by force after a while."""
    with subprocess.Popen([sys.executable, "-c", does], stdout=subprocess.PIPE) as worker:
        worker.stdout.readline()
        if "SIGSTOP" in does:
            os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
        end(worker, patience=2.0)
    assert worker.returncode == status


@pytest.mark.slow
def test_a_training_that_the_system_kills_for_memory_comes_to_its_end(group, recipe, tmp_path):
    """For real: what it asks for at once does not fit into its control group, and a smaller piece does."""
    new = (group / "memory.max").exists()
    limit, used = ("memory.max", "memory.current") if new else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    folder = create(recipe, tmp_path / "run")
    for command in (ask.commands_of(recipe)[0], ask.prune_of(recipe)):
        post(folder, command)
    code = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.executable, sys.argv[2:])"
    with open(tmp_path / "log", "wb") as log:
        arguments = [sys.executable, "-c", code, str(group / "cgroup.procs"), sys.executable, "-m", "engine.worker", str(folder)]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
    wait(folder, lambda state: state.checkpoint is not None and state.status == "idle")
    (group / limit).write_text(str(int((group / used).read_text()) + 400 * MB))
    tuning = recipe.tuning.model_copy(update={"steps": 1, "control": False, "batch_size": 1024, "sequence_length": 64})
    post(folder, ask.Tune(tuning, recipe.evaluation, recipe.prompt))
    post(folder, ask.Finish())
    assert process.wait(PATIENCE) == 0
    state = open_run(folder)
    assert state.status == "finished" and "tuned" in state.standing.perplexity and state.step.step == 1
    assert state.restarts and all(each.short for each in state.restarts)
    assert [each.why for each in state.degraded] == [KILLED] * len(state.restarts)
    assert state.degraded[0].asked == "1024 sequences at once in step 1 of the recovery"
