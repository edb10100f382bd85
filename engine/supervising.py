"""Keeps a worker of a run alive: starts it, replaces it when it dies, says what it died of; knows no torch, and no command.

What a death costs is for the next worker (`engine.resuming`); here only how often it may happen in a row is decided, and what of
it can be known from outside: an accelerator's driver ends a process by itself, and the system kills one where memory runs out.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from engine.journal import Journal
from engine.record.bookmark_names import release
from engine.record.claim import BEAT, take_lock
from engine.record.detached import last_words
from engine.record.faults import without
from engine.record.folder import read_events
from engine.record.lifecycle import SHELTER, Degraded, MemorySampled, RunFailed, WorkerRestarted
from engine.record.memory import THRESHOLDS, kills
from engine.record.state import RunState, fold

PATIENCE = 10.0  # seconds that a worker has in which to end once it was asked to
FAILED = 1  # how a worker ends that an error has ended, which Python has printed
MOST = 200  # letters of that
DEVICE_FAILED = 75  # how a worker ends whose accelerator failed
CRASHES = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)  # how one ends that an accelerator's driver has ended
RESTARTS = 5  # deaths in a row, without a command done or a checkpoint saved in between, after which the run is given up
KILLS = 20  # of `kill -9` by somebody, counted likewise, after which the run is left to be resumed: it has done nothing wrong
# OpenMP's threads wait for one another by spinning, unless told otherwise. With more busy processes than cores a training step
# then took many times as long: the spinning thread keeps the core from the one that it waits for.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


def supervise(folder: Path, root: Path = Path("/")) -> int:
    """Keep a worker alive for a run; returns 0 when the worker ended by itself, 1 when the run was given up. `root` is where the
    system's files lie that tell what it has killed."""
    if (claim := take_lock(folder)) is None:
        return 0
    crashes, killings, worker = 0, 0, None
    try:
        for beside in folder.glob(".lock.json.*"):  # half written by a supervisor that was killed
            beside.unlink(missing_ok=True)
        shelter = ["--cpu"] if _lost_its_accelerator(folder) else []
        while True:
            before, killed = _how_far(folder), kills(root)
            worker = _started(folder, shelter)
            while worker.poll() is None:
                claim.beat(worker=worker.pid)
                try:
                    worker.wait(BEAT)
                except subprocess.TimeoutExpired:
                    continue
            if worker.returncode == 0:
                return 0
            state = fold(RunState(), read_events(folder))
            if state.is_over:  # it has said so, and died on its way out: nothing comes after the end
                return 0
            died = _death(worker.returncode, folder, state, bool(shelter), (killed, kills(root)))
            crashes, killings = (0, 0) if _how_far(folder) != before else (crashes, killings)
            killings += died.outside
            # A training has an end by itself where memory is short: it begins with less each time.
            crashes += not died.outside and (died.short is False or state.doing != "Tune")
            if (fact := crashed_on(worker.returncode, state)) is not None:
                _tell(folder, fact)
            shelter = ["--cpu"] if fact is not None or worker.returncode == DEVICE_FAILED else shelter
            if crashes >= RESTARTS:
                _tell(folder, RunFailed(f"{died.why}, {crashes} times in a row"))
                release(folder)
                return 1
            if killings >= KILLS:
                why = f"{died.why}, {killings} times in a row"
                _tell(folder, Degraded("another worker", "none, until the run is resumed", why))
                return 1
            _tell(folder, died)
    finally:
        if worker is not None:
            end(worker)
        claim.release()


def end(worker: subprocess.Popen, patience: float = PATIENCE) -> None:
    """Ask a worker to end, and end it where it does not: one that is stopped hears nothing, and Python may lose an exception that
    comes while it clears away."""
    worker.terminate()
    try:
        worker.wait(patience)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _started(folder: Path, shelter: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "engine.worker", str(folder), "--serve", str(os.getpid()), *shelter],
        stdin=subprocess.DEVNULL,
        env=PATIENT | THRESHOLDS | os.environ | (without("device") if shelter else {}),
    )


def _death(
    status: int, folder: Path, state: RunState, sheltered: bool, counted: tuple[int | None, int | None]
) -> WorkerRestarted:
    """What there is to say of a worker that ended so; `counted` is how many the system had killed before and after."""
    said = last_words(folder / "worker.log") if status == FAILED else ""
    short = ran_short(status, state, sheltered, *counted)
    why = f"the worker ended with status {status}" + (f" ({said[:MOST]})" if said else "")
    why += f" while doing {state.doing}" if state.doing else ""
    why += ", killed by the system because memory ran out" if short else ""
    return WorkerRestarted(why, state.checkpoint, short=short, outside=from_outside(status, *counted))


def crashed_on(status: int, state: RunState) -> Degraded | None:
    """What there is to say where a worker seems to have died of its accelerator without a word, as its driver has it die."""
    device = state.model.device if state.model is not None else "cpu"
    if status not in CRASHES or device == "cpu":
        return None
    return Degraded(device, SHELTER, f"the worker ended with status {status}, as it does when an accelerator fails")


def ran_short(status: int, state: RunState, sheltered: bool, before: int | None, after: int | None) -> bool | None:
    """Whether a worker was killed because the machine's memory ran out, the system having killed so many processes for that
    `before` and `after`. None where it was killed and the system does not count: somebody's own `kill -9` ends it with the same
    status. It is not asked of one that computes on an accelerator: there less at once holds no less of this memory."""
    on_cpu = sheltered or state.model is None or state.model.device == "cpu"
    if status != -signal.SIGKILL or not on_cpu:
        return False
    return None if before is None or after is None else after > before


def from_outside(status: int, before: int | None, after: int | None) -> bool:
    """Whether somebody has killed a worker (`kill -9`), the system having killed as many processes for want of memory `before` as
    `after`. No process ends itself so: what it was doing is not to blame. False where the system does not count."""
    return status == -signal.SIGKILL and before is not None and before == after


def _lost_its_accelerator(folder: Path) -> bool:
    """Whether that is the last that happened in a run: another process, which has ended by now, could use it no more."""
    facts = [stamped.fact for stamped in read_events(folder) if not isinstance(stamped.fact, MemorySampled)]
    return bool(facts) and isinstance(facts[-1], Degraded) and facts[-1].did == SHELTER


def _how_far(folder: Path) -> tuple[object, ...]:
    """What a run has got done: commands, checkpoints of the model that is loaded, and the place where training went on last."""
    state = fold(RunState(), read_events(folder))
    return state.commands_done, len(state.parents), state.resumed


def _tell(folder: Path, fact: object) -> None:
    log = Journal(folder)
    log.append(fact)
    log.close()
