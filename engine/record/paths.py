"""A path as somebody typed it: what the file system would choke on is refused in one sentence; reads no file."""

import os
import stat
from pathlib import Path

from engine.record.errors import BadInput, shorten


def typed(text: str | os.PathLike[str], what: str) -> Path:
    """The path that a text names, its ~ replaced by the home folder; `what` begins the sentence where there can be none.

    Raises `BadInput` for the home of a user that this machine does not know, a zero byte, a name that is too long and a
    folder on the way that may not be looked into. Nothing need be at the path.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        why = f"this machine knows no home folder of {os.fspath(text).split('/')[0][1:]}"
        raise BadInput(f"{what} {shorten(os.fspath(text))} cannot be found: {why}.") from error
    kind_of(path, what)
    return path


def kind_of(path: Path, what: str) -> str:
    """What is at a path: "file", "folder", "something else" (a device, a pipe) or "nothing"; raises `BadInput` as `typed`."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except ValueError as error:
        raise BadInput(f"{what} {shorten(str(path))} is no path: it holds a zero byte or a sign that no file has.") from error
    except OSError as error:
        raise BadInput(f"{what} {shorten(str(path))} cannot be looked at ({error.strerror}); give another path.") from error
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "something else"
