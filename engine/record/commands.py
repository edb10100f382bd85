"""What can be asked of a run, as frozen requests in the imperative; knows nothing of how any of them is done."""

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Literal

from engine.record.line import spelt
from engine.record.recipe import (
    Allocation,
    Calibration,
    Compensation,
    Measuring,
    Protection,
    Ramp,
    Recipe,
    Schedule,
    Suggestion,
    Tuning,
)

Stage = Literal["baseline", "pruned", "tuned", "control", "cut"]


@dataclass(frozen=True)
class Load:
    """Read the model and the text; everything else needs this first."""

    model: str
    corpus: str | dict[str, str]
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class Score:
    """Give every head and neuron a score by one criterion, on the calibration split."""

    criterion: str
    calibration: Calibration = Calibration()
    seed: int = 0


@dataclass(frozen=True)
class Agree:
    """Say how alike several criteria rank the units, on the calibration split."""

    criteria: tuple[str, ...]
    calibration: Calibration = Calibration()
    seed: int = 0


@dataclass(frozen=True)
class Preview:
    """Say what pruning would cost, counts, size and perplexity, without doing it; a later preview replaces a waiting one."""

    criterion: str
    heads: Schedule
    neurons: Schedule
    compensation: Compensation = "least-squares"
    evaluation: Measuring = Measuring()
    calibration: Calibration = Calibration()
    seed: int = 0
    ridge: float = 1e-3
    add_biases: bool = True
    allocation: Allocation = "schedule"
    suggestion: Suggestion = Suggestion()
    protect: Protection = Protection()
    rounds: int = 1
    ramp: Ramp = "linear"


@dataclass(frozen=True)
class Prune:
    """Close the gates of the lowest-scoring units and compensate for them.

    `only` is one of the `rounds`, for a recovery between them: it goes on from the model as the round before left it. What went
    stays gone, or with `revive` may open again. 0 does all rounds at once.
    """

    criterion: str
    heads: Schedule
    neurons: Schedule
    compensation: Compensation = "least-squares"
    calibration: Calibration = Calibration()
    seed: int = 0
    ridge: float = 1e-3
    add_biases: bool = True
    allocation: Allocation = "schedule"
    suggestion: Suggestion = Suggestion()
    protect: Protection = Protection()
    rounds: int = 1
    ramp: Ramp = "linear"
    revive: bool = False
    only: int = 0


@dataclass(frozen=True)
class Suggest:
    """Say which shares should cost least for a share of the model's parameters, and what they should cost; changes nothing.

    `share` is of all parameters of the model as it was loaded. Of `heads` and `neurons` only cap and floor count, and whether
    any is to go at all: of a kind with a level of 0, or with custom shares of 0 alone, none is.
    """

    share: float
    criterion: str
    heads: Schedule = Schedule()
    neurons: Schedule = Schedule()
    compensation: Compensation = "least-squares"
    calibration: Calibration = Calibration()
    seed: int = 0
    ridge: float = 1e-3
    add_biases: bool = True
    suggestion: Suggestion = Suggestion()
    protect: Protection = Protection()


@dataclass(frozen=True)
class SetGate:
    """Open or close a head's gate by hand, with those of its key-value group; the compensation is worked out anew."""

    layer: int
    head: int
    open: bool


@dataclass(frozen=True)
class Evaluate:
    """Measure the perplexity of the model as it stands and record it under a stage."""

    stage: Stage
    evaluation: Measuring = Measuring()


@dataclass(frozen=True)
class Tune:
    """Train the model as it stands, its gates held closed, and the control beside it.

    Of the steps `part` makes its own: (2, 5) is the second fifth. The control comes with the last part and goes through all.
    """

    tuning: Tuning = Tuning()
    evaluation: Measuring = Measuring()
    prompt: str = "The history of"
    seed: int = 0
    part: tuple[int, int] = (1, 1)

    def steps(self, part: int) -> tuple[int, int]:
        """The first step of a part and the one after its last."""
        total, parts = self.tuning.steps, self.part[1]
        return total * (part - 1) // parts, total * part // parts


@dataclass(frozen=True)
class Sample:
    """Continue a prompt with the model as it stands and record the text under a stage."""

    stage: Stage
    prompt: str
    tokens: int = 40
    seed: int = 0


