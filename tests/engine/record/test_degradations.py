"""Tests of engine/record/degradations.py, in a run's state: what is told of a step goes with the step, and comes back with it."""

from engine.record.events import StepTrained, TrainingResumed, TuningStarted
from engine.record.lifecycle import CommandFinished, CommandStarted, Degraded, WorkerRestarted
from engine.record.line import Stamped
from engine.record.state import RunState, fold

DIED = WorkerRestarted("killed", None)


def told(*facts: object) -> list[str]:
    """What the state has of these facts, in short."""
    return [one.did for one in fold(RunState(), [Stamped(place, 0.0, fact) for place, fact in enumerate(facts)]).degraded]


def at(arm: str, step: int) -> Degraded:
    """Something of a step."""
    return Degraded("a", f"{arm} {step}", "b", arm, step)


def begun(line: int, arm: str, first: int = 0) -> tuple[object, ...]:
    """A recovery begins an arm, perhaps once more."""
    return CommandStarted(line, "Tune"), TuningStarted(arm, "full", 40, "float32", first)


def trained(arm: str, last: int, first: int = 0) -> tuple[StepTrained, ...]:
    """The steps of an arm after the first so many."""
    return tuple(StepTrained(arm, step, 40, 2.0, 1e-3) for step in range(first + 1, last + 1))


FIRST = (*begun(3, "tuned"), *trained("tuned", 9), at("tuned", 4), at("tuned", 9), Degraded("c", "no step", "d"))


def test_of_steps_that_went_down_with_a_worker_nothing_is_left():
    """What was no step's is: it happened. Nor is anything left where the training begins anew."""
    resumed = (*begun(3, "tuned"), TrainingResumed("tuned", 6, 0))
    assert told(*FIRST) == ["tuned 4", "tuned 9", "no step"]
    assert told(*FIRST, DIED, *resumed) == ["no step", "tuned 4"]
    assert told(*FIRST, DIED, *begun(3, "tuned")) == ["no step"]
    assert told(*FIRST, DIED, *resumed, *trained("tuned", 8, 6), at("tuned", 8), DIED, *resumed) == ["no step", "tuned 4"]


def test_of_an_arm_that_is_done_everything_stays():
    """While its control begins anew, which takes its own alone."""
    control = (TuningStarted("control", "full", 40, "float32"), at("control", 2))
    assert told(*FIRST, *control, DIED, *begun(3, "control")) == ["tuned 4", "tuned 9", "no step"]


def test_of_earlier_parts_and_of_earlier_recoveries_everything_stays():
    """The second of two rounds begins after the steps of the first, and another recovery has steps of its own."""
    second = (TuningStarted("control", "full", 40, "float32", 20), *trained("control", 25, 20), at("control", 25))
    rounds = (*begun(3, "control"), *trained("control", 20), at("control", 4), *second)
    again = (DIED, *begun(3, "control", 20), TrainingResumed("control", 24, 20))
    assert told(*rounds, *again) == ["control 4"]
    assert told(*FIRST, CommandFinished(3, "Tune"), *begun(4, "tuned")) == ["tuned 4", "tuned 9", "no step"]


def test_steps_before_a_bookmark_that_the_record_has_lost_are_told_once():
    """Also where nothing is left of the training, and where it goes on from there twice; of an arm of its own."""
    resumed = (*begun(3, "tuned"), TrainingResumed("tuned", 8, 0))
    first = (*begun(3, "tuned"), *trained("tuned", 6), at("tuned", 4))
    assert told(*first, DIED, *resumed) == told(*first, DIED, *resumed, DIED, *resumed) == ["tuned 4", "none of steps 7 to 8"]
    assert told(*first, *trained("tuned", 7, 6), DIED, *resumed) == ["tuned 4", "none of step 8"]
    assert told(*first, *trained("tuned", 8, 6), DIED, *resumed) == ["tuned 4"]
    assert told(*resumed) == ["none of steps 1 to 8"]
