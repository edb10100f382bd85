"""What the page says, in the states that a run can be in."""

from dataclasses import replace

import pytest

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.recipe import Recipe, Schedule, Tuning
from engine.record.run_list import LiveRun
from engine.record.state import RunState
from tests.widgets.charts.states import folded, previewed
from tests.widgets.page import LOADED, SCORES, TEXT, gates, measured
from widgets import words
from widgets.theme import LIGHT
from widgets.view import View, draft_of

BUSY = replace(RunState(), status="busy")


def test_a_recovery_is_told_with_its_arm_its_step_its_rate_and_the_time_left() -> None:
    """Forty steps at two a second take twenty seconds."""
    state = replace(BUSY, doing="Tune", step=tell.StepTrained("control", 60, 100, 3.25, 0.1))
    said = words.status_words(state, 2.0, False)
    assert "control" in said and "step 60 of 100" in said and "2 steps/s" in said and "about 20 s left" in said
    assert words.progress(state) == 0.6


CONTROLLED, ALONE = (ask.Tune(Tuning(steps=100, control=control)) for control in (True, False))


@pytest.mark.parametrize(
    ("arm", "step", "rate", "tune", "said"),
    [
        ("tuned", 60, 2.0, ALONE, "about 20 s left"),
        ("tuned", 60, 2.0, None, "about 20 s left"),
        ("tuned", 60, 2.0, CONTROLLED, "about 70 s left, the control included"),
        ("control", 60, 2.0, CONTROLLED, "about 20 s left"),
        ("tuned", 99, 50.0, ALONE, "about 1 s left"),
        ("tuned", 101, 2.0, ALONE, "about 1 s left"),
        ("tuned", 1, None, CONTROLLED, "time left not known yet"),
        ("tuned", 1, 0.0, CONTROLLED, "time left not known yet"),
        ("tuned", 40, 1.0, replace(ALONE, part=(2, 4)), "about 60 s left, the training of later rounds included"),
        ("tuned", 90, 1.0, replace(CONTROLLED, part=(4, 4)), "about 2 min left, the control included"),
        ("control", 90, 1.0, replace(CONTROLLED, part=(4, 4)), "about 10 s left"),
        ("tuned", 60, 2.0, ask.Tune(Tuning(steps=100, control=False, patience=3)), "at most 20 s left"),
    ],
)
def test_the_time_that_is_left_counts_the_rounds_and_the_control(arm, step, rate, tune, said) -> None:
    """It is known from the second step on, ends at a second and is never negative."""
    assert words.time_left(tell.StepTrained(arm, step, 100, 3.25, 0.1), rate, tune) == said


def test_while_it_is_paused_a_recovery_tells_how_long_it_would_still_take() -> None:
    """But not how fast it is, which it is not."""
    state = replace(BUSY, status="paused", doing="Tune", step=tell.StepTrained("tuned", 60, 100, 3.25, 0.1))
    said = words.status_words(state, 2.0, False, ALONE)
    assert "loss 3.250, about 20 s left. Resume goes on" in said and "steps/s" not in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "busy", "awake": True}, "recovering, step 3 of 9"),
        ({"status": "paused", "awake": True}, "paused: recovering, step 3 of 9"),
        ({"status": "paused"}, "left in the middle: recovering, step 3 of 9"),
        ({"status": "busy", "awake": True, "stopped": 7}, "held: its process 7 is stopped"),
        ({"status": "failed", "state": "failed: no memory", "step": None}, "failed: no memory"),
        ({"status": "idle", "doing": "", "step": None}, "nothing more was asked"),
        ({"status": "idle", "doing": "", "step": None, "waiting": True}, "left before it was done"),
        ({"status": "new", "doing": "", "step": None, "waiting": True, "awake": True}, "about to begin"),
    ],
)
def test_what_another_run_is_doing_is_said_in_the_words_of_the_page(changes, said) -> None:
    """No command is named."""
    run = LiveRun("one", "", "", None, None, False, None, "", doing="Tune", step=3, steps=9)
    assert words.run_words(replace(run, **changes)) == said


def test_a_run_is_called_by_its_model_and_when_it_was_begun() -> None:
    """A name that somebody gave stays as it is."""
    assert words.called("20261121T221500Z-gpt2-tiny-3f9a1c").startswith("gpt2-tiny, 2") and words.called("mine") == "mine"


