"""A folder that is put in its place whole or not at all, whatever ends who writes it; knows nothing of what is in it."""

import glob
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.record.exclusive import alone, left_behind
from engine.record.faults import full, only

RANDOM = "?" * 8  # what `mkdtemp` adds to a name, for a glob
LOCK, NEW, OLD = "lock", "new", "old"  # in the hidden folder beside: held while it is written, what comes, and what was there


def put_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder beside the place of `folder`, and then put it there, in place of what was there before.

    What writers that were killed have left beside it is taken away, and what one had just moved out of its place is put back.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear(folder)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    with alone(beside / LOCK):
        try:
            (beside / NEW).mkdir()
            write(beside / NEW)
            if only("export").strikes("export", 0):
                raise full()
            _swap(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)  # what is left is the next writer's to clear away


def _swap(beside: Path, folder: Path) -> None:
    old = beside / OLD
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(beside / NEW, folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise


def clear(folder: Path) -> None:
    """Take away what writers of `folder` that were killed have left beside it, and put back what one had just moved."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}-{RANDOM}"):
        with left_behind(left / LOCK) as ours:
            if ours and (left / OLD).exists() and not folder.exists():
                os.rename(left / OLD, folder)
            if ours:
                shutil.rmtree(left, ignore_errors=True)
        with suppress(OSError):  # that of one killed before it had its lock is empty; one that lives makes it again with that
            left.rmdir()
