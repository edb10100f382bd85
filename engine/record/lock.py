"""What lock.json says of who holds a run, and who looks at it: living processes and marks of viewers; claims nothing itself."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

STALE = 30.0  # seconds without a mark after which a viewer counts as gone
REAL = (int, float)
SAYS = {
    "pid": (int,),
    "born": REAL,
    "worker": (int, type(None)),
    "started": REAL,
    "heartbeat": REAL,
}  # a lock, and in which types


def read_lock(folder: Path) -> dict | None:
    """Who holds a run, or None. A lock that cannot be read, or says what no lock does, counts as held by nobody alive."""
    nobody = {"pid": -1, "born": 0.0, "worker": None, "started": 0.0, "heartbeat": 0.0}
    try:
        holder = json.loads((Path(folder) / "lock.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):  # a folder of that name; no text, no JSON
        return nobody
    fits = isinstance(holder, dict) and all(type(holder.get(key)) in types for key, types in SAYS.items())
    return holder if fits else nobody


def myself() -> dict[str, object]:
    """What a lock says of the process that writes it."""
    return {"pid": os.getpid(), "born": _born(psutil.Process()), "boot": _boot()}


def is_alive(holder: dict) -> bool:
    """Whether the process that wrote this lock still runs; a process id that was given to another program does not count. One
    that this process may not look at counts: a run that waits is better than one that two carry out."""
    if holder.get("boot") not in (None, _boot()):
        return False
    try:
        process = psutil.Process(holder["pid"])
        born = _born(process) if "boot" in holder else process.create_time()  # which is what older versions wrote
        same = abs(born - holder["born"]) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):  # the last two for numbers that no process has
        return False


def is_stopped_worker(folder: Path, pid: int | None) -> bool:
    """Whether that process is a worker of this run that was stopped, as by SIGSTOP: it neither ends nor goes on by itself."""
    try:
        process = psutil.Process(pid) if pid is not None else None
        if process is None or process.status() != psutil.STATUS_STOPPED:
            return False
        line = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OverflowError):
        return False
    return "--serve" in line and any(Path(said).name == Path(folder).name for said in line)


def stopped_process(folder: Path, last: int | None = None) -> int | None:
    """The process that a run waits for, where that was stopped, as by SIGSTOP or Ctrl-Z: it lives, and nothing goes on until
    somebody continues or ends it. It is the worker, or where none lives who holds the run, or one of the others that train along
    with that. None where it was not stopped.

    `last` is the last worker that the record tells of: stopped itself, it holds up whoever is to take its place."""
    if is_stopped_worker(folder, last):
        return last
    holder = read_lock(folder)
    if holder is None or not is_alive(holder):
        return None
    doing = next((pid for pid in (holder["worker"], holder["pid"]) if _status(pid) is not None), None)
    others = holder["others"] if isinstance(holder.get("others"), list) else []
    return next((pid for pid in (doing, *others) if _status(pid) == psutil.STATUS_STOPPED), None)


def _status(pid: object) -> str | None:
    """What psutil says of a process; None of one that is none any more: whoever was stopped himself does not bury a worker."""
    if type(pid) is int:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OverflowError):
            status = psutil.Process(pid).status()
            return None if status == psutil.STATUS_ZOMBIE else status
    return None


def _born(process: psutil.Process) -> float:
    """When a process began, in seconds: on Linux since the machine was started. What psutil makes of that for all systems moves
    when somebody sets the clock, and a living holder would be taken for another program."""
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)


def _boot() -> str | None:
    """What tells this start of the machine from every other; None where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def watch(folder: Path, viewer: str) -> None:
    """Leave word that a viewer looks at this run; to be renewed every few seconds. On a disk that takes no more nobody hears of
    it: a run can be looked at where it cannot go on."""
    seen = Path(folder) / "viewers"
    with suppress(OSError):
        seen.mkdir(mode=0o700, exist_ok=True)
        (seen / viewer).touch()


def is_watched(folder: Path) -> bool:
    """Whether any viewer has left word in the last half minute."""
    return Viewers(folder).any()


class Viewers:
    """Who looks at a run, for a process that asks again and again.

    A mark that does not change counts for half a minute by a clock that nobody sets and that stands still while the machine
    sleeps: after a night's sleep the page is still there, and one that was closed is not there for hours since a clock was set
    back.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic):
        self._marks, self._clock = Path(folder) / "viewers", clock
        self._seen: dict[str, tuple[float, float]] = {}  # viewer → the time of its mark, and when by `clock` it was made

    def any(self) -> bool:
        """Whether anybody has left word in the last half minute."""
        now, seen = self._clock(), {}
        for mark in self._marks.glob("*"):
            try:
                at = mark.stat().st_mtime
            except FileNotFoundError:
                continue  # it has just left
            before = self._seen.get(mark.name)
            seen[mark.name] = before if before is not None and before[0] == at else (at, now - abs(time.time() - at))
        self._seen = seen
        return any(now - made < STALE for _, made in seen.values())
