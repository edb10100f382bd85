"""Disks that take no more, being full, read-only or not ours: which errors say so, in words; knows no file and mends nothing."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from engine.record.errors import BadInput

ROOM = (errno.ENOSPC, errno.EDQUOT)  # of those, which are gone once there is room
THERE = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)  # something else lies where this is to
FULL = (*ROOM, *THERE, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
NATIVE = re.compile(r"\(os error (\d+)\)")  # how safetensors tells one, in an error of its own


class Unwritten(BadInput):
    """Something that could not be written; `why` says so in a clause, and `room` whether room would help. It has no `field`: the
    recipe was possible."""

    awaits = "the disk"  # what a run waits for that it happens to

    def __init__(self, what: str, why: str, room: bool = True):
        advice = "make room there" if room else "see that it can be written there"
        super().__init__(f"{what} could not be written to disk ({why}); {advice} and ask again.")
        self.why = why


def why_full(error: BaseException) -> str | None:
    """What the system says of a disk that takes no more ("No space left on device"); None where an error is of another kind."""
    number = _number(error)
    return os.strerror(number) if number in FULL else None


@contextmanager
def telling_full(what: str) -> Iterator[None]:
    """Inside, a disk that takes no more is an `Unwritten`: one sentence that names what was to be written.

    Whoever reads files that somebody has named refuses them himself: of an error alone it cannot be told what it came of.
    """
    try:
        yield
    except Exception as error:
        why = why_full(error)
        if why is None:
            raise
        raise Unwritten(what, why, _number(error) in ROOM) from error


def _number(error: BaseException) -> int | None:
    """The system's number of an error; None where it has none."""
    if isinstance(error, OSError):
        return error.errno
    found = NATIVE.search(str(error))
    return int(found[1]) if found else None
