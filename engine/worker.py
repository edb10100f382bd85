"""The process behind a run: a supervisor without torch that keeps a worker alive, and the worker that serves the run folder.

    python -m engine.worker RUN                supervisor: takes the lock, starts the worker, restarts it when it dies
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
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine.journal import Journal
from engine.record.alone import alone
from engine.record.catalogue import CORPORA, version
from engine.record.disk import Unwritten, telling_full
from engine.record.errors import BadInput
from engine.record.faults import without
from engine.record.folder import read_events, read_recipe
from engine.record.lifecycle import (
    CommandStarted,
    Degraded,
    MemorySampled,
    RunFailed,
    RunStarted,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.lock import Viewers, beat, release_lock, take_lock
from engine.record.marks import release
from engine.record.resident import THRESHOLDS, forget_peak, give_back
from engine.record.state import RunState, fold
from engine.resuming import DONE, catch_up, first_line, interrupted, see_to
from engine.text.cache import path_of
from engine.watching import accelerator_in_use, in_use

BEAT = 1.0  # seconds between heartbeats of the supervisor and between memory samples of the worker
SELDOM = 5  # beats between memory samples of a worker that has nothing to do
DEVICE_FAILED = 75  # how a worker ends whose accelerator failed
CRASHES = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)  # how one ends that an accelerator's driver has ended
RESTARTS = 5  # deaths in a row, without a command done or a checkpoint saved in between, after which the run is given up
# OpenMP's threads wait for one another by spinning, unless told otherwise. With more busy processes than cores a training step
# then took many times as long: the spinning thread keeps the core from the one that it waits for.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
SHELTER = "the CPU, in another process"


def supervise(folder: Path) -> int:
    """Keep a worker alive for a run; returns 0 when the worker ended by itself, 1 when the run was given up."""
    if not take_lock(folder):
        return 0
    for beside in folder.glob(".lock.json.*"):  # half written by a supervisor that was killed
        beside.unlink(missing_ok=True)
    deaths, worker, shelter = 0, None, []
    try:
        while True:
            before = _how_far(folder)
            worker = subprocess.Popen(
                [sys.executable, "-m", "engine.worker", str(folder), "--serve", str(os.getpid()), *shelter],
                stdin=subprocess.DEVNULL,
                env=PATIENT | THRESHOLDS | os.environ | (without("device") if shelter else {}),
            )
            while worker.poll() is None:
                beat(folder, worker=worker.pid)
                try:
                    worker.wait(BEAT)
                except subprocess.TimeoutExpired:
                    continue
            if worker.returncode == 0:
                return 0
            state = fold(RunState(), read_events(folder))
            deaths = 1 if _how_far(folder) != before else deaths + 1
            if (fact := crashed_on(worker.returncode, state)) is not None:
                _tell(folder, fact)
            shelter = ["--cpu"] if fact is not None or worker.returncode == DEVICE_FAILED else shelter
            why = f"the worker ended with status {worker.returncode}" + (f" while doing {state.doing}" if state.doing else "")
            _tell(
                folder,
                WorkerRestarted(why, state.checkpoint) if deaths < RESTARTS else RunFailed(f"{why}, {deaths} times in a row"),
            )
            if deaths >= RESTARTS:
                release(folder)
                return 1
    finally:
        if worker is not None and worker.poll() is None:
            worker.terminate()
            worker.wait()
        release_lock(folder)


def crashed_on(status: int, state: RunState) -> Degraded | None:
    """What there is to say where a worker seems to have died of its accelerator without a word, as its driver has it die."""
    device = state.model.device if state.model is not None else "cpu"
    if status not in CRASHES or device == "cpu":
        return None
    return Degraded(device, SHELTER, f"the worker ended with status {status}, as it does when an accelerator fails")


def work(folder: Path, parent: int, sheltered: bool = False) -> int:
    """Serve a run folder until the run is finished, or until nobody needs this any more; returns the exit status. `sheltered`
    from accelerators it computes on the CPU.

    `parent` is the supervisor's process id: without it nobody would replace this process, which then ends.
    """
    # A supervisor that is killed leaves a worker that sees it within a second. What that one writes until then must be there when
    # this one reads what has happened, and not come after it.
    with alone(folder / "worker.lock"):
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
        log.append(RunStarted(recipe.model_dump(mode="json"), version()))
    if state.status == "busy":  # nobody was there to tell: whoever watched over the last worker has died as well
        log.append(WorkerRestarted(f"all that worked on the run ended while doing {state.doing}", state.checkpoint))
    with _Sampler(log, parent) as sampler:
        import torch  # after the first lines are written: the page shows them while this takes its seconds

        from engine.session import Inbox, serve
        from engine.workbench import Workbench

        sampler.accelerator = partial(accelerator_in_use, torch)
        log.append(WorkerStarted(os.getpid(), torch.get_num_threads()))
        bench, left = Workbench(folder, recipe, sheltered), interrupted(folder, events)
        try:
            try:
                fell_back = catch_up(folder, bench, state, events, left)
            except BadInput as error:  # another worker would find no more than this one
                log.append(RunFailed(f"The run cannot go on where it was: {error}"))
                release(folder)
                return 0
            told = see_to(left, bench, bool(fell_back)) if left is not None else ()
            for fact in (*fell_back, *told):
                log.append(fact)
            inbox = Inbox(folder=folder, done=first_line(events, left) + bool(told))
            for event in serve(bench, inbox, lambda: viewers.any() and os.getppid() == parent):
                if isinstance(event, CommandStarted):
                    forget_peak()
                    sampler.busy = True
                if isinstance(event, DONE):
                    log.offer(sampler.sample())  # a command may be over before its first beat
                log.append(event)
                if isinstance(event, DONE):
                    sampler.busy = False
                    give_back()  # between two commands a worker holds what it needs: others may be on the same machine
                if os.getppid() != parent:  # the supervisor is gone: whoever looks next starts both anew
                    return 1
        except Exception as error:
            _leave_accelerator(error, log, bench.desk.device if bench.desk is not None else recipe.device)
            raise
        finally:
            bench.close()
    log.close()
    return 0


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


class _Sampler:
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

    def __enter__(self) -> "_Sampler":
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
    for beside in (*folder.glob(".model-*"), *folder.glob("artifacts/**/.*.safetensors.*"), *folder.glob("artifacts/*.writing")):
        shutil.rmtree(beside) if beside.is_dir() else beside.unlink(missing_ok=True)


def _how_far(folder: Path) -> tuple[object, ...]:
    """What a run has got done: commands, checkpoints of the model that is loaded, and the place where training went on last."""
    state = fold(RunState(), read_events(folder))
    return state.commands_done, len(state.parents), state.resumed


def _tell(folder: Path, fact: object) -> None:
    log = Journal(folder)
    log.append(fact)
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
    except Unwritten as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
