"""A run folder on disk: make, append, tail, lock, list, write at once; knows lines and files, not what they mean.

    runs/<utc time>-<model>-<6 characters>/
        recipe.json  events.jsonl  commands.jsonl  lock.json  checkpoints/  model/  artifacts/  viewers/  worker.log

A line is one `write` in append mode, so two pages may post to one run. A torn last line (a process died while writing) is
ignored by readers; the next writer closes it off with a newline before its own line.
"""

import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from engine.record.commands import COMMANDS
from engine.record.errors import BadInput, shorten
from engine.record.events import ENDS, EVENTS
from engine.record.line import Stamped, decode, encode
from engine.record.recipe import Recipe

KINDS = {"events.jsonl": ("event", EVENTS), "commands.jsonl": ("command", COMMANDS)}


def home() -> Path:
    """The folder that all runs lie in: ESPALIER_HOME/runs, or runs/ in the working folder."""
    return Path(os.environ["ESPALIER_HOME"]).expanduser() / "runs" if os.environ.get("ESPALIER_HOME") else Path.cwd() / "runs"


def cache_home() -> Path:
    """Where converted models and other caches lie: ESPALIER_HOME/cache, or the user's cache folder."""
    if os.environ.get("ESPALIER_HOME"):
        return Path(os.environ["ESPALIER_HOME"]).expanduser() / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "espalier"


def create(recipe: Recipe, folder: Path | None = None) -> Path:
    """Make a run folder with its recipe in it; raises `BadInput` for a given folder that holds a run already."""
    folder = home() / name_for(recipe) if folder is None else Path(folder)
    if (folder / "recipe.json").exists():
        raise BadInput(f"folder {shorten(str(folder))} holds a run already; name another one.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(folder / "recipe.json", recipe.model_dump_json(indent=2) + "\n")
    return folder


def name_for(recipe: Recipe) -> str:
    """A name for a new run of a recipe: the time in UTC, the model, and six characters that make it the only one."""
    model = re.sub(r"[^A-Za-z0-9.]+", "-", recipe.model).strip("-.")[-40:]
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{model}-{secrets.token_hex(3)}"


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run; raises `BadInput` for a folder that holds no run."""
    path = Path(folder) / "recipe.json"
    if not path.is_file():
        raise BadInput(f"folder {shorten(str(folder))} holds no run: there is no recipe.json in it.")
    return Recipe.model_validate_json(path.read_text(encoding="utf-8"))


def write_atomic(path: Path, text: str) -> None:
    """Write a whole file beside its place and rename it, so that a reader sees the old text or the new, never half of one."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(beside, path)


class Writer:
    """Appends facts to one file of a run folder, each one line and one `write`; holds the file open until `close`."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time):
        self.kind = KINDS[path.name][0]
        self.clock = clock
        self.handle = os.open(path, os.O_APPEND | os.O_CREAT | os.O_RDWR, 0o600)
        text = path.read_bytes()
        self.seq = text.count(b"\n")
        self.mend = b"\n" if text and not text.endswith(b"\n") else b""
        self.seq += len(self.mend)

    def append(self, fact: object) -> Stamped:
        """Stamp a fact with its line number and the time, and write it."""
        stamped = Stamped(self.seq, self.clock(), fact)
        os.write(self.handle, self.mend + encode(fact, self.kind, stamped.seq, stamped.at))
        self.mend = b""
        self.seq += 1
        return stamped

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

    def read(self) -> list[Stamped]:
        """What has come, in order; nothing for a file that is not there yet. `seq` is the line's number in the file."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        found = []
        for line in whole.splitlines():
            read = decode(line, self.kind, self.classes)
            # Two writers may have stamped the same number: the place in the file is what tells lines apart.
            if read is not None:
                found.append(Stamped(self.lines, read.at, read.fact))
            self.lines += 1
        return found


def read_events(folder: Path) -> list[Stamped]:
    """Every event of a run so far."""
    return Tail(Path(folder) / "events.jsonl").read()


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
    """Append one command to a run; many processes may do so at once."""
    writer = Writer(Path(folder) / "commands.jsonl")
    writer.append(command)
    writer.close()


def list_runs(where: Path | None = None) -> list[Path]:
    """The run folders under `where` (default: `home()`), newest first."""
    where = home() if where is None else where
    return sorted((path.parent for path in where.glob("*/recipe.json")), key=lambda path: path.name, reverse=True)


def find_run(name: str, where: Path | None = None) -> Path:
    """The folder of a run by its name, as an address gives it; raises `BadInput` for a path or a run that is not there."""
    folder = (home() if where is None else where) / name
    if Path(name).name != name or not (folder / "recipe.json").is_file():
        raise BadInput(f"run {shorten(name)} is not in {home() if where is None else where}.")
    return folder
