"""One sweep that is read on as its cells come, and how fast they do; starts and stops none, and draws nothing."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from engine.record.cells import SweepCellDone, SweepStarted
from engine.record.errors import BadInput
from engine.record.folder import Tail
from engine.record.sweep import parse_sweep
from engine.record.sweep_folder import FILE, SweepState, fold
from widgets.axes import label_of


@dataclass(frozen=True)
class Pace:
    """Of the cells that a process has done since it was started: how many, and the seconds between the first and the last."""

    cells: int = 0
    seconds: float = 0.0


class Followed:
    """A sweep that is read on, and how fast its cells come."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            text = (folder / FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"The sweep {folder.name} cannot be read.") from error
        self.state = SweepState(parse_sweep(text))
        self.pace = Pace()
        self._tail = Tail(folder / "events.jsonl")
        self._first: float | None = None  # when the first cell was done that a process has done

    def read(self, going: bool) -> None:
        """Take in what has come since the last time; raises `BadInput` where it cannot be read."""
        try:
            stamped = self._tail.read()
        except OSError as error:
            raise BadInput(f"The events of {self.folder.name} cannot be read: {error.strerror}.") from error
        for line in stamped:
            match line.fact:
                case SweepStarted():
                    self._first, self.pace = None, Pace()
                case SweepCellDone():
                    self._first = line.at if self._first is None else self._first
                    self.pace = Pace(self.pace.cells + 1, max(0.0, line.at - self._first))
        state = fold(self.state, stamped) if stamped else self.state
        if state.status == "busy" and not going:
            state = replace(state, status="interrupted")
        elif state.status == "interrupted" and going:
            state = replace(state, status="busy")
        if state != self.state:
            self.state = state


def title_of(folder: Path) -> str:
    """What a sweep goes over, in words, read from its file without making its cells."""
    try:
        plain = json.loads((folder / FILE).read_text(encoding="utf-8"))
        axes, mode, model = list(plain["axes"]), plain.get("mode", "measure"), plain["recipe"].get("model", "gpt2-tiny")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "a sweep that cannot be read"
    return f"{' × '.join(map(label_of, axes)) or 'seeds'}, {mode}, {model}"
