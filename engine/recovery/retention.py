"""How much of the past stays on disk: what an undo can still reach, within two limits; knows no model and no command.

An undo goes along the line of the stand: to its parent, and to that one's. What does not lie on it (what was undone before
something else was done, an earlier model's) can be reached no more. Only tensors are ever removed: each `state.json` stays, so
that names are not given twice and the line of a model can still be told.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from engine.record.disk import Unwritten
from engine.record.errors import BadInput
from engine.recovery import checkpoints
from engine.recovery.checkpoints import Checkpoint

CHANGES = 64  # that an undo can take back
TRAINED = 8  # checkpoints among them that hold all weights, of the model, of its control or of both


def tidy(folder: Path, stand: Checkpoint, parents: Mapping[str, str | None]) -> None:
    """Remove the tensors that no undo from `stand` needs, and what a process that died has left half written.

    Only the process that writes checkpoints may call it. `parents` leads past a checkpoint that cannot be read.
    """
    needed = kept(folder, stand, parents)
    for path in folder.glob("step-*/*.safetensors"):
        if path.parent.name not in needed or path.name.startswith("."):
            path.unlink(missing_ok=True)
    for beside in folder.glob(".writing-*"):
        shutil.rmtree(beside) if beside.is_dir() else beside.unlink(missing_ok=True)


def check_room(folder: Path, size: int, what: str = "The checkpoint after the recovery") -> None:
    """Raise `Unwritten` where a disk has not so many bytes free for what is to be written: better before it than after."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise Unwritten(what, f"it takes {size / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free")


def kept(folder: Path, stand: Checkpoint, parents: Mapping[str, str | None]) -> set[str]:
    """The checkpoints whose tensors an undo needs: the line of `stand` within the limits, and those that have its weights.

    The stand itself and the one before it are always among them.
    """
    needed, trained, name = set(), set(), stand.name
    for back in range(CHANGES + 1):
        if not name:
            break
        try:
            one = stand if name == stand.name else checkpoints.read(folder, name, stand.of)
        except BadInput:  # damaged, or another version's
            name = parents.get(name)
            continue
        trained |= {one.weights, one.control_at} - {None}
        if back > 1 and len(trained) > TRAINED:
            break
        needed |= {one.name} | trained
        name = one.parent
    return needed
