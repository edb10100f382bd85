"""What happened in a sweep, as frozen facts; knows nothing of how a cell is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from engine.record.costs import Latency
from engine.record.lifecycle import Degraded

Found = TypeVar("Found")
STANDS = ("tuned", "pruned", "baseline")  # what one model goes through, the latest first; control and cut model stand beside it


@dataclass(frozen=True)
class SweepStarted:
    """A sweep began, or goes on where it was left: `sweep` is its plain form, of its `cells` so many are `done`. Of hidden states
    and narrower layers that later cells share, at most `memory` bytes are kept. `scheduler` is the cluster that does the
    cells, None where this process does. It began on this `machine`, with these `versions`; an older record does not say."""

    sweep: dict[str, Any]
    cells: int
    done: int
    memory: int
    version: str
    scheduler: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""


@dataclass(frozen=True)
class SweepCellDone:
    """One cell is done, or has failed for the reason in `error`; what was not measured is None.

    `set` is what it sets on the axes, `perplexity` that of the model as it stands at its end, `perplexities` those of all stages
    that were measured, on so many predicted `tokens`, and `parameters` what the model weighs then. Of the layers of the model
    `shared` were not run for this cell, since an earlier one had run them; `kept` bytes were held for later cells. `latency` is
    that of the cut model beside the dense one, where the sweep asks for it. `degraded` is what was done otherwise than asked in a
    cell that is trained. `seconds` went into this cell, what it worked out for others too: one of each criterion has the scoring
    in it. Of a cell that is only measured, the loading of the model and the dense model's perplexity are left out; of those that
    are trained the first has them in it, and a control is in the one that trained it.
    """

    number: int
    set: dict[str, Any]
    seed: int
    status: Literal["done", "failed"]
    perplexity: float | None = None
    parameters: int | None = None
    seconds: float = 0.0
    error: str | None = None
    perplexities: dict[str, float] = field(default_factory=dict)
    tokens: int | None = None
    shared: int = 0
    kept: int = 0
    latency: tuple[Latency, ...] = ()
    degraded: tuple[Degraded, ...] = ()


@dataclass(frozen=True)
class SweepBestFound:
    """A search is over: the best cell that was found, by its number and what it sets. Of the cells so many were `measured`, and
    so many `fit` the budget. There is none where no cell that fits could be measured."""

    number: int
    set: dict[str, Any]
    perplexity: float
    parameters: int
    measured: int
    fit: int


def at_end(measured: Mapping[str, Found]) -> Found | None:
    """Of what was measured by stage, that of the model as it stands: recovered, else pruned, else whole, as where a guard refuses
    the first round. None where nothing was measured."""
    return next((measured[stage] for stage in STANDS if stage in measured), None)
