"""A Python process of its own that outlives whoever started it; knows nothing of what it does."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.record.disk import telling_full


def start_apart(arguments: Sequence[str], log: Path, what: str) -> subprocess.Popen:
    """Start this Python with these arguments, our own packages within its reach, and what it prints appended to `log`.

    Raises `Unwritten`, naming `what`, on a disk that takes no more.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with telling_full(what), open(log, "ab") as out:
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        )


def last_words(log: Path) -> str:
    """The last line that such a process has printed; empty where it printed nothing."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
