"""The bookmarks of a run by their names alone, for who has no torch; knows not what is in them.

checkpoints/bookmarks/000007-tuned-120/      the seventh of a recovery, 120 steps into the training of the pruned model
"""

import re
import shutil
from pathlib import Path

NAME = re.compile(r"([0-9]{6,})-(tuned|control)-([0-9]+)")


def folder_of(checkpoints: Path) -> Path:
    """Where they lie, beside the checkpoints."""
    return checkpoints / "bookmarks"


def names(folder: Path) -> list[str]:
    """Those of a folder, the newest first."""
    found = [path.name for path in folder.glob("*-*-*") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda name: int(name.partition("-")[0]), reverse=True)


def name_of(folder: Path, arm: str, step: int) -> str:
    """The name of the next one."""
    last = names(folder)[:1]
    return f"{int(last[0].partition('-')[0]) + 1 if last else 1:06d}-{arm}-{step}"


def reached(folder: Path) -> tuple[str, int] | None:
    """The arm and the step of the newest one; None where there is none."""
    last = names(folder)[:1]
    return (NAME.fullmatch(last[0])[2], int(NAME.fullmatch(last[0])[3])) if last else None


def release(run: Path) -> None:
    """Remove those of a run folder: its recovery has ended, or it has."""
    shutil.rmtree(folder_of(run / "checkpoints"), ignore_errors=True)
