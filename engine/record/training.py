"""What happens while a model trains, as frozen facts in plain numbers; knows nothing of what trains."""

from dataclasses import dataclass

ARMS = {"tuned": "the recovery", "control": "the control"}  # what trains, in sentences


@dataclass(frozen=True)
class RoundBegan:
    """One of several rounds with a recovery after each began, `step` steps into that: it prunes to `level` of what is asked for
    (0 to 1)."""

    round: int
    rounds: int
    level: float
    step: int


@dataclass(frozen=True)
class RoundRefused:
    """A round was not kept, nor are there any after it: its recovery ended with a validation `perplexity` above the `guard`."""

    round: int
    rounds: int
    perplexity: float
    guard: float


@dataclass(frozen=True)
class TuningStarted:
    """Training began on one arm: "tuned" (the pruned model) or "control" (the unpruned one, trained just the same).

    Of the `steps` those before `first` were made in earlier parts.
    """

    arm: str
    method: str
    steps: int
    precision: str
    first: int = 0


@dataclass(frozen=True)
class TrainingResumed:
    """Training of an arm goes on in another process, from a bookmark after `step` steps, the last validation after `validated`.

    What was told of later steps went down with the process before, and is told anew as they are made again.
    """

    arm: str
    step: int
    validated: int


@dataclass(frozen=True)
class StepTrained:
    """One optimizer step: the mean loss per token of its batch (nats), before the step."""

    arm: str
    step: int
    steps: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class Validated:
    """The mean loss per token (nats) on text that training does not read, after `step` steps."""

    arm: str
    step: int
    loss: float
    tokens: int


@dataclass(frozen=True)
class WentBack:
    """Training of an arm ended with the weights as they were after `step` steps, of `made` that were made, and why."""

    arm: str
    step: int
    made: int
    why: str
