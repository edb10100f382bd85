"""Tests of engine/record/memory_fit.py: what was expected of a command stands beside what it took, by events alone."""

from engine.record.lifecycle import CommandFinished, CommandStarted, MemoryEstimated, MemorySampled
from engine.record.line import Stamped
from engine.record.memory_fit import Room
from engine.record.state import RunState, fold


def sample(process: int, peak: int | None = None) -> MemorySampled:
    """A sample of which only the worker's own memory matters."""
    return MemorySampled(process, 0, 0, None, None, peak)


def state_after(*facts: object) -> RunState:
    """The state after these events."""
    return fold(RunState(), [Stamped(seq, float(seq), fact) for seq, fact in enumerate(facts)])


LOADING = MemoryEstimated("Load", 500, 100, 900)
SCORING = MemoryEstimated("Score", 1000, 300, 900)


def test_the_most_that_was_held_during_a_command_stands_beside_its_estimate():
    """Samples before and after it are not its own; where the system tells a peak, that counts."""
    state = state_after(
        sample(5000),
        CommandStarted(0, "Load"), LOADING, sample(200), sample(450), sample(400), CommandFinished(0, "Load"),
        sample(6000),
        CommandStarted(1, "Score"), SCORING, sample(200, peak=950), sample(300, peak=940), CommandFinished(1, "Score"),
    )  # fmt: skip
    assert state.room.estimates == {"Load": LOADING, "Score": SCORING}
    assert state.room.peaks == {"Load": 450, "Score": 950}
    assert LOADING.fits and not SCORING.fits


def test_a_command_that_is_done_again_is_measured_anew():
    """With another model, say."""
    again = MemoryEstimated("Load", 50, 10, 900)
    first = (CommandStarted(0, "Load"), LOADING, sample(450), CommandFinished(0, "Load"))
    state = state_after(*first, CommandStarted(1, "Load"), again, sample(40), CommandFinished(1, "Load"))
    assert (state.room.estimates, state.room.peaks) == ({"Load": again}, {"Load": 40})


def test_nothing_is_known_at_first():
    """Neither expected nor measured."""
    assert RunState().room == Room({}, {})
