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
