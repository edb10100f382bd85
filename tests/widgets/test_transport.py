"""Which buttons can do something, and why the others cannot; and how fast things go."""

from dataclasses import replace

import pytest

from engine.record import events as tell
from engine.record.line import Stamped
from engine.record.recipe import Recipe, Tuning
from engine.record.state import RunState
from tests.widgets.charts.states import folded
from tests.widgets.page import LOADED, TEXT, Page, gates
from widgets.pump import SETTLING
from widgets.theme import LIGHT
from widgets.transport import BUTTONS, SMALLER, Pace, Transport, refusals
from widgets.view import View, draft_of


def view(state: RunState, recipe: Recipe | None = None) -> View:
    """A view of a state with the default recipe, or another."""
    recipe = recipe or Recipe()
    return View(state, draft_of(recipe, state), LIGHT, recipe)


def open_buttons(state: RunState, recipe: Recipe | None = None, waiting: bool = False) -> set[str]:
    """The names of the buttons that can be pressed."""
    return {name for name, reason in refusals(view(state, recipe), waiting).items() if not reason}


READY = replace(folded(LOADED), status="idle")
PRUNED = replace(folded(LOADED, gates(), tell.CheckpointSaved("step-1", None, "prune")), status="idle")


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (RunState(), set()),
        (READY, {"Prune"}),
        (PRUNED, {"Prune", "Recover", "Undo", "Reset", SMALLER}),
        (replace(PRUNED, status="busy", doing="Tune"), {"Pause", "Stop"}),
        (replace(PRUNED, status="paused", doing="Tune"), {"Resume", "Step", "Stop"}),
        (replace(PRUNED, status="busy", doing="Preview"), {"Prune", "Recover", "Undo", "Reset", SMALLER}),
        (replace(PRUNED, status="finished"), set()),
    ],
)
def test_a_button_can_be_pressed_when_it_can_do_something(state: RunState, wanted: set[str]) -> None:
    """In each state of a run, just these; a preview that runs is in nobody's way."""
    assert open_buttons(state) == wanted


def test_nothing_is_begun_on_a_run_that_another_one_is_about_to_replace() -> None:
    """It would be taken off the page with it; what is being done can still be held and stopped."""
    assert not any(not reason for reason in refusals(replace(view(PRUNED), leaving=True)).values())
    busy = refusals(replace(view(replace(PRUNED, status="busy", doing="Tune")), leaving=True))
    assert {name for name, reason in busy.items() if not reason} == {"Pause", "Stop"}


def test_every_grey_button_says_why() -> None:
    """In a sentence, in every state."""
    for status in ("new", "idle", "busy", "paused", "finished", "failed"):
        for state in (RunState(), READY, PRUNED):
            reasons = refusals(view(replace(state, status=status, doing="Tune")))
            assert set(reasons) == set(BUTTONS)
            assert all(reason.endswith((".", "it.")) for reason in reasons.values() if reason)


def test_between_a_death_and_the_next_worker_nobody_is_told_that_nothing_is_done() -> None:
    """The recovery is to be done again: it holds the buttons, and Stop says that it has not begun yet."""
    begun = (LOADED, TEXT, gates(), tell.CheckpointSaved("step-1", None, "prune"), tell.CommandStarted(5, "Tune"))
    died = folded(*begun, tell.WorkerRestarted("killed", "step-1"))
    back = folded(*begun, tell.WorkerRestarted("killed", "step-1"), tell.WorkerStarted(9, 1))
    for state in (died, back):
        assert open_buttons(state) == set()
        reasons = refusals(view(state))
        assert "starting" in reasons["Stop"] and "Nothing" not in reasons["Stop"]
        assert "recovering" in reasons["Undo"]


def test_no_recovery_of_no_steps() -> None:
    """It would train nothing."""
    assert "Recover" not in open_buttons(PRUNED, Recipe(tuning=Tuning(steps=0)))


def test_what_was_asked_and_not_begun_holds_the_buttons() -> None:
    """A second press of Prune would prune twice."""
    assert open_buttons(PRUNED, waiting=True) == set()


def test_the_smaller_model_is_made_once() -> None:
    """Until the gates change again."""
    saved = replace(PRUNED, standing=replace(PRUNED.standing, saved=tell.ModelSaved("model", 10)))
    assert SMALLER not in open_buttons(saved)


