"""Tests of engine/record/run_list.py: a list of runs that is read on, a little at a time, and says what a whole reading would."""

import pytest

from engine.record import commands as ask
from engine.record import run_list
from engine.record.events import StepTrained
from engine.record.folder import Writer, create, post
from engine.record.lifecycle import CommandFinished, CommandStarted, RunFinished, RunStarted, WorkerStarted
from engine.record.live import live_runs
from engine.record.lock import watch
from engine.record.recipe import Recipe
from engine.record.run_list import RunList


@pytest.fixture
def folder(home):
    """A run at home that has begun and that nobody holds."""
    folder = create(Recipe(), home / "runs" / "one")
    tell(folder, RunStarted({"model": "gpt2-tiny"}, "0"), WorkerStarted(1, 1))
    return folder


def tell(folder, *events: object) -> None:
    """Write what happened."""
    writer = Writer(folder / "events.jsonl", clock=lambda: 1_700_000_000.0)
    for event in events:
        writer.append(event)
    writer.close()


def test_a_list_says_what_a_whole_reading_says(folder):
    """At every look, whatever has come since, and for a run that is over as well."""
    kept = RunList()
    for events in (
        (CommandStarted(0, "Tune"), StepTrained("tuned", 3, 9, 1.0, 1e-3)),
        (StepTrained("tuned", 4, 9, 1.0, 1e-3),),
        (CommandFinished(0, "Tune"),),
        (RunFinished(),),
    ):
        tell(folder, *events)
        post(folder, ask.Tune())
        assert kept.look() == tuple(live_runs(over=True))
    assert kept.is_read and kept.look()[0].is_over and not kept.look()[0].is_busy


def test_a_run_in_a_recovery_tells_its_step_and_whether_somebody_looks(folder):
    """So that a list can be drawn in the words of whoever draws it."""
    tell(folder, CommandStarted(0, "Tune"), StepTrained("tuned", 3, 9, 1.0, 1e-3))
    (run,) = RunList().look()
    assert (run.doing, run.step, run.steps, run.is_busy, run.watched) == ("Tune", 3, 9, True, False)
    watch(folder, "somebody")
    assert RunList().look()[0].watched


def test_a_long_run_is_read_over_several_looks(folder, monkeypatch):
    """No look takes long, and the last one has everything."""
    tell(folder, CommandStarted(0, "Tune"), *(StepTrained("tuned", step, 900, 1.0, 1e-3) for step in range(1, 901)))
    monkeypatch.setattr(run_list, "AT_ONCE", 10_000)
    kept, looks = RunList(), 1
    kept.look()
    while not kept.is_read:
        kept.look()
        looks += 1
    assert looks > 8 and kept.look() == tuple(live_runs())


def test_a_roll_leaves_out_one_run_and_hides_none(folder):
    """The one on the page; one that cannot be read is listed with the reason, and one that is deleted is not."""
    (create(Recipe(), folder.parent / "broken") / "recipe.json").write_text("{")
    kept = RunList()
    assert [run.name for run in kept.look(besides="broken")] == ["one"]
    assert [(run.name, run.status) for run in kept.look()] == [("one", "idle"), ("broken", "unreadable")]
    (folder / "recipe.json").unlink()
    assert [run.name for run in kept.look()] == ["broken"] and kept.is_read
