"""Tests of engine/record/disk.py: errors of full and read-only disks, as the system and safetensors tell them."""

import errno
import os

import pytest

from engine.record.disk import Unwritten, telling_full, why_full
from engine.record.errors import BadInput

FULL = "No space left on device"


class SafetensorError(Exception):
    """What safetensors raises, whose class the record does not know."""


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOSPC, "x"), FULL),
        (OSError(errno.EDQUOT, "x"), "Disk quota exceeded"),
        (OSError(errno.EROFS, "x"), "Read-only file system"),
        (PermissionError(errno.EACCES, "x"), "Permission denied"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), FULL),
        (SafetensorError("Error while serializing: I/O error: Read-only file system (os error 30)"), "Read-only file system"),
        (FileExistsError(errno.EEXIST, "x"), "File exists"),
        (NotADirectoryError(errno.ENOTDIR, "x"), "Not a directory"),
        (FileNotFoundError(errno.ENOENT, "x"), None),
        (SafetensorError("Error while serializing: No such file or directory (os error 2)"), None),
        (OSError("no number"), None),
        (ValueError(28), None),
    ],
    ids=repr,
)
def test_only_a_disk_that_takes_no_more_is_one(error, why):
    """Other errors go through as they are, and so does a generator that has come to its end. Room helps a full disk alone."""
    assert why_full(error) == why
    with pytest.raises(Unwritten if why else type(error)) as caught, telling_full("The checkpoint"):
        raise error
    if why:
        help = "make room there" if why in (FULL, "Disk quota exceeded") else "see that it can be written there"
        assert str(caught.value) == f"The checkpoint could not be written to disk ({why}); {help} and ask again."
        assert isinstance(caught.value, BadInput) and caught.value.why == why
    with pytest.raises(StopIteration), telling_full("anything"):
        next(iter(()))


def test_the_words_are_those_of_the_system(monkeypatch):
    """An input or output error too."""
    assert why_full(OSError(errno.EIO, "")) == os.strerror(errno.EIO)
