"""The tasks of a Dask cluster: as many are on their way as it has processes, and each comes back, whatever dies meanwhile.

Dask counts a death against all tasks that a process was given, so it is given one at a time. Knows nothing of sweeps and cells:
a task is the arguments of a function, and what it wants of a process.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from engine.sweeps.cluster import offered, replenish

if TYPE_CHECKING:
    from distributed import Client, Future

LOOK, LOST = 5, 300  # seconds: between two looks at a silent cluster, and until one without a process for what waits is given up
FETCH = 30  # seconds for a result that a process has, should it die before it has handed it over
Offer = Mapping[str, float]  # what a process can give to one task, by name


class Gone(Exception):
    """The cluster can do nothing more: what it has come to, in words that go on from its name."""


@dataclass(frozen=True)
class Task:
    """The arguments of the function, and what it wants of a process."""

    arguments: tuple[Any, ...]
    wanted: Offer


@dataclass(frozen=True)
class Outcome:
    """What came of a task: its result, or the error that it ended with."""

    task: Task
    result: Any = None
    error: BaseException | None = None

    @property
    def has_killed(self) -> bool:
        """Whether every process that it was given to has died."""
        return type(self.error).__name__ == "KilledWorker"  # named, for Dask need not be there to read this file


def has(offer: Offer, wanted: Offer) -> bool:
    """Whether a process that offers so much can do what wants so much."""
    return all(offer.get(name, 0) >= amount for name, amount in wanted.items())


def outcomes(client: "Client", function: Callable[..., Any], line: deque[Task]) -> Iterator[Outcome]:
    """Send the tasks, from the front of the line, and yield what came of each; whoever takes one may add to the line meanwhile.

    Raises `Gone` where the scheduler is lost, and where for `LOST` seconds no process was there that could do what waits. What is
    on its way is given up, whatever ends it.
    """
    sent: dict[Future, Task] = {}
    back: SimpleQueue[Future] = SimpleQueue()
    useful = time.monotonic()  # when there was last a process that could do something that waits
    try:
        while line or sent:
            there = offered(client)
            while line and len(sent) < max(1, len(there)):
                task = line.popleft()
                future = client.submit(function, *task.arguments, pure=False, resources=dict(task.wanted))
                sent[future] = task
                future.add_done_callback(back.put)
            try:
                future = back.get(timeout=LOOK)
            except Empty:
                replenish(client)
                if any(has(offer, task.wanted) for offer in there for task in sent.values()):
                    useful = time.monotonic()
                elif time.monotonic() - useful > LOST:
                    raise Gone(f"has had no process for what waits for {LOST} s") from None
                continue
            useful = time.monotonic()
            if future.cancelled():  # which nobody here has asked for: the client gives up all of them at once
                raise Gone("was lost")
            try:
                outcome = _outcome(future, sent[future])
            except TimeoutError:  # it was lost with its process, and Dask does it again
                future.add_done_callback(back.put)
                continue
            del sent[future]
            yield outcome
    finally:
        with suppress(Exception):  # whatever this fails for, since processes have died, what came back stands
            client.cancel(list(sent), force=True)


def _outcome(future: "Future", task: Task) -> Outcome:
    if future.status == "error":
        return Outcome(task, error=future.exception())
    return Outcome(task, result=future.result(timeout=FETCH))
