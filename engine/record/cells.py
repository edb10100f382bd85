"""What happened in a sweep, as frozen facts; knows nothing of how a cell is measured."""

from dataclasses import dataclass, field
from typing import Any, Literal

from engine.record.costs import Latency


@dataclass(frozen=True)
class SweepStarted:
    """A sweep began, or goes on where it was left: `sweep` is its plain form, of its `cells` so many are `done`. Of hidden states
    and narrower layers that later cells share, at most `memory` bytes are kept."""

    sweep: dict[str, Any]
    cells: int
    done: int
    memory: int
    version: str


@dataclass(frozen=True)
class SweepCellDone:
    """One cell is done, or has failed for the reason in `error`; what was not measured is None.

    `set` is what it sets on the axes, `perplexity` that of the model as it stands at its end, `perplexities` those of all stages
    that were measured, on so many predicted `tokens`, and `parameters` what the model weighs then. Of the layers of the model
    `shared` were not run for this cell, since an earlier one had run them; `kept` bytes were held for later cells. `latency` is
    that of the cut model beside the dense one, where the sweep asks for it.
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


@dataclass(frozen=True)
class SweepBestFound:
    """A search is over: the best cell that was found, by its number and what it sets. Of the cells so many were `measured`, and
    so many `fit` the budget."""

    number: int
    set: dict[str, Any]
    perplexity: float
    parameters: int
    measured: int
    fit: int
