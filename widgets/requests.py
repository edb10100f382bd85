"""What can be asked of the page itself, beside the commands that go to a run; knows nothing of how it is done."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class OpenRun:
    """Show another run of this machine, by its name."""

    name: str


@dataclass(frozen=True)
class NewRun:
    """Begin a new run with what the controls say."""


@dataclass(frozen=True)
class Download:
    """Hand something to the browser to keep."""

    what: Literal["events", "recipe", "charts", "everything", "model"]


@dataclass(frozen=True)
class Adopt:
    """Let the controls say these shares, one for each layer."""

    heads: tuple[float, ...]
    neurons: tuple[float, ...]


@dataclass(frozen=True)
class Press:
    """A button was pressed; what that asks of the run depends on what the controls say at that moment."""

    button: str


Request = OpenRun | NewRun | Download | Adopt | Press
