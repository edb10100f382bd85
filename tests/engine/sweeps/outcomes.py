"""What came of the cells of a sweep, and what comes of their recipes alone, for the tests that hold one against the other."""

from collections.abc import Iterable

from engine import run
from engine.record.cells import SweepCellDone
from engine.record.events import Evaluated, Event, GatesChanged
from engine.record.recipe import Recipe


def outcomes(events: Iterable[Event]) -> dict[int, SweepCellDone]:
    """What came of each cell, by number."""
    return {event.number: event for event in events if isinstance(event, SweepCellDone)}


def alone(recipe: Recipe) -> tuple[dict[str, float], int]:
    """The perplexities of a recipe run by itself, and the parameters that it left."""
    events = list(run(recipe))
    found = {event.stage: event.perplexity for event in events if isinstance(event, Evaluated)}
    return found, [event.parameters_after for event in events if isinstance(event, GatesChanged)][-1]
