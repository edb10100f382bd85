"""What happened to a run and to the process that carries it out, as frozen facts; knows nothing of models."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunStarted:
    """A run began; `recipe` is its plain form, `version` that of this project. `asked`: how many commands a run has that is one
    recipe, all of them asked before it began; None for one of the page, and in the record of a version before this field.
    `threads`: how many the process computes with that tells this and carries the run out; None where another one will."""

    recipe: dict[str, Any]
    version: str
    asked: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class WorkerStarted:
    """A process is there to carry commands out, with so many threads to compute with."""

    pid: int
    threads: int


@dataclass(frozen=True)
class CommandStarted:
    """The command written as line `command` of commands.jsonl is being carried out; `afresh` where what it and those after it had
    done before counts no more, since a checkpoint of theirs is damaged."""

    command: int
    name: str
    afresh: bool = False


@dataclass(frozen=True)
class CommandFinished:
    """A command is done, all of it."""

    command: int
    name: str


@dataclass(frozen=True)
class CommandRefused:
    """A command could not be carried out as asked; nothing has changed but what was checkpointed since it started.

    `field` is the recipe field that was wrong, or "".
    """

    command: int
    name: str
    field: str
    reason: str


@dataclass(frozen=True)
class CommandStopped:
    """A command was given up because that was asked."""

    command: int
    name: str


@dataclass(frozen=True)
class Progressed:
    """How far the command in hand has come, in its own unit."""

    what: str
    done: int
    total: int
    unit: str


@dataclass(frozen=True)
class MemorySampled:
    """Bytes in use: by the worker, by the whole machine and its total, by the accelerator and its total (None: there is none).

    `peak` is the most that the worker held since the command in hand began, None where the system does not tell. `grouped` says
    that the total is no machine's but the limit of a control group, a container's or a job's, which leaves less.
    """

    process: int
    system: int
    system_total: int
    accelerator: int | None
    accelerator_total: int | None
    peak: int | None = None
    grouped: bool = False


@dataclass(frozen=True)
class MemoryEstimated:
    """What the worker is expected to hold at the worst moment of a command, in bytes, told before it; `now` is what it holds
    then, `available` the most that it could hold, on this machine and within the limits that are set to it."""

    command: str
    total: int
    now: int
    available: int

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.total <= self.available


SHELTER = "the CPU, in another process"  # what a `Degraded` says that was done where an accelerator failed


@dataclass(frozen=True)
class Degraded:
    """Something else was done than was asked, and why; in a training, from that `step` of an `arm` on."""

    asked: str
    did: str
    why: str
    arm: str = ""
    step: int = 0


@dataclass(frozen=True)
class WorkerRestarted:
    """The worker ended unasked and another one took over; `checkpoint` is where that one went on from. `supervised`: whether
    somebody was left who had watched over it, so that it was the worker that failed and not the machine or its user. `short`:
    whether the system killed it because memory ran out; None where it was killed and the system does not tell for what.
    `outside`: whether somebody killed it, so that what it was doing is not to blame."""

    why: str
    checkpoint: str | None
    supervised: bool = True
    short: bool | None = False
    outside: bool = False


@dataclass(frozen=True)
class RunPaused:
    """What was being done is held."""


@dataclass(frozen=True)
class RunResumed:
    """What was held goes on."""


@dataclass(frozen=True)
class RunFinished:
    """The run came to its end."""


@dataclass(frozen=True)
class RunStopped:
    """The run was ended before its end because that was asked."""


@dataclass(frozen=True)
class RunFailed:
    """The run cannot go on. `field` names the recipe field that was wrong; "" where the recipe was not the reason."""

    reason: str
    field: str = ""
