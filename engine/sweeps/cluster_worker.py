"""What one process of a Dask cluster does: measures the cells that it is sent, and keeps the model for the next ones.

Knows nothing of folders, of the order of cells and of the other processes. Imported only where `distributed` is installed.
"""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock

from distributed import Worker, WorkerPlugin, get_worker

from engine.failures import is_fatal
from engine.record.catalogue import version
from engine.record.cells import SweepCellDone
from engine.record.events import Event
from engine.record.lifecycle import Degraded
from engine.record.memory import keep_freed
from engine.record.sweep import Cell
from engine.sweeps.cells import CellMeasurer
from engine.sweeps.training import CellTrainer

AGAIN = 75  # the exit status of a process that cannot use its accelerator any more; its nanny starts another


class ClusterWorker(WorkerPlugin):  # Dask asks for this base; it holds nothing
    """What a process of the cluster keeps between two tasks of one sweep: the model with its text, and at most `memory` bytes of
    what `cells` share there, or the model that they are trained from. Statistics are kept in `folder`, where one is given."""

    def __init__(self, name: str, memory: int, folder: Path | None, cells: Sequence[Cell]):
        self.name, self.version = name, version()
        self._memory, self._folder = memory, folder
        self._cells = {cell.number: cell for cell in cells}
        self._measurer: CellMeasurer | None = None
        self._trainer: CellTrainer | None = None
        self._turn: Lock | None = None  # a process may have been given several threads, and there is one model

    def setup(self, worker: Worker) -> None:
        """Begin, in the process itself; raises where another version of this project is installed there."""
        if version() != self.version:
            raise RuntimeError(f"{worker.address} has version {version()} of this project, and {self.version} asks.")
        keep_freed()  # before the thread begins in which Dask carries tasks out
        self._measurer, self._trainer, self._turn = CellMeasurer(self._memory, self._folder), CellTrainer(), Lock()

    def teardown(self, worker: Worker) -> None:
        """Let go of everything."""
        self._measurer.close()
        self._trainer.close()

    def done(self, mode: str, numbers: Sequence[int], coming: Sequence[int]) -> list[Event]:
        """What came of the cells of these numbers, with what was done in another way than was asked; what they share with those
        that are `coming` is kept."""
        cells, later = ([self._cells[number] for number in some] for some in (numbers, coming))
        doing = self._trainer.recovered(cells) if mode == "recover" else self._measurer.measured(cells, later)
        with self._turn, closing(doing) as events:
            return [event for event in events if isinstance(event, SweepCellDone | Degraded)]


def work(name: str, mode: str, numbers: Sequence[int], coming: Sequence[int]) -> list[Event]:
    """The task: the events of some cells, by their numbers. Where an accelerator fails the process ends itself, and they are done
    in another."""
    try:
        return get_worker().plugins[name].done(mode, numbers, coming)
    except RuntimeError as error:
        if is_fatal(error):
            os._exit(AGAIN)
        raise
