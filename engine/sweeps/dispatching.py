"""A sweep's cells as tasks of a cluster: which of them go together, in which order, and what each task needs to be given.

One whose process dies is done again in another. Knows nothing of how a cell is measured, and writes nothing down.
"""

import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, groupby, islice
from pathlib import Path

from engine.record.catalogue import models
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.recipe import Recipe
from engine.record.sweep import Cell, Mode
from engine.sweeps.cells import needs
from engine.sweeps.cluster import furnish, joined, offered, processes_here
from engine.sweeps.in_flight import Gone, Offer, Outcome, Task, has, outcomes
from engine.sweeps.measuring import PLANNED, failed
from engine.sweeps.order import side_by_side
from engine.sweeps.training import together

TASKS, CELLS = 4, 16  # a process gets about so many tasks of a stage, and a task at most so many cells
FLOAT = 4  # bytes
# Of the model's weights: as much again in layers that are cut; in a training as much in gradients, in each of two moments, in the
# best state so far, and in the control or the teacher.
COPIES: dict[Mode, int] = {"measure": 2, "recover": 6}


def check_scheduler(scheduler: str, mode: Mode) -> None:
    """Raise `BadInput` for a scheduler that is none, where Dask is missing, and for a search."""
    processes_here(scheduler)
    if mode == "search":
        raise BadInput("scheduler goes with the modes 'measure' and 'recover'; a search decides by one cell which is next.")


def dispatched(cells: Sequence[Cell], mode: Mode, scheduler: str, memory: int, folder: Path | None = None) -> Iterator[Event]:
    """The events of the cells, task by task as they are done.

    What cells share takes at most `memory` bytes: in all processes of this machine together, or in each process of a cluster
    elsewhere. Statistics are kept in `folder` for the processes of this machine. Raises `BadInput` where no cluster answers,
    where it is lost, and where it has no process any more.
    """
    yield from (failed(cell, cell.error) for cell in cells if cell.recipe is None)
    here, by_number = processes_here(scheduler), {cell.number: cell for cell in cells}
    memory //= here or 1
    with joined(scheduler) as client:
        from engine.sweeps.cluster_worker import ClusterWorker, work

        kept = ClusterWorker(f"espalier-{secrets.token_hex(4)}", memory, folder if here else None, cells)
        furnish(client, kept)
        try:
            offers = offered(client)
            line, portions = deque(), tasks(cells, mode, len(offers))
            for at, portion in enumerate(portions):
                wanted = wanted_by(portion[0].recipe, mode, memory, offers)
                if any(has(offer, wanted) for offer in offers):
                    coming = islice(chain.from_iterable(portions[at + 1 :]), PLANNED)
                    numbers, later = ([cell.number for cell in some] for some in (portion, coming))
                    line.append(Task((kept.name, mode, numbers, later), wanted))
                    continue
                most = " and ".join(f"{amount:,} of {name}" for name, amount in wanted.items())
                yield from (failed(cell, f"It needs {most}, which no worker of the cluster has.") for cell in portion)
            for outcome in outcomes(client, work, line):
                numbers = outcome.task.arguments[2]
                if outcome.has_killed and len(numbers) > 1:  # one of them may be what kills: each is tried alone
                    line += [replace(outcome.task, arguments=(kept.name, mode, [number], [])) for number in numbers]
                elif outcome.error is not None:
                    yield from (failed(by_number[number], reason(outcome)) for number in numbers)
                else:
                    yield from outcome.result
        except Gone as error:
            again = "begun again in the same folder, the sweep goes on from the cells that are done"
            raise BadInput(f"The scheduler {scheduler} {error}; {again}.") from error
        finally:
            with suppress(Exception):  # whatever this fails for, since processes have died, what came of the cells stands
                client.unregister_worker_plugin(kept.name)


def tasks(cells: Sequence[Cell], mode: Mode, processes: int) -> list[tuple[Cell, ...]]:
    """The cells that have a recipe in portions, those of one stage before those of the next. In a portion are cells of one model
    and text that begin alike, as they share most; one that trains is alone, beside others of that model."""
    possible = [cell for cell in cells if cell.recipe is not None]
    if mode == "recover":
        return [(cell,) for cell in together(possible)]
    line = sorted(side_by_side(possible), key=lambda cell: (cell.stage, needs(cell)))  # stable
    found = []
    for _, group in groupby(line, key=lambda cell: (cell.stage, needs(cell))):
        inside = list(group)
        size = min(CELLS, -(-len(inside) // (TASKS * processes)))
        found += [tuple(inside[at : at + size]) for at in range(0, len(inside), size)]
    return found


def wanted_by(recipe: Recipe, mode: Mode, memory: int, processes: Sequence[Offer]) -> dict[str, int]:
    """What a task takes of the resources that some process has declared: bytes of "memory" for the weights, of a model that is
    known beforehand, and what measuring shares or training adds, and an "accelerator" where the recipe names one. What nobody has
    declared is not counted."""
    weights = next((model.parameters for model in models() if model.name == recipe.model), 0)
    taken = COPIES[mode] * FLOAT * weights + (memory if mode == "measure" else 0)
    wanted = {"memory": taken, "accelerator": int(recipe.device not in ("auto", "cpu"))}
    declared = {name for process in processes for name in process}
    return {name: amount for name, amount in wanted.items() if amount and name in declared}


def reason(outcome: Outcome) -> str:
    """Why a task came to nothing, in a sentence."""
    if outcome.has_killed:
        return "Every process that it was given to has died."
    return f"{type(outcome.error).__name__}: {' '.join(str(outcome.error).split())}"
