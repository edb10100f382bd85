"""Drives a workbench through what is asked of a run, one command after another, answering pause, step and stop in between.

Whatever the workbench yields is passed on as it is. `serve` goes on for as long as somebody asks; `run` carries out one
recipe from start to end. Knows nothing of processes and of what the commands do.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from engine.failures import Shortage, first_fatal, is_fatal, telling_shortage
from engine.record import commands as ask
from engine.record.catalogue import version
from engine.record.disk import Unwritten, telling_full
from engine.record.errors import BadInput
from engine.record.events import ENDS, Event
from engine.record.folder import Tail, Writer, create, post
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
)
from engine.record.line import Stamped, Unreadable
from engine.record.lock import beat, release_lock, take_lock
from engine.record.marks import release
from engine.record.recipe import Recipe
from engine.recovery.ranks import left_alone, ranks
from engine.watching import watched
from engine.workbench import Workbench

NAP = 0.02  # seconds between two looks at an empty inbox: a held run answers within this
# Events that are no step of their own when a held run is asked for one.
PASSING = ("Progressed", "Validated", "MemoryEstimated", "Degraded")


class Inbox:
    """What has been asked and not begun: holds (pause, resume, step, stop) apart from the commands that wait their turn."""

    def __init__(self, commands: Iterable[ask.Command] = (), folder: Path | None = None, done: int = 0):
        self._tail = Tail(folder / "commands.jsonl") if folder else None
        self._done = done  # an earlier process has seen to the lines before this one
        self.waiting: deque[Stamped] = deque(Stamped(line, 0.0, command) for line, command in enumerate(commands))
        self.holds: deque[Stamped] = deque()
        self.dropped: deque[Stamped] = deque()

    def look(self) -> None:
        """Take in what has been posted since the last look. A Stop drops all that waited when it was posted."""
        for stamped in self._tail.read() if self._tail else ():
            if stamped.seq < self._done:
                continue
            if isinstance(stamped.fact, ask.Stop):
                self.dropped.extend(self.waiting)
                self.waiting.clear()
            (self.holds if isinstance(stamped.fact, ask.HOLDS) else self.waiting).append(stamped)

    def next(self) -> Stamped | None:
        """The next command to begin; of previews in a row only the last, since nobody waits for the others any more."""
        self.look()
        while len(self.waiting) > 1 and all(isinstance(self.waiting[place].fact, ask.Preview) for place in (0, 1)):
            self.waiting.popleft()
        return self.waiting.popleft() if self.waiting else None

    def hold(self, line: int) -> ask.Command | None:
        """The next hold that was posted after the command of `line`; older ones were meant for something else."""
        while self.holds:
            stamped = self.holds.popleft()
            if stamped.seq > line:
                return stamped.fact
        return None


def carry_out(bench: Workbench, line: int, command: ask.Command, inbox: Inbox, nap: Callable[[float], None]) -> Iterator[Event]:
    """One command from start to end; holds are answered between any two of its events.

    A preview gives way to whatever is asked after it.
    """
    name = type(command).__name__
    yield CommandStarted(line, name)
    events, held, steps = bench.handle(command), False, 0
    try:
        while True:
            inbox.look()
            match inbox.hold(line):
                case ask.Stop():
                    events.close()
                    yield from bench.after_end(command, "stopped")
                    yield CommandStopped(line, name)
                    return
                case ask.Pause() if not held:
                    held, steps = True, 0
                    yield RunPaused()
                case ask.Resume() if held:
                    held = False
                    yield RunResumed()
                case ask.Step() if held:
                    steps += 1
                case _ if isinstance(command, ask.Preview) and inbox.waiting:
                    yield CommandStopped(line, name)
                    return
            if held and not steps:
                nap(NAP)
                continue
            with telling_shortage(name), telling_full(f"What {name} makes"):
                event = next(events)
            yield event
            if held and type(event).__name__ not in PASSING:
                steps -= 1
    except StopIteration:
        yield CommandFinished(line, name)
    except BadInput as error:
        yield from bench.after_end(command, "out of memory" if isinstance(error, Shortage) else "diverged")
        yield CommandRefused(line, name, error.field, str(error))
    finally:
        events.close()


def serve(
    bench: Workbench,
    inbox: Inbox,
    stay: Callable[[], bool],
    *,
    strict: bool = False,
    nap: Callable[[float], None] = time.sleep,
) -> Iterator[Event]:
    """Carry out what is asked until `Finish` comes, or until nothing waits and `stay()` says that nobody needs this any more.

    `strict` is for a run that is one recipe: there a refused command fails the run and a stopped one ends it.
    """
    while True:
        stamped = inbox.next()
        while inbox.dropped:
            gone = inbox.dropped.popleft()
            yield CommandStopped(gone.seq, type(gone.fact).__name__)
            if strict:
                yield RunStopped()
                return
        if stamped is None:
            if not stay():
                return
            nap(NAP)
            continue
        if isinstance(stamped.fact, Unreadable):
            yield CommandRefused(stamped.seq, stamped.fact.name, stamped.fact.field, stamped.fact.reason)
            continue
        if isinstance(stamped.fact, ask.Finish):
            yield RunFinished()
            return
        for event in carry_out(bench, stamped.seq, stamped.fact, inbox, nap):
            yield event
            if strict and isinstance(event, CommandRefused):
                yield RunFailed(event.reason, event.field)
                return
            if strict and isinstance(event, CommandStopped) and not isinstance(stamped.fact, ask.Preview):
                yield RunStopped()
                return


def run(recipe: Recipe, folder: Path | str | None = None) -> Iterator[Event]:
    """Carry out a recipe in this process, yielding each event as it happens.

    In a folder, when one is given, everything is written down as well, the smaller model too, and any page can follow, pause,
    step and stop the run.
    The last event is `RunFinished`, `RunStopped` or `RunFailed`; a recipe that turns out impossible (no such file, no causal
    language model) ends with the latter. Raises `BadInput` at once for a folder that holds a run already, and `Unwritten` where
    the disk takes no more of what happens: the run can be resumed then from its last checkpoint.
    """
    if ranks().number:  # of several processes the first writes everything down; the others are needed for training alone
        recipe, folder = recipe.model_copy(update={"cut": False}), None
    commands = (*ask.commands_of(recipe), ask.Finish())
    if folder is None:
        nowhere_to_save = tuple(command for command in commands if not isinstance(command, ask.Save))
        return _run(recipe, Workbench(None, recipe), Inbox(nowhere_to_save))
    folder = create(recipe, Path(folder))
    take_lock(folder)  # before anything waits in it, or a page that looks would wake a worker for it
    beat(folder, worker=os.getpid())
    for command in commands:
        post(folder, command)
    return written(folder, watched(_run(recipe, Workbench(folder, recipe), Inbox(folder=folder)), torch))


def _run(recipe: Recipe, bench: Workbench, inbox: Inbox) -> Iterator[Event]:
    try:
        yield RunStarted(recipe.model_dump(mode="json"), version())
        if (told := left_alone()) is not None:
            yield told
        yield from serve(bench, inbox, lambda: False, strict=True)
    except Exception as error:
        # Whatever it was, the record of the run ends with it; the error itself goes on to whoever called.
        dead = f"The accelerator failed ({first_fatal(error)}); run it again, or with device=cpu." if is_fatal(error) else ""
        yield RunFailed(dead or f"{type(error).__name__}: {error}")
        raise
    finally:
        bench.close()


def written(folder: Path, events: Iterator[Event], passing: tuple[type, ...] = ()) -> Iterator[Event]:
    """The same events, each written into the folder as it comes, but for the classes in `passing`; at the end the folder's lock,
    which the caller holds, is given back. Raises `Unwritten` where the disk takes no more."""
    writer, last, full = Writer(folder / "events.jsonl"), None, False
    try:
        for last in events:
            try:
                with telling_full("What happens in the run"):
                    if not isinstance(last, passing):
                        writer.append(last)
            except Unwritten:
                full = True
                raise
            yield last
    finally:
        events.close()
        if not isinstance(last, ENDS) and not full:  # whoever asked for the events asks no more, by Ctrl-C or by leaving the loop
            writer.append(RunStopped())
        if not full:
            release(folder)
        writer.close()
        release_lock(folder)
