"""A sweep's folder, and what has come of each cell so far, as the fold of its events; measures nothing.

The folder is a run's, with `sweep.json` in place of a recipe. A cell has one event when it is done; of a cell that was done
again, since it had failed, the last one counts.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.record.cells import SweepBestFound, SweepCellDone, SweepStarted
from engine.record.claim import is_held
from engine.record.errors import BadInput, shorten
from engine.record.folder import home, name_for, read_events, write_atomic
from engine.record.lifecycle import RunFailed, RunFinished, RunStopped
from engine.record.line import Stamped
from engine.record.sweep import Cell, Sweep, parse_sweep

FILE = "sweep.json"


@dataclass(frozen=True)
class SweepState:
    """A sweep as it stands. `status`: new, busy, interrupted (nobody goes on with it), finished, stopped or failed. `done` has
    the cells that were measured or have failed, by their number; `failure` says why the whole came to nothing, `best` is the
    cell that a search has found, `scheduler` the cluster on which it was carried out last."""

    sweep: Sweep
    status: str = "new"
    done: Mapping[int, SweepCellDone] = field(default_factory=dict)
    memory: int | None = None
    failure: str | None = None
    best: SweepBestFound | None = None
    scheduler: str | None = None

    @property
    def waiting(self) -> tuple[Cell, ...]:
        """The cells that are still to be done, those that have failed among them, in their order."""
        good = {number for number, found in self.done.items() if found.status == "done"}
        return tuple(cell for cell in self.sweep.cells if cell.number not in good)


def fold(state: SweepState, events: Iterable[Stamped]) -> SweepState:
    """The state after some more events; events that are not about cells change nothing."""
    done = dict(state.done)
    for stamped in events:
        match stamped.fact:
            case SweepStarted(memory=memory, scheduler=scheduler):
                state = replace(state, status="busy", memory=memory, failure=None, scheduler=scheduler)
            case SweepCellDone() as cell:
                done[cell.number] = cell
            case SweepBestFound() as best:
                state = replace(state, best=best)
            case RunFinished():
                state = replace(state, status="finished")
            case RunStopped():
                state = replace(state, status="stopped")
            case RunFailed(reason=reason):
                state = replace(state, status="failed", failure=reason)
    return replace(state, done=done)


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds a sweep and no run."""
    return (Path(folder) / FILE).is_file()


def list_sweeps(where: Path | None = None) -> list[Path]:
    """The sweep folders under `where` (default: `home()`) and in the folders of experiments there, the newest names first."""
    where = home() if where is None else where
    return sorted((path.parent for pattern in (f"*/{FILE}", f"*/*/{FILE}") for path in where.glob(pattern)), reverse=True)


def open_sweep(folder: Path | str) -> SweepState:
    """Replay what happened in a sweep's folder; raises `BadInput` for a folder that holds none that can be used here."""
    folder = Path(folder)
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"folder {shorten(str(folder))} holds no sweep: its {FILE} cannot be read.") from error
    state = replayed(parse_sweep(text), folder)
    return replace(state, status="interrupted") if state.status == "busy" and not is_held(folder) else state


def replayed(sweep: Sweep, folder: Path) -> SweepState:
    """The state of a sweep that lies in a folder, by its events alone."""
    return fold(SweepState(sweep), read_events(folder))


def begin(sweep: Sweep, folder: Path | None = None) -> Path:
    """Make a folder for a sweep, or find it again with the same sweep in it; raises `BadInput` for a folder that holds anything
    else or cannot be made."""
    recipe = next(cell.recipe for cell in sweep.cells if cell.recipe is not None)
    folder = home() / name_for(recipe) if folder is None else Path(folder)
    try:
        if (folder / "recipe.json").exists():
            raise BadInput(f"folder {shorten(str(folder))} holds a run already; name another one.")
        if is_sweep(folder):
            there = (folder / FILE).read_text(encoding="utf-8")
            if there != _text(sweep):
                raise BadInput(f"folder {shorten(str(folder))} holds another sweep already; name another one.")
            return folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(folder / FILE, _text(sweep))
    except OSError as error:
        raise BadInput(f"folder {shorten(str(folder))} cannot be made ({error.strerror}); name another one.") from error
    return folder


def _text(sweep: Sweep) -> str:
    return json.dumps(sweep.plain(), indent=2) + "\n"


def cells_told(state: SweepState) -> list[dict[str, Any]]:
    """Every cell as plain JSON, in the order in which they are done; null is what was not measured. Cells that a search did not
    need are "skipped"."""
    told, left = [], "waiting" if state.best is None else "skipped"
    for cell in state.sweep.cells:
        found = state.done.get(cell.number)
        rare = ("latency", "degraded")  # told where there is any
        also = {name: [asdict(each) for each in getattr(found, name)] for name in rare if found and getattr(found, name)}
        told.append(
            {
                "set": dict(cell.set),
                "seed": cell.seed,
                "status": found.status if found else left,
                "perplexity": found.perplexity if found else None,
                "parameters": found.parameters if found else None,
                "seconds": round(found.seconds, 3) if found else None,
                "error": found.error if found else None,
                "perplexities": dict(found.perplexities) if found else {},
                **also,
            }
        )
    return told
