"""A run folder on disk: make, append, tail, lock, list, write at once; knows lines and files, not what they mean.

    runs/<utc time>-<model>-<6 characters>/
        recipe.json  events.jsonl  commands.jsonl  lock.json  checkpoints/  model/  artifacts/  viewers/  worker.log

A line is one `write` in append mode, so two pages may post to one run. A torn last line (a process died while writing) is
ignored by readers; the next writer closes it off with a newline before its own line.
"""

import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.record.commands import COMMANDS
from engine.record.disk import telling_full
from engine.record.errors import BadInput, shorten
from engine.record.events import ENDS, EVENTS
from engine.record.faults import Faults, full, only
from engine.record.fields import explain
from engine.record.line import Stamped, decode, encode
from engine.record.paths import typed
from engine.record.recipe import Recipe

KINDS = {"events.jsonl": ("event", EVENTS), "commands.jsonl": ("command", COMMANDS)}


def home() -> Path:
    """The folder that all runs lie in: ESPALIER_HOME/runs, or runs/ in the working folder."""
    where = os.environ.get("ESPALIER_HOME")
    return typed(where, "ESPALIER_HOME") / "runs" if where else Path.cwd() / "runs"


def cache_home() -> Path:
    """Where converted models and other caches lie: ESPALIER_HOME/cache, or `espalier` in XDG_CACHE_HOME or in ~/.cache."""
    if os.environ.get("ESPALIER_HOME"):
        return typed(os.environ["ESPALIER_HOME"], "ESPALIER_HOME") / "cache"
    return typed(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "the user's cache folder") / "espalier"


