"""One process at a time, by a lock on a file that ends with its holder; knows nothing of what is done meanwhile."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 5.0  # seconds of waiting before that is told
NAP, LONG = 0.1, 0.5  # seconds between two tries until then, and after that


@contextmanager
def alone(path: Path, waits: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Inside, no other process is in here with this `path`, a file that is made for nothing else; whoever comes later waits, and
    where that takes long calls `waits` again and again, which may raise to wait no longer.

    Gives False, and keeps nobody out, where the folder takes no files or its file system knows no locks.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        at = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield False
        return
    try:
        yield _has_come_in(at, waits)
    finally:
        os.close(at)


@contextmanager
def left_behind(path: Path) -> Iterator[bool]:
    """Inside, where it gives True, this process is alone with a path that another one was alone with, and is no more: it has gone
    without removing its file. Gives False at once where somebody is, where there is no such file, and where nobody can tell."""
    try:
        at = os.open(path, os.O_RDWR)
    except OSError:
        yield False
        return
    try:
        yield locks(at) is True
    finally:
        os.close(at)


def locks(at: int, how: int = fcntl.LOCK_EX) -> bool | None:
    """Whether the open file or folder is locked by its handle `at` now; False where another one has it, None where its file
    system, such as some of a network, has no such locks."""
    try:
        fcntl.flock(at, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _has_come_in(at: int, waits: Callable[[], None]) -> bool:
    end = time.monotonic() + PATIENCE
    while True:
        if (is_ours := locks(at)) is not False:
            return is_ours is True
        is_long = time.monotonic() >= end
        if is_long:
            waits()
        time.sleep(LONG if is_long else NAP)
