"""A sweep's cells as tasks of a cluster: which of them go together, in which order, and what each task needs to be given.

One whose process dies is done again in another. Knows nothing of how a cell is measured, and writes nothing down.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from engine.cells import needs
from engine.cluster import furnish, joined, offered, processes_here
from engine.ground import failed
from engine.record.catalogue import models
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.recipe import Recipe
from engine.record.sweep import Cell, Mode

TASKS, CELLS = 4, 16  # a process gets about so many tasks of a stage, and a task at most so many cells
FLOAT, COPIES = 4, 2  # bytes; the whole model's weights, and at most as much in layers that are cut


def check_scheduler(scheduler: str, mode: Mode) -> None:
    """Raise `BadInput` for a scheduler that is none, where Dask is missing, and for a search."""
    processes_here(scheduler)
    if mode == "search":
        raise BadInput("scheduler goes with the modes 'measure' and 'recover'; a search decides by one cell which is next.")


def dispatched(cells: Sequence[Cell], mode: Mode, scheduler: str, memory: int, folder: Path | None = None) -> Iterator[Event]:
    """The events of the cells, task by task as they are done.

    What cells share takes at most `memory` bytes: in all processes of this machine together, or in each process of a cluster
    elsewhere. Statistics are kept in `folder` for the processes of this machine. Raises `BadInput` where no cluster answers.
    """
    yield from (failed(cell, cell.error) for cell in cells if cell.recipe is None)
    here = processes_here(scheduler)
    memory //= here or 1
    with joined(scheduler) as client:
        from distributed import as_completed

        from engine.station import Station, work

        station = Station(f"espalier-{secrets.token_hex(4)}", memory, folder if here else None)
        furnish(client, station)
        processes, waiting = offered(client), {}
        try:
            for turn, task in enumerate(tasks(cells, mode, len(processes))):
                wanted = wanted_by(task[0].recipe, memory, processes)
                if not any(all(process.get(name, 0) >= amount for name, amount in wanted.items()) for process in processes):
                    most = " and ".join(f"{amount:,} of {name}" for name, amount in wanted.items())
                    yield from (failed(cell, f"It needs {most}, which no worker of the cluster has.") for cell in task)
                    continue
                waiting[client.submit(work, station.name, mode, task, pure=False, priority=-turn, resources=wanted)] = task
            for future in as_completed(list(waiting), loop=client.loop):
                task, error = waiting.pop(future), future.exception()
                yield from future.result() if error is None else (failed(cell, reason(error)) for cell in task)
        finally:
            client.cancel(list(waiting), force=True)
            client.unregister_worker_plugin(station.name)


def tasks(cells: Sequence[Cell], mode: Mode, processes: int) -> list[tuple[Cell, ...]]:
    """The cells that have a recipe in portions, those of one stage before those of the next. In a portion are cells of one model
    and text that begin alike, as they share most; a cell that trains is alone."""
    possible = [cell for cell in cells if cell.recipe is not None]
    if mode == "recover":
        return [(cell,) for cell in possible]
    names = sorted({name for cell in possible for name in cell.set}, key=_from_the_front)
    values = {name: list(dict.fromkeys(json.dumps(cell.set[name]) for cell in possible)) for name in names}
    line = sorted(possible, key=lambda cell: (cell.stage, needs(cell), cell.seed, *_places(cell, values)))
    found = []
    for _, group in groupby(line, key=lambda cell: (cell.stage, needs(cell))):
        inside = list(group)
        size = min(CELLS, -(-len(inside) // (TASKS * processes)))
        found += [tuple(inside[at : at + size]) for at in range(0, len(inside), size)]
    return found


def wanted_by(recipe: Recipe, memory: int, processes: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """What a task takes of the resources that some process has declared: bytes of "memory" for the weights and for what cells
    share, and an "accelerator" where the recipe names one. What nobody has declared is not counted."""
    weights = next((model.parameters for model in models() if model.name == recipe.model), 0)
    wanted = {"memory": COPIES * FLOAT * weights + memory, "accelerator": int(recipe.device not in ("auto", "cpu"))}
    declared = {name for process in processes for name in process}
    return {name: amount for name, amount in wanted.items() if amount and name in declared}


def reason(error: BaseException) -> str:
    """Why a task came to nothing, in a sentence."""
    if type(error).__name__ == "KilledWorker":  # named, for Dask need not be there to read this file
        return "Every process that it was given to has died."
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _from_the_front(name: str) -> tuple[bool, list[str]]:
    """What to sort fields by: those of single blocks and layers last, in the order of the layers."""
    parts = name.split(".")
    return parts[-1].isdecimal(), [part.zfill(4) for part in parts]


def _places(cell: Cell, values: Mapping[str, Sequence[str]]) -> Iterator[int]:
    return (among.index(json.dumps(cell.set[name])) for name, among in values.items())
