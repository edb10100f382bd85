"""How soon a recovery that was killed trains again, and what its checkpoint costs; real processes, `gpt2-tiny`, on the CPU.

A cold start is the time from waking a worker for a new run to its first optimizer step: Python, torch, model, text. For the other
number worker and supervisor are killed in that recovery once it has left a bookmark, and the time is that from waking the next
ones, which go on from there, to their first step.
Three times each, the medians compared. The checkpoint is the one that a recovery of 200 steps, the default, ends with: the time
from the last validation until it is told, over that since the recovery began, by the stamps of the events.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks import Row
from engine.record import commands as ask
from engine.record.bookmark_names import folder_of, reached
from engine.record.client import Client, start
from engine.record.folder import read_events
from engine.record.line import Stamped
from engine.record.lock import read_lock
from engine.record.recipe import Recipe, Tuning

TIMES, PATIENCE = 3, 300.0
RECIPE = Recipe(device="cpu", tuning=Tuning(steps=200, control=False))


def measure() -> Iterator[Row]:
    """A row for the way back to training, one for the checkpoint."""
    with tempfile.TemporaryDirectory() as scratch:
        found = [_once(Path(scratch) / f"run-{number}") for number in range(TIMES)]
    cold, again, saving, whole = (statistics.median(each) for each in zip(*found, strict=True))
    yield Row("a killed recovery, to its first step", again, "s", 1.5, cold, "a cold start")
    yield Row("the checkpoint of 200 steps", saving, "s", 0.02, whole, "the recovery with it")


def _once(folder: Path) -> tuple[float, float, float, float]:
    """Seconds of a cold start, of the way back, of the checkpoint, and of the recovery with it."""
    client, asked = start(RECIPE, folder), ask.commands_of(RECIPE)

    def begin() -> None:
        for command in asked:
            if isinstance(command, ask.Load | ask.Tune):
                client.post(command)

    cold = _to_first_step(client, begin)
    _wait(client, lambda events: reached(folder_of(client.folder / "checkpoints")) is not None)
    holder = read_lock(client.folder)
    for pid in (holder["pid"], holder["worker"]):
        psutil.Process(pid).kill()
    while client.is_awake():
        time.sleep(0.01)
    again = _to_first_step(client, client.wake)
    _wait(client, lambda events: type(events[-1].fact).__name__ == "CommandFinished")
    client.post(ask.Finish())
    _wait(client, lambda events: client.is_over() and not client.is_awake())
    at = {type(each.fact).__name__: each.at for each in read_events(client.folder)}
    return cold, again, at["CheckpointSaved"] - at["Validated"], at["CheckpointSaved"] - at["TuningStarted"]


def _to_first_step(client: Client, wake: Callable[[], object]) -> float:
    before, began = _steps(read_events(client.folder)), time.perf_counter()
    wake()
    _wait(client, lambda events: _steps(events) > before)
    return time.perf_counter() - began


def _steps(events: list[Stamped]) -> int:
    return sum(type(each.fact).__name__ == "StepTrained" for each in events)


def _wait(client: Client, true: Callable[[list[Stamped]], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true(read_events(client.folder)):
        assert time.monotonic() < end, f"nothing came of {client.folder} in {PATIENCE} s"
        client.watch()
        time.sleep(0.02)
