"""Who holds a run: one process at a time, whom the system knows and lock.json names; knows nothing of what it does there.

A claim is a lock of the system's on the run's folder itself. It ends with its holder, and nothing that is written into the folder
or deleted there takes it away. lock.json is for those who look: it names the process and its worker. On a file system without
such locks it is all that there is.
"""

import fcntl
import json
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.record.errors import BadInput, shorten
from engine.record.exclusive import locks
from engine.record.folder import write_atomic
from engine.record.lock import is_alive, myself, read_lock

BEAT = 1.0  # seconds between two renewals of lock.json
TRIES, NAP = 25, 0.01  # and seconds between them: whoever only asks who holds a run is in the way for a moment


class Claim:
    """A run that this process holds until `release`; made by `take_lock` alone."""

    def __init__(self, folder: Path, handle: int, locked: bool, facts: Mapping[str, object]):
        self.folder = folder
        self._locked, self._beaten = locked, time.monotonic()
        self._told = myself() | {"worker": None, "started": time.time()} | facts
        self._write()
        self._let_go = weakref.finalize(self, os.close, handle)  # last: until then it is the caller's to close

    def beat(self, **facts: object) -> None:
        """Renew lock.json, where that was a second ago or there are facts to add, such as the worker's process id: one that was
        damaged or deleted is back then. Nothing on a disk that takes no more."""
        is_news = not facts.items() <= self._told.items()
        if not self._let_go.alive or not (is_news or time.monotonic() - self._beaten >= BEAT):
            return
        self._told |= facts
        self._beaten = time.monotonic()
        if self._locked or self._is_named():
            with suppress(OSError):
                self._write()

    def release(self) -> None:
        """Give the run up; harmless a second time."""
        if self._let_go.alive and self._is_named():
            with suppress(OSError):  # a folder that takes nothing away: the name of a process that is about to end
                (self.folder / "lock.json").unlink(missing_ok=True)
        self._let_go()

    def _is_named(self) -> bool:
        holder = read_lock(self.folder)
        return holder is not None and holder["pid"] == os.getpid()

    def _write(self) -> None:
        write_atomic(self.folder / "lock.json", json.dumps(self._told | {"heartbeat": time.time()}))


def take_lock(folder: Path, **facts: object) -> Claim | None:
    """Claim a run for this process, with facts for lock.json; None where another living process holds it. Raises `OSError` where
    lock.json cannot be written."""
    folder = Path(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        locked, holder = _locked(handle), read_lock(folder)
        if locked is not False and (holder is None or not is_alive(holder)):
            return Claim(folder, handle, bool(locked), facts)
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """A claim for as long as something lasts, on a folder that is made where there is none. Raises `BadInput` where it cannot be
    made, or another process holds it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        claim = take_lock(folder)
    except OSError as error:
        raise BadInput(f"folder {shorten(str(folder))} cannot be made ({error.strerror}); name another one.") from error
    if claim is None:
        raise in_use(folder)
    try:
        yield
    finally:
        claim.release()


def in_use(folder: Path) -> BadInput:
    """What there is to say where another process holds a folder."""
    holder = (read_lock(folder) or {}).get("pid")
    return BadInput(f"folder {shorten(str(folder))} is in use by process {holder}; wait until it is done, or stop it.")


def is_held(folder: Path) -> bool:
    """Whether a living process holds a run: the supervisor of its worker, or the command line that carries it out."""
    holder = read_lock(folder)
    return (holder is not None and is_alive(holder)) or _is_locked(folder)


def _locked(handle: int) -> bool | None:
    """Whether the folder of that handle is locked by it now; None where its file system has no such locks."""
    for _ in range(TRIES):
        if (is_ours := locks(handle)) is not False:
            return is_ours
        time.sleep(NAP)
    return False


def _is_locked(folder: Path) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        return locks(handle, fcntl.LOCK_SH) is False
    finally:
        os.close(handle)