def test_the_pace_is_that_of_the_last_events_of_one_kind() -> None:
    """Steps a second; another arm starts anew; one event alone has no pace."""
    pace = Pace()
    pace.see([Stamped(0, 10.0, tell.StepTrained("tuned", 1, 9, 1.0, 0.1))])
    assert pace.rate is None
    pace.see([Stamped(1, 12.0, tell.StepTrained("tuned", 5, 9, 1.0, 0.1))])
    assert pace.rate == 2.0
    pace.see([Stamped(2, 13.0, tell.StepTrained("control", 1, 9, 1.0, 0.1))])
    assert pace.rate is None


def test_a_long_pause_soon_counts_no_more() -> None:
    """Only the last twenty events tell the pace."""
    pace = Pace()
    pace.see([Stamped(0, 0.0, tell.StepTrained("tuned", 1, 99, 1.0, 0.1))])
    pace.see([Stamped(n, 1000.0 + n, tell.StepTrained("tuned", 1 + n, 99, 1.0, 0.1)) for n in range(1, 21)])
    assert pace.rate == pytest.approx(1.0)


def test_a_hold_is_no_part_of_the_pace() -> None:
    """After ten steps a second, a minute's hold and two more steps it is still ten steps a second."""
    pace = Pace()
    pace.see([Stamped(step, step / 10, tell.StepTrained("tuned", step, 100, 3.0, 0.1)) for step in range(10)])
    pace.see([Stamped(10, 1.0, tell.RunPaused()), Stamped(11, 61.0, tell.RunResumed())])
    pace.see([Stamped(step, 60 + step / 10, tell.StepTrained("tuned", step, 100, 3.0, 0.1)) for step in (12, 13)])
    assert pace.rate == pytest.approx(10.0)


def test_in_a_hold_the_pace_is_that_of_before_it() -> None:
    """So that what is left can be told; what was done in steps by hand is forgotten with the next hold, another arm's at once."""
    pace = Pace()
    pace.see([Stamped(step, step / 10, tell.StepTrained("tuned", step, 100, 3.0, 0.1)) for step in range(10)])
    pace.see([Stamped(10, 1.0, tell.RunPaused())])
    assert pace.rate == pytest.approx(10.0)
    pace.see([Stamped(11, 60.0, tell.StepTrained("tuned", 12, 100, 3.0, 0.1))])
    assert pace.rate == pytest.approx(10.0)
    pace.see([Stamped(12, 61.0, tell.StepTrained("control", 1, 100, 3.0, 0.1))])
    assert pace.rate is None


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_machine_that_slept_or_a_clock_that_was_set_leaves_the_pace(jump: float) -> None:
    """An hour between two steps of a tenth of a second, forwards or backwards."""
    pace = Pace()
    at = [step / 10 + (jump if step > 5 else 0.0) for step in range(1, 11)]
    pace.see([Stamped(step, at[step - 1], tell.StepTrained("tuned", step, 100, 3.0, 0.1)) for step in range(1, 11)])
    assert pace.rate == pytest.approx(10.0)


def test_what_was_done_otherwise_has_a_badge_that_stays_as_it_is_while_steps_are_counted() -> None:
    """What was unfolded would close if the badge were drawn again."""
    transport = Transport(lambda press: None)
    state = folded(LOADED, tell.Degraded("the GPU", "the CPU", "there is no GPU"), tell.CommandStarted(1, "Tune"))
    drawn = []
    transport._badges.observe(lambda change: drawn.append(change["new"]), "value")
    for step in (1, 2, 3):
        stepped = replace(state, step=tell.StepTrained("tuned", step, 9, 1.0, 0.1))
        transport.draw(view(stepped), now=0.0, waiting=False, refusal="")
    assert len(drawn) == 1 and "there is no GPU" in drawn[0] and "step 3 of 9" in transport._status.value


def test_what_a_browser_has_lost_of_a_new_page_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buttons, status, draft and badges, every few seconds while the page is young, and no more then."""
    page, sent = Page(), []
    for widget in (*page.transport._buttons.values(), page.transport._status, page.transport._draft, page.transport._badges):
        monkeypatch.setattr(widget, "send_state", lambda key=None, widget=widget: sent.append(widget) if key is None else None)
    page.tick(6)
    assert len(sent) == len(BUTTONS) + 3
    page.tick(1)
    assert len(sent) == len(BUTTONS) + 3
    page.tick(SETTLING)
    assert len(sent) == len(BUTTONS) + 3
