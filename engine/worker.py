"""The process behind a run: the worker that serves the run folder, and the way in for the supervisor that keeps it alive.

    python -m engine.worker RUN                supervisor (`engine.supervising`): takes the lock, starts the worker, replaces it
    python -m engine.worker RUN --serve PID    worker of that supervisor: carries out commands, writes events, samples memory;
                                               with --cpu on the CPU

A worker that dies (out of memory, a crash in native code) takes no page with it: the next one goes on from the last checkpoint
and does what is left of the interrupted command (`engine.resuming`). One whose accelerator fails says so and ends, since no
process gets that back, and the next one does the same on the CPU. A worker that has nothing to do and that nobody watches ends by
itself. No worker begins before the last one of its run has ended, whoever has started it.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engine.journal import Journal
from engine.record.bookmark_names import release
from engine.record.catalogue import CORPORA, version
from engine.record.claim import BEAT
from engine.record.disk import telling_full
from engine.record.errors import Away, BadInput
from engine.record.events import ENDS
from engine.record.exclusive import alone
from engine.record.folder import mend_recipe, read_events, read_recipe
from engine.record.lifecycle import (
    SHELTER,
    CommandStarted,
    Degraded,
    MemorySampled,
    RunFailed,
    RunStarted,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.line import Stamped
from engine.record.lock import Viewers, is_stopped_worker
from engine.record.memory import forget_peak, give_back
from engine.record.state import RunState, fold
from engine.record.whole_folder import clear
from engine.record.whole_runs import ANSWERS, asked_at_once, asks_stop, is_whole, known_end
from engine.resuming import take_up, threads_in_hand
from engine.supervising import DEVICE_FAILED, supervise
from engine.text.cache import path_of
from engine.watching import accelerator_in_use, in_use, suit

NAP, LONGEST = 0.5, 30.0  # seconds between two looks for what is away, twice as long after each
SELDOM = 5  # beats between memory samples of a worker that has nothing to do


def work(folder: Path, parent: int, sheltered: bool = False) -> int:
    """Serve a run folder until the run is finished, or until nobody needs this any more; returns the exit status. `sheltered`
    from accelerators it computes on the CPU.

    `parent` is the supervisor's process id: without it nobody would replace this process, which then ends.
    """
    # A supervisor that is killed leaves a worker that sees it within a second. What that one writes until then must be there when
    # this one reads what has happened, and not come after it.
    with alone(folder / "worker.lock", partial(_tell_wait, folder, parent)):
        return _serve(folder, parent, sheltered) if os.getppid() == parent else 1


def _serve(folder: Path, parent: int, sheltered: bool) -> int:
    sweep(folder)
    events = read_events(folder)
    state = fold(RunState(), events)
    if state.is_over:
        return 0
    try:
        recipe = read_recipe(folder)
    except BadInput as error:  # another version's: that one may go on with the run, and so it is not over
        print(error, file=sys.stderr)
        return 0
    read_ahead(recipe.corpus)
    viewers = Viewers(folder)
    log = Journal(folder, lambda: os.getppid() == parent)
    if not any(isinstance(stamped.fact, RunStarted) for stamped in events):
        log.append(RunStarted(recipe.model_dump(mode="json"), version(), asked_at_once(folder)))
    if (told := mend_recipe(folder)) is not None:
        log.append(told)
    if (end := known_end(folder, events)) is not None:
        log.append(end)
        release(folder)
        return 0
    if (doing := _untold(folder, state, events)) is not None:
        log.append(WorkerRestarted(f"all that worked on the run ended {doing}", state.checkpoint, False))
    with Sampler(log, parent) as sampler:
        import torch  # after the first lines are written: the page shows them while this takes its seconds

        from engine.inbox import Inbox
        from engine.session import serve
        from engine.workbench import Workbench

        sampler.accelerator = partial(accelerator_in_use, torch)
        torch.set_num_threads(threads_in_hand(folder, events) or torch.get_num_threads())
        log.append(WorkerStarted(os.getpid(), torch.get_num_threads()))
        bench = Workbench(folder, recipe, sheltered)
        try:
            taken = _taken_up(folder, bench, state, events, log, lambda: viewers.any() and os.getppid() == parent)
            if taken is None:
                return 0
            told, line = taken
            for fact in told:
                log.append(fact)
            if told and isinstance(told[-1], ENDS):
                release(folder)
                return 0
            begun = {stamped.fact.command for stamped in events if isinstance(stamped.fact, CommandStarted)}
            inbox = Inbox(folder=folder, done=line, begun=begun)
            for event in serve(bench, inbox, lambda: viewers.any() and os.getppid() == parent, waits=True):
                if isinstance(event, CommandStarted):
                    suit(event)
                    forget_peak()
                    sampler.busy = True
                if isinstance(event, ANSWERS):
                    log.offer(sampler.sample())  # a command may be over before its first beat
                log.append(event)
                if isinstance(event, ANSWERS):
                    sampler.busy = False
                    give_back()  # between two commands a worker holds what it needs: others may be on the same machine
                if isinstance(event, ENDS):
                    release(folder)
                if os.getppid() != parent:  # the supervisor is gone: whoever looks next starts both anew
                    return 1
        except Exception as error:
            _leave_accelerator(error, log, bench.desk.device if bench.desk is not None else recipe.device)
            raise
        finally:
            bench.close()
    log.close()
    return 0


def _taken_up(
    folder: Path, bench: Any, state: RunState, events: Sequence[Stamped], log: Journal, stay: Callable[[], bool]
) -> tuple[tuple[object, ...], int] | None:
    """What `take_up` returns, as soon as the model's files are there; None once nobody waits for them, or the run, being one
    recipe, is to be stopped."""
    pause, whole = NAP, is_whole(folder)
    while True:
        try:
            return take_up(folder, bench, state, events, whole)
        except Away as error:
            fact = Degraded("going on where it was", f"a wait for {error.awaits}", error.why)
            if pause == NAP and fact not in state.degraded:
                log.append(fact)
        except BadInput as error:  # another worker would find no more than this one
            return (RunFailed(f"The run cannot go on where it was: {error}"),), 0
        end = time.monotonic() + pause
        while time.monotonic() < end:
            if not stay() or (whole and asks_stop(folder)):
                return None
            time.sleep(NAP)
        pause = min(2 * pause, LONGEST)


def _untold(folder: Path, state: RunState, events: Sequence[Stamped]) -> str | None:
    """During what the last process died, in a clause, where nobody was there to tell: whoever watched over it has died as well.
    None where that was told, and where it has ended by itself, having nothing to do."""
    if state.status in ("busy", "paused"):
        return f"while doing {state.doing}"
    lives = [stamped.fact for stamped in events if isinstance(stamped.fact, WorkerStarted | WorkerRestarted | CommandStarted)]
    return "between two commands" if is_whole(folder) and lives and not isinstance(lives[-1], WorkerRestarted) else None


def _leave_accelerator(error: Exception, log: Journal, device: str) -> None:
    """Where that is what has failed, say so and end this process at once: nothing in it may touch the accelerator any more, and
    whatever was put back on the way out would."""
    from engine.failures import first_fatal, is_fatal

    if is_fatal(error):
        traceback.print_exception(error)
        log.append(Degraded(device, SHELTER, f"the accelerator failed ({first_fatal(error)})"))
        os._exit(DEVICE_FAILED)


def read_ahead(corpus: str | dict[str, str]) -> threading.Thread | None:
    """Have a text that is slow to read, and kept once it was, read by another process while this one imports torch.

    Returns the thread that waits for it; None where there is nothing to gain. Loading such a text waits for who reads it.
    """
    if not isinstance(corpus, str) or corpus not in CORPORA.names() or not CORPORA.entry(corpus).facts.get("KEPT"):
        return None
    if path_of(corpus).exists():
        return None
    code = "import sys; from engine.text.corpora import read_corpus; read_corpus(sys.argv[1])"
    call = {"args": [sys.executable, "-c", code, corpus], "stdin": subprocess.DEVNULL, "check": False}  # Load tells what is wrong
    waiting = threading.Thread(target=subprocess.run, kwargs=call, name="reading ahead", daemon=True)
    waiting.start()
    return waiting


class Sampler:
    """Writes how much memory is in use, from a thread of its own: every second while something is done, seldom while not.

    It ends the process as well, once its supervisor is gone: between two events, or paused, nobody else would see that.
    """

    def __init__(self, log: Journal, parent: int):
        self._log = log
        self._parent = parent
        self.busy = False  # whether a command is being carried out
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="memory", daemon=True)
        # Set once torch is there. The thread runs while torch is imported, and a module that is half imported must be left alone.
        self.accelerator: Callable[[], tuple[int | None, int | None]] = lambda: (None, None)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def sample(self) -> MemorySampled:
        """What is in use now."""
        return in_use(self.accelerator())

    def _beat(self) -> None:
        beats = 0
        while not self._done.wait(BEAT):
            beats += 1
            if os.getppid() != self._parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if self.busy or beats % SELDOM == 0:
                self._log.offer(self.sample())


def sweep(folder: Path) -> None:
    """Remove what processes that were killed have left half written beside its place; only the one worker of a run may."""
    clear(folder / "model")  # first: what it was to replace may lie in what is left
    for beside in (*folder.glob(".model-*"), *folder.glob("artifacts/**/.*.safetensors.*"), *folder.glob("artifacts/*.writing")):
        shutil.rmtree(beside) if beside.is_dir() else beside.unlink(missing_ok=True)


def _tell_wait(folder: Path, parent: int) -> None:
    if os.getppid() != parent:  # nobody would watch over this one, and the next supervisor has one of its own
        sys.exit(1)
    state = fold(RunState(), read_events(folder))
    why = f"the worker before, process {state.worker}, is stopped; continue it, or end it"
    fact = Degraded("going on at once", "a wait", why)
    if not state.is_over and fact not in state.degraded and is_stopped_worker(folder, state.worker):
        log = Journal(folder)
        log.offer(fact)
        log.close()


def main(arguments: list[str]) -> int:
    """`RUN` supervises, `RUN --serve PID` works."""
    folder = Path(arguments[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by itself it would skip every `finally` and leave the lock
    try:
        with telling_full("The run"):
            if "--serve" in arguments[1:]:
                return work(folder, int(arguments[2]), "--cpu" in arguments[3:])
            return supervise(folder)
    except BadInput as error:  # a disk that takes no more, or a record that cannot be read
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