def test_a_rate_that_is_not_known_is_not_said() -> None:
    """Nor is the time that is left."""
    state = replace(BUSY, doing="Evaluate", progress=tell.Progressed("evaluation", 5, 20, "tokens"))
    said = words.status_words(state, None, False)
    assert "5 of 20 tokens" in said and "left" not in said and "/s" not in said
    assert words.progress(state) == 0.25


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RunState(), "Starting the worker"),
        (replace(RunState(), status="paused", doing="Tune"), "Resume goes on"),
        (replace(RunState(), status="finished"), "is over"),
        (replace(RunState(), status="failed", failure=tell.RunFailed("No memory.")), "No memory."),
        (folded(LOADED), "press Prune"),
        (folded(LOADED, gates(), measured("baseline", 40.0), measured("pruned", 60.0)), "from 40.0 to 60.0. Recover"),
        (folded(LOADED, gates(), measured("pruned", 60.0), measured("tuned", 45.0), measured("control", 39.0)), "control 39.0"),
        (
            folded(LOADED, gates(), measured("pruned", 60.0), tell.StepTrained("tuned", 22, 400, 3, 1), measured("tuned", 45.0)),
            "Recovered for 22 of 400 steps: perplexity 60.0 before",
        ),
    ],
)
def test_each_state_says_what_is_and_what_to_do(state: RunState, said: str) -> None:
    """One sentence or two, never empty."""
    state = replace(state, status="idle") if state.model is not None else state
    assert said in words.status_words(state, None, False)


def test_a_draft_says_what_goes_what_that_saves_and_what_it_costs() -> None:
    """Counts and parameters at once; the perplexity only when it was measured for this very draft."""
    state = replace(folded(LOADED, tell.UnitsScored("activation", SCORES, 10, None), measured("baseline", 40.0)), status="idle")
    draft = draft_of(Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.1)), state)
    recipe = Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.1))
    said = words.draft_words(View(state, draft, LIGHT, recipe))
    assert "12 of 24 heads and 60 of 600 neurons" in said
    assert "save 12,600 parameters (1.3%)" in said
    assert "being measured" in said
    found = previewed(draft, 50.0, recipe)
    other = words.draft_words(View(replace(state, preview=found), draft, LIGHT, recipe))
    assert "would be 50.0; the baseline was measured on another amount of text." in other
    found = replace(found, tokens=1000)
    assert "would be 50.0, baseline 40.0." in words.draft_words(View(replace(state, preview=found), draft, LIGHT, recipe))
    assert words.draft_words(View(state, None, LIGHT, recipe)) == ""


def test_nothing_is_said_to_be_measured_that_is_not() -> None:
    """Neither while a control is wrong, nor after the measurement was refused, nor in a run that is over."""
    state = replace(folded(LOADED), status="idle")
    draft = draft_of(Recipe(), state)
    assert "Perplexity waits for the marked value" in words.draft_words(View(state, draft, LIGHT, None))
    refused = replace(state, refused=tell.CommandRefused(1, "Preview", "", "No."))
    for each in (refused, replace(state, status="finished")):
        assert "was not measured" in words.draft_words(View(each, draft, LIGHT, Recipe()))


def test_a_death_of_the_worker_is_told_in_plain_words_until_the_next_command_is_done() -> None:
    """What was lost, and no status numbers."""
    facts = [LOADED, tell.CommandStarted(5, "Tune"), tell.WorkerRestarted("the worker ended with status -9", None)]
    said = words.restart_words(folded(*facts))
    assert said == (
        "The process that computes ended unexpectedly and is being started again; "
        "the recovery goes on from what was last kept of it."
    )
    assert words.status_words(folded(*facts, tell.WorkerStarted(9, 1)), None, False) == words.STARTING
    facts += [tell.WorkerStarted(9, 1), tell.CommandStarted(5, "Tune")]
    assert "was started again" in words.restart_words(folded(*facts))
    assert words.restart_words(folded(*facts, tell.CommandFinished(5, "Tune"))) == ""
    assert "nothing was lost" in words.restart_words(folded(LOADED, tell.WorkerRestarted("killed", None)))


def test_a_death_in_a_training_says_after_which_step_it_goes_on() -> None:
    """Once that is known."""
    begun = (LOADED, TEXT, tell.CommandStarted(5, "Tune"), tell.TuningStarted("tuned", "full", 9, "float32"))
    died = (*begun, tell.WorkerRestarted("killed", None))
    assert "goes on from what was last kept of it" in words.restart_words(folded(*died))
    assert "goes on after step 4" in words.restart_words(folded(*died, *begun[2:], tell.TrainingResumed("tuned", 4, 3)))


@pytest.mark.parametrize(("seconds", "said"), [(3.4, "3 s"), (200, "3 min"), (7200, "2.0 h")])
def test_a_length_of_time_has_its_unit(seconds: float, said: str) -> None:
    """Seconds, minutes, hours."""
    assert words.duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(512, "0.5 kB"), (2_500_000, "2.5 MB"), (3 * 10**9, "3.00 GB")])
def test_a_number_of_bytes_has_its_unit(count: int, said: str) -> None:
    """Decimal units, as disks have them."""
    assert words.size(count) == said
