"""How far the record of a run had come when something was written beside it, which shows whether it has lost its end since; knows
no event, and not what was written.

Lines that are cut off leave a record that is whole as far as it goes. But checkpoints and bookmarks say how many lines it had: no
process dies so that one of them is there and lines of before are not.
"""

import json
from pathlib import Path

from engine.record.bookmark_names import folder_of, names
from engine.record.digests import digest_of


def lines_of(run: Path) -> int:
    """How many lines the record of a run has; 0 where there is none."""
    try:
        return (run / "events.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def lost_end(run: Path, lines: int) -> str:
    """What shows, in a clause, that a record of so many lines has lost its end; "" where nothing does. What is damaged shows
    nothing, nor does what a version before this has written."""
    checkpoints = run / "checkpoints"
    marks = folder_of(checkpoints)
    kept = [(path, f"checkpoint {path.name}") for path in sorted(checkpoints.glob("step-*"))]
    kept += [(marks / name, "a bookmark") for name in names(marks)]
    most, name = max(((_lines_at(folder), name) for folder, name in kept), default=(0, ""), key=lambda one: one[0])
    return f"events.jsonl has lost its end: it had {most} lines when {name} was written" if most > lines else ""


def _lines_at(folder: Path) -> int:
    """How many lines the record had when that was written; 0 where it does not say."""
    try:
        plain = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return 0
    if not isinstance(plain, dict) or plain.pop("checksum", None) != digest_of(plain):
        return 0
    return plain.get("lines", 0)
