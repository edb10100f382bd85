"""Start a run or attach to one: post commands, tail events, wake a worker; imports no torch and draws nothing."""

import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from engine.record import folder as files
from engine.record.claim import is_held
from engine.record.commands import HOLDS, Command
from engine.record.detached import start_apart
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.folder import Tail
from engine.record.line import Stamped
from engine.record.lock import stopped_process, watch
from engine.record.recipe import Recipe
from engine.record.state import RunState, fold
from engine.record.whole_runs import ANSWERS, is_whole


def open_run(folder: Path | str) -> RunState:
    """Replay what happened in a run folder; raises `BadInput` for a folder that holds no run.

    Nothing else is needed for it: a run can be shown where its model, its text or its recipe's words are no longer known.
    """
    state = fold(RunState(recipe=files.plain_recipe(Path(folder))), files.read_events(Path(folder)))
    damaged = files.damaged_recipe(Path(folder))
    return state if damaged is None else replace(state, otherwise=state.otherwise.and_also(damaged, False))


def is_waiting(folder: Path) -> bool:
    """Whether something was asked of a run that has not been answered; one that is one recipe waits for its end, also where the
    line that asks for it is lost."""
    if is_whole(folder) and not files.is_over(folder):
        return True
    asked = [stamped.seq for stamped in files.read_commands(folder) if not isinstance(stamped.fact, HOLDS)]
    seen = [stamped.fact.command for stamped in files.read_events(folder) if isinstance(stamped.fact, ANSWERS)]
    return bool(asked) and asked[-1] > max(seen, default=-1)


class Client:
    """One viewer of one run: posts commands, reads events, keeps the worker awake while it looks."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.recipe = files.read_recipe(self.folder)
        self.viewer = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._tail = Tail(self.folder / "events.jsonl")
        self._supervisor: subprocess.Popen | None = None  # the one that this viewer started, if any

    @property
    def name(self) -> str:
        """The run's name, as `?run=` in the page's address takes it."""
        return self.folder.name

    def poll(self) -> list[Stamped]:
        """The events that have come since the last call."""
        return self._tail.read()

    def post(self, command: Command) -> None:
        """Ask for something, and wake a worker where none is awake. Raises `BadInput` for a run that is over."""
        if self.is_over():
            raise BadInput(f"run {self.name!r} is over; start a new one to go on.")
        files.post(self.folder, command)
        self.wake()

    def is_over(self) -> bool:
        """Whether the run has had its last event."""
        return files.is_over(self.folder)

    def is_awake(self) -> bool:
        """Whether a supervisor with its worker holds this run, or one that this viewer started is about to."""
        if self._supervisor is not None and self._supervisor.poll() is None:
            return True
        self._supervisor = None  # reaped, so that no zombie is left behind by a page that lives for days
        return is_held(self.folder)

    def stopped(self) -> int | None:
        """The process among those that carry this run out that was stopped (SIGSTOP); None where none was."""
        return stopped_process(self.folder)

    def wake(self) -> None:
        """Start a supervisor for this run, as a process of its own that outlives the page, unless one holds it.

        Raises `Unwritten` for a run on a disk that takes no more.
        """
        watch(self.folder, self.viewer)
        if self.is_awake():
            return
        log = self.folder / "worker.log"
        self._supervisor = start_apart(["-m", "engine.worker", str(self.folder)], log, "The worker's log")

    def begins(self, nap: Callable[[float], None] = time.sleep, patience: float = 5.0) -> bool:
        """Wait until the run is held, or over; False where the supervisor that this viewer started has ended before that. True
        where nobody can tell within so many seconds."""
        end = time.monotonic() + patience
        while time.monotonic() < end and not is_held(self.folder) and self.is_awake():
            nap(0.05)
        return self.is_awake() or self.is_over()

    def follow(self, nap: Callable[[float], None] = time.sleep) -> Iterator[Event]:
        """Have a worker go on with the run, and yield what happens from now on, until it is over or its supervisor has ended.
        Whoever leaves before that ends the supervisor with its worker; the run can be resumed."""
        self.poll()
        self.wake()
        try:
            awake = True
            while awake:
                awake = self.is_awake()  # before the look at what came: nothing comes after that
                yield from (stamped.fact for stamped in self.poll())
                nap(0.1)
        finally:
            if self._supervisor is not None:
                self._supervisor.terminate()
                self.join()

    def let_go(self) -> None:
        """Leave the supervisor that this viewer started to itself, whoever drops the viewer; a thread waits for its end."""
        if self._supervisor is not None:
            threading.Thread(target=self._supervisor.wait, name="supervisor", daemon=True).start()

    def join(self) -> None:
        """Wait for the end of the supervisor that this viewer started; nothing where it started none."""
        if self._supervisor is not None:
            self._supervisor.wait()

    def watch(self) -> None:
        """Leave word that somebody looks; call it every few seconds while a page shows the run.

        Wakes a worker where something waits that was asked just as the last one, idle for long, was going away.
        """
        watch(self.folder, self.viewer)
        if not self.is_awake() and not self.is_over() and is_waiting(self.folder):
            self.wake()

    def leave(self) -> None:
        """Say that this viewer looks no more, so that an idle worker need not wait for it."""
        (self.folder / "viewers" / self.viewer).unlink(missing_ok=True)


def start(recipe: Recipe, folder: Path | None = None) -> Client:
    """Make a run folder for a recipe and attach to it. No worker runs until something is posted or `wake` is called."""
    return Client(files.create(recipe, folder))


def attach(name: str) -> Client:
    """Attach to a run by its name; raises `BadInput` where there is none of that name."""
    return Client(files.find_run(name))


def last_run() -> Path | None:
    """The newest run in which something was changed, for the card that offers it; None where there is none."""
    for run in files.list_runs():
        if any((run / "checkpoints").glob("step-*")):
            return run
    return None