@dataclass(frozen=True)
class Cut:
    """Remove the closed units for good, in a copy, and measure what that copy weighs, scores and costs."""

    evaluation: Measuring = Measuring()


@dataclass(frozen=True)
class Save:
    """Write the smaller model into the run folder."""


@dataclass(frozen=True)
class Undo:
    """Go back to how the model stood before the last change."""


@dataclass(frozen=True)
class Reset:
    """Go back to the model as it was loaded."""


@dataclass(frozen=True)
class Pause:
    """Hold what is being done before its next step."""


@dataclass(frozen=True)
class Resume:
    """Go on with what is paused."""


@dataclass(frozen=True)
class Step:
    """Do one more step of what is paused and hold again."""


@dataclass(frozen=True)
class Stop:
    """Give up what is being done, keeping the model as it was before it, or as trained so far."""


@dataclass(frozen=True)
class Finish:
    """End the run: nothing more will be asked. `whole`: with what was asked before, the run is one recipe, which ends where
    anything of it is refused or stopped."""

    whole: bool = False


Command = (
    Load | Score | Agree | Preview | Suggest | Prune | SetGate | Evaluate | Tune | Sample | Cut | Save | Undo | Reset
    | Pause | Resume | Step | Stop | Finish
)  # fmt: skip
COMMANDS: dict[str, type] = {each.__name__: each for each in Command.__args__}
HOLDS = (Pause, Resume, Step, Stop)  # answered at once by whoever drives the engine, never queued behind other work


def prune_of(recipe: Recipe) -> Prune:
    """The pruning that a recipe asks for, all rounds at once."""
    return Prune(**{field.name: getattr(recipe, field.name) for field in fields(Prune) if field.name != "only"})


def pruning_of(recipe: Recipe) -> tuple[Command, ...]:
    """The commands by which a recipe prunes, and measures that; with a recovery after each round, where it asks for that."""
    measured = (Evaluate("pruned", recipe.evaluation), Sample("pruned", recipe.prompt, seed=recipe.seed))
    if not is_gradual(recipe):
        return (prune_of(recipe), *measured)
    asked: list[Command] = []
    for number in range(1, recipe.rounds + 1):
        part = (number, recipe.rounds)
        asked += [replace(prune_of(recipe), only=number), *measured]
        asked += [Tune(recipe.tuning, recipe.evaluation, recipe.prompt, recipe.seed, part)]
    return tuple(asked)


def is_gradual(recipe: Recipe) -> bool:
    """Whether a recipe recovers between rounds."""
    return recipe.recover == "rounds" and recipe.rounds > 1 and recipe.tuning.steps > 0


def passed_over(command: Command, refused: int) -> bool:
    """Whether a command has nothing to do any more since a round was refused (0: none was): it prunes in a later one, or measures
    the model between its pruning and its recovery. The last round's recovery has the control to train all the same."""
    match command:
        case Prune(only=only):
            return 0 < refused < only
        case Evaluate(stage=stage) | Sample(stage=stage):
            return stage == "pruned" and refused > 0
    return False


def preview_of(recipe: Recipe) -> Preview:
    """A look at what that pruning would cost."""
    return Preview(**{field.name: getattr(recipe, field.name) for field in fields(Preview)})


def suggest_of(recipe: Recipe, share: float) -> Suggest:
    """The suggestion of how to take a share of all parameters as a recipe would."""
    return Suggest(share, **{each.name: getattr(recipe, each.name) for each in fields(Suggest) if each.name != "share"})


def commands_of(recipe: Recipe) -> tuple[Command, ...]:
    """The commands that carry a recipe out from start to end, in order."""
    measuring, calibration, seed = recipe.evaluation, recipe.calibration, recipe.seed
    asked: list[Command] = [
        Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, seed),
        Evaluate("baseline", measuring),
        Sample("baseline", recipe.prompt, seed=seed),
        Score(recipe.criterion, calibration, seed),
        *pruning_of(recipe),
    ]
    if recipe.tuning.steps and not is_gradual(recipe):
        asked += [Tune(recipe.tuning, measuring, recipe.prompt, seed)]
    if recipe.cut:
        asked += [Cut(measuring), Save()]
    return tuple(asked)


def fingerprint(command: Command) -> str:
    """What tells a command from any other: a digest of its name and of every field."""
    return hashlib.sha256(spelt(command, "command", 0, 0.0) + b"\n").hexdigest()[:16]
