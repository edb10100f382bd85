"""The runs and sweeps that are not over: lists of them for whoever asks, what stops a run or has it go on, and what deletes one;
imports no torch. `engine.record.run_list` has what is told of each run.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.record import folder as files
from engine.record.claim import is_held, take_lock
from engine.record.client import Client, is_waiting, open_run
from engine.record.commands import Resume, Stop
from engine.record.errors import BadInput, counted
from engine.record.lock import is_watched, read_lock, stopped_process
from engine.record.recipe import Recipe
from engine.record.run_list import LiveRun, listed
from engine.record.state import RunState
from engine.record.sweep_folder import list_sweeps, open_sweep
from engine.record.whole_runs import is_whole, stop_asleep

PATIENCE = 10.0  # seconds that `stop` waits for an answer, which comes between two steps


def live_runs(where: Path | None = None, over: bool = False) -> list[LiveRun]:
    """The runs under `where` (default: `home()`) that are not over, newest first; with `over` those that are as well."""
    found = []
    for folder in files.list_runs(where):
        if over or not files.is_over(folder):
            found.append(listed(folder))
    return found


def live_sweeps(where: Path | None = None, over: bool = False) -> list[LiveRun]:
    """The same for sweeps, those of an experiment named with its folder; their state tells how many of their cells are done."""
    where, found = files.home() if where is None else where, []
    for folder in list_sweeps(where):
        if over or not files.is_over(folder):
            found.append(replace(_sweep(folder), name=str(folder.relative_to(where))))
    return found


def _sweep(folder: Path) -> LiveRun:
    awake = is_held(folder)
    worker = (read_lock(folder) or {}).get("worker") if awake else None
    try:
        state, events = open_sweep(folder), files.read_events(folder)
    except BadInput as error:
        return LiveRun(folder.name, str(error), "unreadable", None, None, awake, worker, str(folder))
    cells = len(state.sweep.cells)
    pid = stopped_process(folder) if state.status == "busy" else None
    halted = "" if pid is None else f"; process {pid} is stopped"
    told = f"sweep, {state.status}: {cells - len(state.waiting):,} of {counted(cells, 'cell')} done{halted}"
    since = f"{datetime.fromtimestamp(events[0].at, UTC):%Y-%m-%dT%H:%M:%SZ}" if events else None
    model = state.sweep.recipe.get("model", Recipe.model_fields["model"].default)
    return LiveRun(folder.name, told, state.status, model, since, awake, worker, str(folder), stopped=pid)


def find(name: str) -> Path:
    """The folder of a run by its name, or by its path where it lies elsewhere; raises `BadInput` where there is none."""
    return Path(name) if name and (Path(name) / "recipe.json").is_file() else files.find_run(name)


def stop(folder: Path, nap: Callable[[float], None] = time.sleep, patience: float = PATIENCE) -> str:
    """Give up what a run is doing and all that waits in it; returns a sentence on what came of it within `patience` seconds.
    That ends a run that is one recipe, also where nobody carries it out. Raises `BadInput` for a run that is over or has nothing
    to do."""
    state = _open(folder)
    if not _busy(folder, state):
        raise BadInput(f"run {folder.name!r} is doing nothing; there is nothing to stop.")
    files.post(folder, Stop())
    if (pid := stopped_process(folder, state.worker)) is not None:
        return f"{folder.name} was asked to stop, which it cannot: {_is_stopped(pid)}."
    if is_whole(folder) and stop_asleep(folder, state):
        return f"{folder.name} is over: stopped."
    if not is_held(folder):
        return f"{folder.name} is asleep and will not go on with what it was doing."
    end = time.monotonic() + patience
    while time.monotonic() < end and is_held(folder):
        state = open_run(folder)
        if state.status in ("finished", "stopped", "failed"):
            return f"{folder.name} is over: {state.status}."
        if state.status == "idle" and not is_waiting(folder):
            return f"{folder.name} has stopped what it was doing."
        nap(0.1)
    if is_whole(folder) and stop_asleep(folder, open_run(folder)):  # it had waited for its model's files
        return f"{folder.name} is over: stopped."
    return f"{folder.name} was asked to stop, which it does after the step in hand."


def resume(folder: Path, nap: Callable[[float], None] = time.sleep) -> str:
    """Have a run go on that is paused, or that was left before it was done; returns a sentence on what came of it. Raises
    `BadInput` for a run that is over or has nothing to go on with, for one whose process was stopped (SIGSTOP), and where the
    process that was to take it up has ended before it did."""
    state = _open(folder)
    if not _busy(folder, state):
        raise BadInput(f"run {folder.name!r} has nothing to go on with; open it on the page to ask for more.")
    if (pid := stopped_process(folder, state.worker)) is not None:
        raise BadInput(f"run {folder.name!r} cannot go on: {_is_stopped(pid)}.")
    client = Client(folder)
    if state.status == "paused":
        client.post(Resume())
    elif is_held(folder):
        return f"{folder.name} goes on already."
    else:
        client.wake()
        if not client.begins(nap):
            why = "its process ended at once; worker.log in its folder says why, but on a full disk"
            raise BadInput(f"run {folder.name!r} does not go on: {why}.")
    client.let_go()
    return f"{folder.name} goes on."


def discard(name: str) -> str:
    """Delete a run of `home()` and its folder, whatever lies in it; returns a sentence that says so. There is no way back.

    Raises `BadInput`, and deletes nothing, for a run that a process holds or a page looks at, or has until half a minute ago.
    """
    return delete(files.find_run(name), "run", "recipe.json")


def delete(folder: Path, what: str, mark: str) -> str:
    """The same for a folder of any kind, called `what`, whose file `mark` tells what it is."""
    name = folder.name
    try:
        if folder.is_symlink():
            raise BadInput(f"{what} {name!r} is a link to another place; delete it by hand.")
        if is_watched(folder):
            raise BadInput(
                f"{what} {name!r} is on a page, or was within the last half minute; close that page first, and wait as long."
            )
        if (claim := take_lock(folder)) is None:
            raise BadInput(f"{what} {name!r} is held by a process that carries it out; stop it first, and let that process end.")
    except OSError as error:
        raise BadInput(f"{what} {name!r} cannot be deleted: {error.strerror}.") from error
    try:
        (folder / mark).unlink()  # first: what is left if this process dies is none any more
        shutil.rmtree(folder)
    except OSError as error:
        whole = (folder / mark).exists()
        told = "cannot be deleted" if whole else f"is deleted but for what is left in {folder}"
        raise BadInput(f"{what} {name!r} {told}: {error.strerror}.") from error
    finally:
        claim.release()
    return f"{name} is deleted."


def _open(folder: Path) -> RunState:
    state = open_run(folder)
    if state.is_over:
        raise BadInput(f"run {folder.name!r} is over: it has {state.status}; start a new one to go on.")
    return state


def _is_stopped(pid: int) -> str:
    return f"process {pid}, which carries it out, is stopped; continue it (kill -CONT {pid}), or end it (kill -9 {pid})"


def _busy(folder: Path, state: RunState) -> bool:
    return state.status in ("busy", "paused") or is_waiting(folder)
