"""What is done to a run or a sweep that is named, or whose folder is, whichever of the two it is; imports no torch."""

from pathlib import Path

from engine.record import live, running_sweeps
from engine.record.folder import find_run


def folder_of(name: str) -> Path:
    """The folder of a run or a sweep of `home()`. Raises `BadInput` where there is none, and for a run that lies elsewhere."""
    return running_sweeps.named(name) or find_run(name)


def stop(name: str) -> str:
    """Give up what it is doing; returns a sentence. Raises `BadInput` where there is none, or nothing to stop."""
    sweep = running_sweeps.named(name)
    return live.stop(live.find(name)) if sweep is None else running_sweeps.stop(sweep)


def resume(name: str) -> str:
    """Have it go on; returns a sentence. Raises `BadInput` where there is none, or nothing to go on with."""
    sweep = running_sweeps.named(name)
    return live.resume(live.find(name)) if sweep is None else running_sweeps.resume(sweep)


def discard(name: str) -> str:
    """Delete it and its folder; returns a sentence. There is no way back. Raises `BadInput`, and deletes nothing, where there is
    none, and for one that a process holds."""
    sweep = running_sweeps.named(name)
    return live.discard(name) if sweep is None else running_sweeps.delete(sweep, "sweep", running_sweeps.FILE)
