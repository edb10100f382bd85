"""What lies on disk is what was written: JSON with a checksum of itself, and those of the files beside it; knows no model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.record.digests import digest, digest_of
from engine.record.errors import BadInput, shorten


class Damaged(BadInput):
    """A checkpoint that is not as it was written, or not there any more; `why` says what of it, in a clause."""

    def __init__(self, name: str, why: str):
        super().__init__(f"checkpoint {shorten(name)} is damaged: {why}.")
        self.why = why


def sealed(plain: Mapping[str, Any]) -> str:
    """The text of a state.json: what it says, and the checksum of that."""
    return json.dumps(dict(plain) | {"checksum": digest_of(plain)}, indent=1) + "\n"


def unsealed(folder: Path, always: bool = False) -> dict[str, Any]:
    """What the state.json of a folder says, without its checksum, once it is known to be as it was written; else `Damaged`.

    One that has no checksum at all, nor any of other files, is of a version before those, and is read unchecked; but not where
    all of its kind have `always` had them.
    """
    try:
        plain = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise Damaged(folder.name, f"its state.json cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise Damaged(folder.name, "its state.json is not JSON") from error
    if not isinstance(plain, dict):
        raise Damaged(folder.name, f"its state.json holds {shorten(plain)}")
    if (always or plain.keys() & {"checksum", "files"}) and plain.pop("checksum", None) != digest_of(plain):
        raise Damaged(folder.name, "its state.json is not as it was written")
    return plain


def check(folder: Path, name: str, wanted: str | None) -> None:
    """Raise `Damaged` for a file of a folder that has another checksum, or is not there."""
    try:
        if digest(folder / name) != wanted:
            raise Damaged(folder.name, f"its {name} is not as it was written")
    except FileNotFoundError as error:
        raise Damaged(folder.name, f"its {name} is gone") from error
    except OSError as error:
        raise Damaged(folder.name, f"its {name} cannot be read ({error.strerror})") from error
