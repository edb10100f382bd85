"""What can be asked of the page itself, beside the commands that go to a run; knows nothing of how it is done."""

from dataclasses import dataclass
from typing import Literal

Part = Literal["laboratory", "sweeps", "experiments", "runs"]
Kept = Literal[
    "sweep-csv",
    "sweep-json",
    "sweep-charts",
    "experiment-csv",
    "experiment-json",
    "experiment-charts",
    "runs-csv",
    "runs-json",
    "runs-charts",
]


@dataclass(frozen=True)
class OpenRun:
    """Show another run of this machine, by its name."""

    name: str


@dataclass(frozen=True)
class NewRun:
    """Begin a new run with what the controls say."""


@dataclass(frozen=True)
class ChooseRun:
    """Speak of this run of the list from now on."""

    name: str


@dataclass(frozen=True)
class ResumeRun:
    """Have a run of the list go on, which need not come onto the page for it."""

    name: str


@dataclass(frozen=True)
class StopRun:
    """Give up what a run of the list is doing."""

    name: str


@dataclass(frozen=True)
class DiscardRun:
    """Delete a run of the list: ask whether that is meant, and once that is `sure`, do it."""

    name: str
    sure: bool = False


@dataclass(frozen=True)
class KeepRun:
    """Do not delete what was asked about."""


@dataclass(frozen=True)
class Download:
    """Hand something to the browser to keep."""

    what: Literal["events", "recipe", "charts", "everything", "model"] | Kept


@dataclass(frozen=True)
class Adopt:
    """Let the controls say these shares, one for each layer."""

    heads: tuple[float, ...]
    neurons: tuple[float, ...]


@dataclass(frozen=True)
class Press:
    """A button was pressed; what that asks of the run depends on what the controls say at that moment."""

    button: str


@dataclass(frozen=True)
class Turn:
    """Show this part of the page."""

    to: Part


@dataclass(frozen=True)
class AskSweep:
    """A field of a sweep's form was filled in; `field` is its name in `widgets.axes.Asked`."""

    field: str
    text: str


@dataclass(frozen=True)
class StartSweep:
    """Begin the sweep that the form asks for, in a process of its own."""


@dataclass(frozen=True)
class ChooseSweep:
    """Show this sweep from now on."""

    name: str


@dataclass(frozen=True)
class GoOnSweep:
    """Have the rest of a sweep carried out."""

    name: str


@dataclass(frozen=True)
class StopSweep:
    """Tell the process that carries out a sweep to end."""

    name: str


@dataclass(frozen=True)
class DiscardSweep:
    """Delete a sweep: ask whether that is meant, and once that is `sure`, do it."""

    name: str
    sure: bool = False


@dataclass(frozen=True)
class KeepSweep:
    """Do not delete what was asked about."""


@dataclass(frozen=True)
class LoadCell:
    """Let the controls say what this cell of the sweep on the page says."""

    number: int


@dataclass(frozen=True)
class ChooseRuns:
    """Set these runs beside each other."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class ChooseExperiment:
    """Speak of this experiment, on a model, in one of its forms."""

    name: str
    model: str
    form: str


@dataclass(frozen=True)
class StartExperiment:
    """Carry out the experiment on the page, or what is left of it, in a process of its own."""


@dataclass(frozen=True)
class StopExperiment:
    """Tell the process that carries out the experiment on the page to end."""


@dataclass(frozen=True)
class PickCell:
    """Let the controls say what this cell of one of the experiment's sweeps says."""

    sweep: str
    number: int


OfRuns = ChooseRun | ResumeRun | StopRun | DiscardRun | KeepRun
OfSweeps = AskSweep | StartSweep | ChooseSweep | GoOnSweep | StopSweep | DiscardSweep | KeepSweep
OfExperiments = ChooseExperiment | StartExperiment | StopExperiment | PickCell
OfTrials = Turn | OfSweeps | LoadCell | OfExperiments | ChooseRuns
Request = OpenRun | NewRun | OfRuns | OfTrials | Download | Adopt | Press
