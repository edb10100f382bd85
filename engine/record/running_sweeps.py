"""The sweeps of this machine: start one in a process of its own, stop it, have it go on, delete it, list them; imports no torch.

A sweep is carried out by `python -m engine sweep`, whoever starts it; it holds the lock of its folder while it lives, and ends in
order when it is told to by a signal.
"""

import os
import signal
import subprocess
import threading
from pathlib import Path

from engine.record import detached
from engine.record.claim import is_held
from engine.record.errors import BadInput, shorten
from engine.record.folder import home
from engine.record.live import delete
from engine.record.lock import is_alive, read_lock
from engine.record.sweep_folder import FILE, is_sweep, list_sweeps, open_sweep

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


def named(name: str) -> Path | None:
    """The folder of a sweep by the name that `live_sweeps` lists, that of an experiment's included, or by its path where it lies
    elsewhere; None where there is none."""
    for folder in list_sweeps():
        if str(folder.relative_to(home())) == name:
            return folder
    return Path(name) if name and is_sweep(Path(name)) else None


def carry_on(folder: Path) -> subprocess.Popen:
    """Have a new process carry out a sweep that `begin` has written down, or what is left of it; it outlives this one. Raises
    `BadInput` for a sweep that a process carries out already, and `Unwritten` on a disk that takes no more."""
    if is_held(folder):
        raise BadInput(f"sweep {folder.name!r} goes on already.")
    arguments = ["-m", "engine", "sweep", str(folder / FILE), "--folder", str(folder)]
    return reaped(detached.start_apart(arguments, folder / LOG, "The sweep's log"))


def resume(folder: Path) -> str:
    """Have a sweep go on in a process of its own; returns a sentence. Raises as `carry_on`, and for one that is
    done."""
    state = open_sweep(folder)
    if state.status == "finished" and (state.best is not None or not state.waiting):
        raise BadInput(f"sweep {folder.name!r} is done; it has nothing to go on with.")
    carry_on(folder)
    return f"{folder.name} goes on, in a process of its own on this machine."


def reaped(process: subprocess.Popen) -> subprocess.Popen:
    """The process, and a thread that waits for its end, or it would stay behind as a zombie."""
    threading.Thread(target=process.wait, name="sweep", daemon=True).start()
    return process


def stop(folder: Path) -> str:
    """Tell the process that carries out a sweep to end; returns a sentence. Cells that are done stay done. Raises `BadInput`
    where none does."""
    holder = read_lock(folder)
    if holder is None or not is_alive(holder):
        if is_held(folder):  # it names itself anew after each cell
            raise BadInput(f"sweep {folder.name!r} goes on, and lock.json does not name its process; try it again in a minute.")
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
    return detached.last_words(folder / LOG)
