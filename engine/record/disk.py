"""Disks that take no more, being full, read-only or not ours: which errors say so, in words; knows no file and mends nothing."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from engine.record.errors import BadInput

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
NATIVE = re.compile(r"\(os error (\d+)\)")  # how safetensors tells one, in an error of its own


class Unwritten(BadInput):
    """Something that could not be written; `why` says so in a clause. It has no `field`: the recipe was possible."""

    def __init__(self, what: str, why: str):
        super().__init__(f"{what} could not be written to disk ({why}); make room there and ask again.")
        self.why = why


def why_full(error: BaseException) -> str | None:
    """What the system says of a disk that takes no more ("No space left on device"); None where an error is of another kind."""
    if isinstance(error, OSError):
        number = error.errno
    else:
        found = NATIVE.search(str(error))
        number = int(found[1]) if found else None
    return os.strerror(number) if number in FULL else None


@contextmanager
def telling_full(what: str) -> Iterator[None]:
    """Inside, a disk that takes no more is an `Unwritten`: one sentence that names what was to be written."""
    try:
        yield
    except Exception as error:
        why = why_full(error)
        if why is None:
            raise
        raise Unwritten(what, why) from error
