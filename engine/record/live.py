"""The runs that are not over: a list of them for whoever asks, and what stops one or has it go on; imports no torch.

A run of the page is served by a worker of its own, one of the command line by the process that was started; both hold the
run's lock while they live, and a run that nobody holds is asleep.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.record import folder as files
from engine.record.client import Client, is_held, is_waiting, open_run
from engine.record.commands import Resume, Stop
from engine.record.errors import BadInput
from engine.record.lock import read_lock
from engine.record.state import RunState

PATIENCE = 10.0  # seconds that `stop` waits for an answer, which comes between two steps


@dataclass(frozen=True)
class LiveRun:
    """One run: its `state` in words and its `status` as `RunState` has it ("unreadable" for neither), when it began (UTC, None:
    it has not), whether a process is there that carries it out and which, and its folder."""

    name: str
    state: str
    status: str
    model: str | None
    since: str | None
    awake: bool
    worker: int | None
    folder: str


def live_runs(where: Path | None = None, over: bool = False) -> list[LiveRun]:
    """The runs under `where` (default: `home()`) that are not over, newest first; with `over` those that are as well."""
    found = []
    for folder in files.list_runs(where):
        if over or not files.is_over(folder):
            found.append(_listed(folder))
    return found


def find(name: str) -> Path:
    """The folder of a run by its name, or by its path where it lies elsewhere; raises `BadInput` where there is none."""
    return Path(name) if name and (Path(name) / "recipe.json").is_file() else files.find_run(name)


def stop(folder: Path, nap: Callable[[float], None] = time.sleep) -> str:
    """Give up what a run is doing and all that waits in it; returns a sentence on what came of it. Raises `BadInput` for a run
    that is over or has nothing to do."""
    state = _open(folder)
    if not _busy(folder, state):
        raise BadInput(f"run {folder.name!r} is doing nothing; there is nothing to stop.")
    files.post(folder, Stop())
    if not is_held(folder):
        return f"{folder.name} is asleep and will not go on with what it was doing."
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and is_held(folder):
        state = open_run(folder)
        if state.status in ("finished", "stopped", "failed"):
            return f"{folder.name} is over: {state.status}."
        if state.status == "idle" and not is_waiting(folder):
            return f"{folder.name} has stopped what it was doing."
        nap(0.1)
    return f"{folder.name} was asked to stop, which it does after the step in hand."


def resume(folder: Path) -> str:
    """Have a run go on that is paused, or that was left before it was done; returns a sentence on what came of it. Raises
    `BadInput` for a run that is over or has nothing to go on with."""
    state = _open(folder)
    if not _busy(folder, state):
        raise BadInput(f"run {folder.name!r} has nothing to go on with; open it on the page to ask for more.")
    client = Client(folder)
    if state.status == "paused":
        client.post(Resume())
    elif is_held(folder):
        return f"{folder.name} goes on already."
    else:
        client.wake()
    client.let_go()
    return f"{folder.name} goes on."


def _open(folder: Path) -> RunState:
    state = open_run(folder)
    if state.is_over:
        raise BadInput(f"run {folder.name!r} is over: it has {state.status}; start a new one to go on.")
    return state


def _busy(folder: Path, state: RunState) -> bool:
    return state.status in ("busy", "paused") or is_waiting(folder)


def _listed(folder: Path) -> LiveRun:
    awake = is_held(folder)
    worker = read_lock(folder)["worker"] if awake else None
    try:
        state = open_run(folder)
        waiting = is_waiting(folder)
    except BadInput as error:
        return LiveRun(folder.name, str(error), "unreadable", None, None, awake, worker, str(folder))
    since = None if state.started is None else f"{datetime.fromtimestamp(state.started, UTC):%Y-%m-%dT%H:%M:%SZ}"
    model = state.recipe.get("model")
    return LiveRun(folder.name, _in_words(state, awake, waiting), state.status, model, since, awake, worker, str(folder))


def _in_words(state: RunState, awake: bool, waiting: bool) -> str:
    doing = state.doing
    if doing == "Tune" and state.step is not None:
        doing += f", step {state.step.step} of {state.step.steps}"
    match state.status:
        case "failed":
            return f"failed: {state.failure.reason}" if state.failure else "failed"
        case "finished" | "stopped":
            return state.status
        case "busy" if awake:
            return f"doing {doing}"
        case "paused" if awake:
            return f"paused in {doing}"
        case "busy" | "paused":
            return f"interrupted in {doing}"
    if waiting:
        return "about to begin" if awake else "left before it was done"
    return "nothing to do"
