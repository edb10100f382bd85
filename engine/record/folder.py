"""A run folder on disk: make, append, tail, lock, list, write at once; knows lines and files, not what they mean.

    runs/<utc time>-<model>-<6 characters>/
        recipe.json  events.jsonl  commands.jsonl  lock.json  checkpoints/  model/  artifacts/  viewers/  worker.log

A line is one `write` in append mode, so two pages may post to one run. A torn last line (a process died while writing) is
ignored by readers; the next writer closes it off, and marks it as that, before its own line. Any other line that cannot be read
is damage, and is told with its number; so are lines that are gone, there twice, or in another order.
"""

import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
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
from engine.record.lifecycle import Degraded, RunStarted
from engine.record.line import TORN, Stamped, Unreadable, decode, encode, is_checked
from engine.record.line_order import Copy, Missing, Places
from engine.record.paths import typed
from engine.record.recipe import Recipe

HEAD = 65_536  # bytes of events among which the one that began the run is looked for
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


def create(recipe: Recipe, folder: Path | None = None, before: Callable[[Path], None] = lambda folder: None) -> Path:
    """Make a run folder with its recipe in it; raises `BadInput` for a folder that holds a run already or cannot be made.

    `before` is done in the folder while it holds no run yet.
    """
    folder = home() / name_for(recipe) if folder is None else Path(folder)
    try:
        if (folder / "recipe.json").exists():
            raise BadInput(f"folder {shorten(str(folder))} holds a run already; name another one.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        before(folder)
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
    """The recipe of a run as it was written, good for today or not; that of its record where recipe.json is damaged. Raises
    `BadInput` for a folder that holds no run."""
    recipe, wrong = _recipe_file(folder)
    if not wrong:
        return recipe
    if (kept := _kept_recipe(folder)) is None:
        raise BadInput(f"folder {shorten(str(folder))} holds no run: its {wrong}.")
    return kept


def damaged_recipe(folder: Path) -> Degraded | None:
    """What there is to say where the recipe of the record stands in for a recipe.json that is damaged."""
    wrong = _recipe_file(folder)[1]
    return Degraded("the recipe of recipe.json", "that of the record", wrong) if wrong else None


def mend_recipe(folder: Path) -> Degraded | None:
    """Write such a recipe.json anew, where the disk takes it; returns the same."""
    told = damaged_recipe(folder)
    if told is not None:
        with suppress(OSError):
            write_atomic(Path(folder) / "recipe.json", json.dumps(plain_recipe(folder), indent=2) + "\n")
    return told


def _recipe_file(folder: Path) -> tuple[Any, str]:
    """What recipe.json says, and what is wrong with it, "" for nothing."""
    try:
        recipe = json.loads((Path(folder) / "recipe.json").read_text(encoding="utf-8"))
        json.dumps(recipe, allow_nan=False, ensure_ascii=False).encode()  # Python's reader takes NaN and half characters as well
    except OSError as error:
        why = "there is no recipe.json in it" if isinstance(error, FileNotFoundError) else error.strerror
        raise BadInput(f"folder {shorten(str(folder))} holds no run: {why}.") from error
    except (ValueError, RecursionError):
        return None, "recipe.json is not JSON"
    return recipe, "" if isinstance(recipe, dict) else f"recipe.json holds {shorten(recipe)}"


def _kept_recipe(folder: Path) -> dict[str, Any] | None:
    try:
        begun = beginning(folder)
    except OSError:
        return None
    return None if begun is None else begun.fact.recipe


def write_atomic(path: Path, text: str) -> None:
    """Write a whole file beside its place and rename it, so that a reader sees the old text or the new, never half of one."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except BaseException:  # a full disk, text that cannot be encoded, Ctrl-C
        os.unlink(beside)
        raise


class Writer:
    """Appends facts to one file of a run folder, each one line and one `write`; holds the file open until `close`.

    What is only half written, for want of room, is torn: it does not count, and the next line closes it off.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time):
        self.kind, self.path = KINDS[path.name][0], path
        self.clock = clock
        self.handle: int | None = os.open(path, os.O_APPEND | os.O_CREAT | os.O_RDWR, 0o600)
        self._lines = self._size = 0  # lines of the file, and its bytes in which they were counted
        self._faults = only("log") if self.kind == "event" else Faults("")

    def append(self, fact: object) -> Stamped:
        """Stamp a fact with its line number and the time, and write it. Raises `ValueError` for NaN and infinity, `OSError` where
        the disk takes no more, and `BadInput` where the file was deleted: what is written there nobody will read."""
        # At every line, not only at the first: another writer may have come between, or have died halfway through its own.
        self._count()
        if self._faults.strikes("log", self._lines):
            raise full()
        mend = TORN if self._size and os.pread(self.handle, 1, self._size - 1) != b"\n" else b""
        stamped = Stamped(self._lines + bool(mend), self.clock(), fact)
        line = mend + encode(fact, self.kind, stamped.seq, stamped.at)
        if os.write(self.handle, line) < len(line):
            raise full()
        return stamped

    def _count(self) -> None:
        found = os.fstat(self.handle)
        if not found.st_nlink:
            raise BadInput(f"{shorten(self.path)} was deleted while something went on there; nothing of it is kept, begin anew.")
        size = found.st_size
        if size < self._size:  # somebody has cut it
            self._lines = self._size = 0
        self._lines += os.pread(self.handle, size - self._size, self._size).count(b"\n")
        self._size = size

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
        self._places = Places()
        self._at = 0.0  # when the line before was written

    def read(self, most: int | None = None) -> list[Stamped]:
        """What has come, in order; nothing for a file that is not there yet. `seq` is the line's place in the file. Where lines
        before one are missing, an `Unreadable` of the same place tells of them, and one stands for a line that is a copy.

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
            place = self._places.count
            wrong = self._places.see(line, read.seq if read is not None and is_checked(line) and read.seq >= 0 else None)
            if read is None:
                continue
            if isinstance(read.fact, Unreadable) and read.fact.damaged:
                why = f"line {place + 1} of {self.path.name} is not as it was written"
                read = replace(read, at=self._at, fact=replace(read.fact, reason=f"{why}."))
            if wrong is not None:
                found.append(Stamped(place, read.at, _astray(wrong, place, self.path.name)))
            if not isinstance(wrong, Copy):
                found.append(Stamped(place, read.at, read.fact))
            self._at = read.at
        return found


def _astray(wrong: Missing | Copy, place: int, name: str) -> Unreadable:
    match wrong:
        case Copy(of):
            why = f"line {place + 1} of {name} is a copy of line {of + 1}"
        case Missing(first, last) if first < last:
            why = f"lines {first + 1} to {last + 1} of {name} are gone, or not in their places"
        case Missing(first):
            why = f"line {first + 1} of {name} is gone, or not in its place"
    return Unreadable("", "", f"{why}.", damaged=True, astray=True)


def read_events(folder: Path) -> list[Stamped]:
    """Every event of a run so far; raises `BadInput` where there are some that cannot be read."""
    return _read(folder, "events")


def read_commands(folder: Path) -> list[Stamped]:
    """Every command that a run was given so far; raises `BadInput` where there are some that cannot be read."""
    return _read(folder, "commands")


def _read(folder: Path, what: str) -> list[Stamped]:
    try:
        return Tail(Path(folder) / f"{what}.jsonl").read()
    except OSError as error:
        raise BadInput(f"folder {shorten(str(folder))} holds a run whose {what} cannot be read: {error.strerror}.") from error


def beginning(folder: Path) -> Stamped | None:
    """The event that began a run, None where there is none; by its time the run is told from every other, wherever it lies."""
    return next((one for one in Tail(Path(folder) / "events.jsonl").read(HEAD) if isinstance(one.fact, RunStarted)), None)


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
    with telling_full("What was asked"), closing(Writer(Path(folder) / "commands.jsonl")) as writer:
        writer.append(command)


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
