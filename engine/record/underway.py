"""The sweeps of this machine: start one in a process of its own, stop it, have it go on, delete it, list them; imports no torch.

A sweep is carried out by `python -m engine sweep`, whoever starts it; it holds the lock of its folder while it lives, and ends in
order when it is told to by a signal.
"""

import os
import signal
import subprocess
import threading
from pathlib import Path

from engine.record.apart import start_apart
from engine.record.client import is_held
from engine.record.errors import BadInput, shorten
from engine.record.folder import home
from engine.record.live import delete
from engine.record.lock import is_alive, read_lock
from engine.record.swept import FILE, list_sweeps

LOG = "worker.log"


def own_sweeps(where: Path | None = None) -> list[Path]:
    """The folders of sweeps under `where` (default: `home()`), newest first, but for those that an experiment has."""
    where = home() if where is None else where
    return [folder for folder in list_sweeps(where) if folder.parent == where]


def find_sweep(name: str, where: Path | None = None) -> Path:
    """The folder of a sweep by its name; raises `BadInput` where there is none of that name."""
    for folder in own_sweeps(where):  # looked for among what is there: a name that goes up never reaches the file system
        if folder.name == name:
            return folder
    raise BadInput(f"sweep {shorten(name)} is not in {home() if where is None else where}.")


def carry_on(folder: Path) -> subprocess.Popen:
    """Have a new process carry out a sweep that `begin` has written down, or what is left of it; it outlives this one. Raises
    `BadInput` for a sweep that a process carries out already, and `Unwritten` on a disk that takes no more."""
    if is_held(folder):
        raise BadInput(f"sweep {folder.name!r} goes on already.")
    arguments = ["-m", "engine", "sweep", str(folder / FILE), "--folder", str(folder)]
    return reaped(start_apart(arguments, folder / LOG, "The sweep's log"))


def reaped(process: subprocess.Popen) -> subprocess.Popen:
    """The process, and a thread that waits for its end, or it would stay behind as a zombie."""
    threading.Thread(target=process.wait, name="sweep", daemon=True).start()
    return process


def stop(folder: Path) -> str:
    """Tell the process that carries out a sweep to end; returns a sentence. Cells that are done stay done. Raises `BadInput`
    where none does."""
    holder = read_lock(folder)
    if holder is None or not is_alive(holder):
        raise BadInput(f"sweep {folder.name!r} is doing nothing; there is nothing to stop.")
    if holder["pid"] == os.getpid():
        raise BadInput(f"sweep {folder.name!r} is carried out by this very process; stop it where it was started.")
    os.kill(holder["pid"], signal.SIGTERM)
    return f"{folder.name} was told to stop; the cells that are done are kept."


def discard(name: str) -> str:
    """Delete a sweep of `home()` and its folder; returns a sentence that says so. There is no way back. Raises `BadInput`, and
    deletes nothing, for a sweep that a process carries out."""
    return delete(find_sweep(name), "sweep", FILE)


def last_words(folder: Path) -> str:
    """What the process that carried out a sweep printed last; empty where it printed nothing."""
    try:
        with open(folder / LOG, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