def create(recipe: Recipe, folder: Path | None = None) -> Path:
    """Make a run folder with its recipe in it; raises `BadInput` for a folder that holds a run already or cannot be made."""
    folder = home() / name_for(recipe) if folder is None else Path(folder)
    try:
        if (folder / "recipe.json").exists():
            raise BadInput(f"folder {shorten(str(folder))} holds a run already; name another one.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(folder / "recipe.json", recipe.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise BadInput(f"folder {shorten(str(folder))} cannot be made ({error.strerror}); name another one.") from error
    return folder


def name_for(recipe: Recipe) -> str:
    """A name for a new run of a recipe: the time in UTC, the model, and six characters that make it the only one."""
    model = re.sub(r"[^A-Za-z0-9.]+", "-", recipe.model)[-40:].strip("-.") or "model"
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{model}-{secrets.token_hex(3)}"


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run; raises `BadInput` for a folder that holds no run, and for a recipe that cannot be used here."""
    try:
        return Recipe.model_validate(plain_recipe(folder))
    except ValidationError as error:
        raise BadInput(f"The recipe of run {shorten(Path(folder).name)} cannot be used here: {explain(error)[1]}") from error


def plain_recipe(folder: Path) -> dict[str, Any]:
    """The recipe of a run as it was written, good for today or not; raises `BadInput` for a folder that holds no run."""
    try:
        recipe = json.loads((Path(folder) / "recipe.json").read_text(encoding="utf-8"))
        json.dumps(recipe, allow_nan=False, ensure_ascii=False).encode()  # Python's reader takes NaN and half characters as well
    except OSError as error:
        why = "there is no recipe.json in it" if isinstance(error, FileNotFoundError) else error.strerror
        raise BadInput(f"folder {shorten(str(folder))} holds no run: {why}.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"folder {shorten(str(folder))} holds no run: its recipe.json is not JSON.") from error
    if not isinstance(recipe, dict):
        raise BadInput(f"folder {shorten(str(folder))} holds no run: its recipe.json holds {shorten(recipe)}.")
    return recipe


def write_atomic(path: Path, text: str) -> None:
    """Write a whole file beside its place and rename it, so that a reader sees the old text or the new, never half of one."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except (OSError, ValueError):  # a full disk, or text that cannot be encoded
        os.unlink(beside)
        raise


class Writer:
    """Appends facts to one file of a run folder, each one line and one `write`; holds the file open until `close`.

    What is only half written, for want of room, is torn: it does not count, and the next line closes it off.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time):
        self.kind = KINDS[path.name][0]
        self.clock = clock
        self.handle: int | None = os.open(path, os.O_APPEND | os.O_CREAT | os.O_RDWR, 0o600)
        self.seq = path.read_bytes().count(b"\n")
        self._faults = only("log") if self.kind == "event" else Faults("")

    def append(self, fact: object) -> Stamped:
        """Stamp a fact with its line number and the time, and write it. Raises `ValueError` for NaN and infinity, and `OSError`
        where the disk takes no more."""
        if self._faults.strikes("log", self.seq):
            raise full()
        mend = b"\n" if self._is_torn() else b""
        stamped = Stamped(self.seq + len(mend), self.clock(), fact)
        line = mend + encode(fact, self.kind, stamped.seq, stamped.at)
        if os.write(self.handle, line) < len(line):
            raise full()
        self.seq = stamped.seq + 1
        return stamped

    def _is_torn(self) -> bool:
        # At every line, not only at the first: another writer may have died halfway since.
        size = os.fstat(self.handle).st_size
        return size > 0 and os.pread(self.handle, 1, size - 1) != b"\n"

    def close(self) -> None:
        """Give the file back; harmless a second time."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


class Tail:
    """Reads a growing file from its start, whole lines only; each `read` returns what has come since the last one."""

    def __init__(self, path: Path):
        self.path = path
        self.kind, self.classes = KINDS[path.name]
        self.offset = 0
        self.lines = 0

    def read(self, most: int | None = None) -> list[Stamped]:
        """What has come, in order; nothing for a file that is not there yet. `seq` is the line's number in the file.

        `most` bounds the bytes that are read at once; a line that is longer is read whole.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                text = file.read(most)
                if most is not None and b"\n" not in text:
                    text += file.readline()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        found = []
        for line in whole.split(b"\n")[:-1]:
            read = decode(line, self.kind, self.classes)
            # Two writers may have stamped the same number: the place in the file is what tells lines apart.
            if read is not None:
                found.append(Stamped(self.lines, read.at, read.fact))
            self.lines += 1
        return found


def read_events(folder: Path) -> list[Stamped]:
    """Every event of a run so far; raises `BadInput` where there are some that cannot be read."""
    try:
        return Tail(Path(folder) / "events.jsonl").read()
    except OSError as error:
        raise BadInput(f"folder {shorten(str(folder))} holds a run whose events cannot be read: {error.strerror}.") from error


def is_over(folder: Path) -> bool:
    """Whether the last whole line of a run's events ends the run; reads the end of the file only."""
    try:
        with open(Path(folder) / "events.jsonl", "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return False
    last = decode(lines[-1], "event", EVENTS) if lines else None
    return last is not None and isinstance(last.fact, ENDS)


def post(folder: Path, command: object) -> None:
    """Append one command to a run; many processes may do so at once. Raises `Unwritten` where the disk takes no more."""
    with telling_full("What was asked"):
        writer = Writer(Path(folder) / "commands.jsonl")
        try:
            writer.append(command)
        finally:
            writer.close()


def list_runs(where: Path | None = None) -> list[Path]:
    """The run folders under `where` (default: `home()`), newest first."""
    where = home() if where is None else where
    return sorted((path.parent for path in where.glob("*/recipe.json")), key=lambda path: path.name, reverse=True)


def find_run(name: str, where: Path | None = None) -> Path:
    """The folder of a run by its name, as an address gives it; raises `BadInput` for a path or a run that is not there."""
    where = home() if where is None else where
    # Looked for among what is there: a name that goes up, is too long or holds a zero byte never reaches the file system.
    for folder in list_runs(where):
        if folder.name == name:
            return folder
    raise BadInput(f"run {shorten(name)} is not in {where}.")
