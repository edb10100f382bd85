"""Carries a sweep out: every cell that is not done, in its order, as events; in a folder it can be stopped and goes on later.

`engine.record.sweep` says what cells there are, `engine.sweeps.cells` what comes of each; this file begins and ends the whole.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from engine.provenance import machine, versions
from engine.record.catalogue import version
from engine.record.cells import SweepCellDone, SweepStarted
from engine.record.claim import in_use, take_lock
from engine.record.errors import BadInput
from engine.record.events import Event, StepTrained
from engine.record.lifecycle import MemoryEstimated, Progressed, RunFailed, RunFinished
from engine.record.memory import available
from engine.record.sweep import Sweep
from engine.record.sweep_folder import SweepState, begin, replayed
from engine.session import written
from engine.sweeps.cells import measured
from engine.sweeps.dispatching import check_scheduler, dispatched
from engine.sweeps.searching import searched
from engine.sweeps.training import recovered

PASSING = (Progressed, StepTrained, MemoryEstimated)  # of thousands of cells these would fill a disk
SHARE, MOST = 4, 4 * 10**9  # of the free memory one part is for what cells share, and no more bytes than that


def sweep(
    asked: Sweep, folder: Path | str | None = None, memory: int | None = None, scheduler: str | None = None
) -> Iterator[Event]:
    """Carry out a sweep, yielding each event as it happens; a `SweepCellDone` for every cell.

    In a folder, when one is given, the sweep is written down, and goes on where it was left: cells that are done are not done
    again, those that have failed are. At most `memory` bytes are kept of what cells share (None: a quarter of what is free, and
    4 GB at most), on an accelerator no more than a quarter of what is free there. The cells are done in this process; or, with a
    `scheduler`, in those of a Dask cluster: "local:2" starts two here, and "tcp://10.0.0.1:8786" is one that runs already.
    The last event is `RunFinished`, `RunStopped`, or `RunFailed` where no cell could be done. Raises `BadInput` at once for a
    folder that holds something else or is in use, and for a scheduler that is none.
    """
    if scheduler is not None:
        check_scheduler(scheduler, asked.mode)
    memory = min(MOST, available() // SHARE) if memory is None else memory
    if memory < 0:
        raise BadInput(f"memory {memory} is not possible; give a number of bytes from 0 up.")
    if folder is None:
        return _carried_out(SweepState(asked), memory, None, scheduler)
    folder = begin(asked, Path(folder))
    if (claim := take_lock(folder, worker=os.getpid())) is None:
        raise in_use(folder)
    return written(claim, _carried_out(replayed(asked, folder), memory, folder, scheduler), PASSING)


def _carried_out(state: SweepState, memory: int, folder: Path | None, scheduler: str | None) -> Iterator[Event]:
    asked, waiting = state.sweep, state.waiting
    before = len(asked.cells) - len(waiting)
    good, failure = before, ""
    where = version(), scheduler, versions(), machine()
    yield SweepStarted(asked.plain(), len(asked.cells), before, memory, *where)
    try:
        match asked.mode:
            case "measure" | "recover" if scheduler is not None:
                events = dispatched(waiting, asked.mode, scheduler, memory, folder)
            case "measure":
                events = measured(waiting, memory, folder)
            case "recover":
                events = recovered(waiting)
            case _:
                events = searched(asked, state.done, memory, folder)
        for event in events:
            yield event
            if isinstance(event, SweepCellDone):
                good += event.status == "done"
                failure = failure or event.error or ""
    except BadInput as error:
        yield RunFailed(str(error), error.field)
        return
    except Exception as error:
        # Whatever it was, the record of the sweep ends with it; the error itself goes on to whoever called.
        yield RunFailed(f"{type(error).__name__}: {error}")
        raise
    yield RunFinished() if good else RunFailed(f"None of the {len(asked.cells):,} cells could be done: {failure}")
