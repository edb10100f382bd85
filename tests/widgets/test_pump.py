"""The pump, tick by tick: what was moved and pressed is asked for, what happened is drawn, and what is wrong is said."""

import asyncio
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import ipywidgets
import psutil
import pytest

from engine.record import client as runs
from engine.record import commands as ask
from engine.record import events as tell
from engine.record.claim import take_lock
from engine.record.folder import list_runs
from engine.record.recipe import Recipe, Schedule
from tests.widgets.charts.states import previewed
from tests.widgets.page import NOTHING, SCORES, Page, asked, gates, measured, opened, tell_run
from widgets.address import Address
from widgets.pump import WATCH
from widgets.requests import Adopt, Download, NewRun, OpenRun
from widgets.view import Drawn, View


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of a test lie in a folder of its own."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def page() -> Page:
    """A page whose run stands ready: loaded, measured and scored."""
    return Page().ready()


def prune(page: Page) -> None:
    """Prune as the controls say, and let it be done."""
    draft = page.view.draft
    plan = tell.PlanMade(
        draft.heads, draft.head_counts, draft.neuron_counts, draft.head_shares, draft.neuron_shares,
        draft.parameters_before, draft.parameters_after, "activation",
    )  # fmt: skip
    closed = replace(gates(draft.heads), neuron_counts=draft.neuron_counts)
    tell_run(page.session.client, plan, closed, tell.CheckpointSaved("step-000001", None, "prune"), measured("pruned", 60.0),
             tell.CommandFinished(5, "Evaluate"))  # fmt: skip
    page.tick()


def test_a_new_page_starts_a_run_and_asks_for_the_four_things_it_shows_first() -> None:
    """Model and text, the baseline's perplexity, its text, and the scores; nothing is drafted before a model is there."""
    page = Page()
    page.tick()
    assert [type(each) for each in asked(page.session.client)] == [ask.Load, ask.Evaluate, ask.Sample, ask.Score]
    assert page.view.draft is None
    assert page.addresses == [page.session.client.name]


def test_a_ready_run_has_its_draft_previewed_once(page: Page) -> None:
    """The preview asks for just what the controls say, and is not asked for again while it is awaited."""
    page.tick()
    page.tick()
    assert [each for each in asked(page.session.client, 4)] == [
        ask.Preview("activation", Schedule(level=0.3), Schedule(level=0.3))
    ]


def test_a_moved_level_shows_at_once_what_would_go_and_previews_when_it_rests(page: Page) -> None:
    """The counts come in the tick of the movement; the preview waits until the hand has rested."""
    before = len(asked(page.session.client))
    page.move("heads", 0.5)
    page.tick(0.05)
    assert page.view.draft.head_counts == (2,) * 6
    assert all(SCORES[layer][head] < 2 for layer, head in page.view.draft.heads)
    assert len(asked(page.session.client)) == before
    page.tick(0.05)
    assert len(asked(page.session.client)) == before
    page.tick(0.2)
    assert asked(page.session.client, before) == [ask.Preview("activation", Schedule(level=0.5), Schedule(level=0.3))]


def test_a_preview_of_another_draft_is_not_shown(page: Page) -> None:
    """A perplexity that belongs to where the slider was says nothing of where it is."""
    draft = page.view.draft
    found = previewed(draft, 55.0, page.view.recipe)
    tell_run(page.session.client, found)
    page.tick()
    assert page.view.preview == found
    assert "55.0" in page.transport._draft.value
    page.move("heads", 0.5)
    page.tick()
    assert page.view.preview is None
    assert "55.0" not in page.transport._draft.value


def test_a_preview_of_as_many_other_heads_is_not_shown(page: Page) -> None:
    """With another criterion just as many heads and neurons would go, but not the same: it is measured anew."""
    tell_run(page.session.client, previewed(page.view.draft, 55.0, page.view.recipe))
    page.tick()
    assert "55.0" in page.transport._draft.value
    before = len(asked(page.session.client))
    page.move("criterion", "random")
    page.tick()
    assert page.view.preview is None and "55.0" not in page.transport._draft.value
    page.tick()
    assert asked(page.session.client, before) == [ask.preview_of(page.view.recipe)]
    assert asked(page.session.client)[-1].criterion == "random"


def test_a_new_prompt_is_continued_by_the_model_as_it_stands(page: Page) -> None:
    """As the baseline's text before pruning, as the pruned model's after it; during a recovery it waits."""
    page.move("prompt", "Once upon")
    page.tick(0.05)
    assert asked(page.session.client)[-1] == ask.Sample("baseline", "Once upon")
    prune(page)
    page.move("prompt", "Twice")
    page.tick(0.05)
    assert asked(page.session.client)[-1] == ask.Sample("pruned", "Twice")
    tell_run(page.session.client, tell.CommandStarted(9, "Tune"))
    page.tick()
    page.move("prompt", "Thrice")
    page.tick()
    assert asked(page.session.client)[-1] == ask.Sample("pruned", "Twice")
    tell_run(page.session.client, tell.CommandFinished(9, "Tune"))
    page.tick()
    assert asked(page.session.client)[-1] == ask.Sample("pruned", "Thrice")


def test_no_preview_is_asked_for_while_a_recovery_runs(page: Page) -> None:
    """It would wait for the recovery to end; the page says so."""
    prune(page)
    tell_run(page.session.client, tell.CommandStarted(9, "Tune"), tell.TuningStarted("tuned", "full", 200, "float32"))
    page.tick()
    before = len(asked(page.session.client))
    page.move("neurons", 0.8)
    page.tick()
    page.tick()
    assert len(asked(page.session.client)) == before
    assert "after the recovery" in page.transport._draft.value
    tell_run(page.session.client, tell.CommandFinished(9, "Tune"))
    page.tick()
    assert isinstance(asked(page.session.client, before)[0], ask.Preview)


def test_a_block_slider_turns_the_shape_to_custom_and_a_shape_moves_the_sliders(page: Page) -> None:
    """The page's own settings of the other controls are not taken for movements by hand."""
    page.move("back", 0.9)
    page.tick()
    assert page.shown("shape") == "custom"
    assert page.view.draft.neuron_counts == (30, 30, 30, 30, 90, 90)
    page.move("shape", "linear")
    page.tick()
    assert page.shown("shape") == "linear"
    assert page.shown("back") == pytest.approx(page.shown("front") * 2, abs=0.02)  # both stand on steps of 0.01
    assert page.controls.drain() == []


def test_prune_asks_for_the_change_and_for_what_shows_it(page: Page) -> None:
    """Gates, perplexity and text, in this order; the button is grey until the worker has begun."""
    before = len(asked(page.session.client))
    page.press("Prune")
    page.tick()
    assert [type(each) for each in asked(page.session.client, before)] == [ask.Prune, ask.Evaluate, ask.Sample]
    page.press("Prune")
    page.tick()
    assert len(asked(page.session.client)) == before + 3


def test_after_pruning_the_controls_agree_with_what_stands(page: Page) -> None:
    """No draft is left, so Prune is grey and says why, and Recover can be pressed."""
    prune(page)
    assert page.view.draft is None
    buttons = page.transport._buttons
    assert buttons["Prune"].disabled and "nothing but what stands" in buttons["Prune"].tooltip
    assert not buttons["Recover"].disabled
    page.press("Recover")
    page.tick()
    assert isinstance(asked(page.session.client)[-1], ask.Tune)


@pytest.mark.parametrize("button", ["Pause", "Stop"])
def test_a_hold_is_passed_on_while_something_is_done(page: Page, button: str) -> None:
    """They are answered by the worker between two steps."""
    tell_run(page.session.client, tell.CommandStarted(9, "Tune"))
    page.tick()
    page.press(button)
    page.tick()
    assert asked(page.session.client)[-1] == getattr(ask, button)()


def test_a_grey_button_asks_for_nothing(page: Page) -> None:
    """Whoever sends the click past the browser gets nothing done by it."""
    before = len(asked(page.session.client))
    page.press("Resume")
    page.press("Undo")
    page.tick()
    assert len(asked(page.session.client)) == before


def test_an_impossible_value_is_refused_beside_its_control_and_asks_for_nothing(page: Page) -> None:
    """The run goes on as it was, Prune is grey, and a better value takes the sentence away."""
    before = len(asked(page.session.client))
    page.move("steps", "-3")
    page.tick()
    assert "Recovery steps -3 is not allowed" in page.refusal
    assert page.controls._error.layout.display is None
    assert page.transport._buttons["Prune"].disabled
    assert len(asked(page.session.client)) == before
    page.move("steps", "30")
    page.tick()
    assert page.refusal == ""


@pytest.mark.parametrize("prompt", ["", "a" * 100_000, "\x00"])
def test_an_impossible_prompt_is_refused_and_never_written(page: Page, prompt: str) -> None:
    """Nothing, too much, and control characters; the sentence is escaped and short."""
    before = len(asked(page.session.client))
    page.move("prompt", prompt)
    page.tick()
    assert "Prompt" in page.refusal and len(page.refusal) < 400
    assert len(asked(page.session.client)) == before


def test_a_refusal_by_the_worker_stands_beside_the_control_it_concerns(page: Page) -> None:
    """And goes when a control is moved; what is in it is text, not markup."""
    tell_run(page.session.client, tell.CommandStarted(9, "Prune"), tell.CommandRefused(9, "Prune", "heads.level", "No <b>."))
    page.tick()
    assert "No &lt;b&gt;." in page.refusal
    page.move("heads", 0.4)
    page.tick()
    assert page.refusal == ""


def test_a_refusal_of_no_field_stands_in_the_status_line(page: Page) -> None:
    """So do faults that no control is to blame for."""
    tell_run(page.session.client, tell.CommandStarted(9, "Save"), tell.CommandRefused(9, "Save", "", "The <disk> is full."))
    page.tick()
    assert "The &lt;disk&gt; is full." in page.status
    assert page.refusal == ""


def test_a_process_that_was_stopped_is_named_in_the_status_line_until_it_is_continued(page: Page) -> None:
    """And no worker is started beside it; the process is one that has nothing to do with runs."""
    with subprocess.Popen(["sleep", "60"]) as process:
        lock = page.session.client.folder / "lock.json"
        lock.write_text(json.dumps(json.loads(lock.read_text()) | {"worker": process.pid}))
        tell_run(page.session.client, tell.CommandStarted(9, "Tune"))
        for sent, told in ((signal.SIGSTOP, True), (signal.SIGCONT, False)):
            process.send_signal(sent)
            while (psutil.Process(process.pid).status() == psutil.STATUS_STOPPED) != told:
                time.sleep(0.01)
            page.tick(WATCH)
            page.tick(WATCH)
            assert (f"process {process.pid}, which carries this run out, is stopped." in page.status) == told
        process.kill()


def test_another_model_starts_a_run_that_takes_the_place_of_this_one_once_it_has_loaded(page: Page) -> None:
    """Until then the old run stays on the page; afterwards it stays as it is, for whoever opens it again."""
    old = page.session.client
    page.tick()
    before = len(asked(old))
    page.move("model", "distilgpt2")
    page.tick()
    assert page.session.client is old and "Loading what was asked for" in page.status
    new = [folder for folder in list_runs() if "distilgpt2" in folder.name]
    assert len(new) == 1
    tell_run(runs.attach(new[0].name), *opened())
    page.tick()
    assert page.session.client.folder == new[0]
    assert len(asked(old)) == before and not old.is_over()
    assert page.view.state.model is not None and page.view.recipe.model == "distilgpt2"


def test_nothing_is_asked_of_a_run_that_another_is_about_to_replace(page: Page) -> None:
    """Neither by a button nor on the map of heads; choosing its model again gives both back."""
    told = len(asked(page.session.client))
    page.move("model", "distilgpt2")
    page.tick()
    page.press("Prune")
    page.pump.act(ask.SetGate(0, 0, False))
    page.tick()
    assert "takes this one's place" in unescape(page.status) and len(asked(page.session.client)) == told
    page.move("model", "gpt2-tiny")
    page.tick()
    page.pump.act(ask.SetGate(0, 0, False))
    page.tick()
    assert ask.SetGate(0, 0, False) in asked(page.session.client, told)


def test_a_model_that_cannot_be_had_costs_a_sentence_and_leaves_the_run_as_it_was(page: Page) -> None:
    """The run that was to come is finished, the one on the page is not."""
    old = page.session.client
    page.move("model", "distilgpt2")
    page.tick()
    new = next(runs.attach(folder.name) for folder in list_runs() if "distilgpt2" in folder.name)
    tell_run(new, tell.CommandStarted(0, "Load"), tell.CommandRefused(0, "Load", "model", "distilgpt2 is not here."))
    page.tick()
    assert page.session.client is old and not page.session.is_changing
    assert "distilgpt2 is not here." in page.refusal
    assert asked(new)[-1] == ask.Finish() and ask.Finish() not in asked(old)
    assert page.view.recipe.model == "gpt2-tiny"
    assert not page.transport._buttons["Prune"].disabled
    page.move("heads", 0.6)
    page.tick()
    assert "distilgpt2 is not here." in page.refusal, "it stands for as long as what was refused does"
    page.move("model", "gpt2-tiny")
    page.tick()
    assert page.refusal == ""


def test_a_first_model_that_cannot_be_had_is_said_until_another_is_chosen() -> None:
    """Moving a slider does not bring the model."""
    page = Page()
    refused = tell.CommandRefused(0, "Load", "model", "gpt2-tiny is broken.")
    tell_run(page.session.client, tell.WorkerStarted(1, 1), tell.CommandStarted(0, "Load"), refused)
    page.tick()
    page.move("heads", 0.6)
    page.tick()
    assert "gpt2-tiny is broken." in page.refusal
    page.move("model", "distilgpt2")
    page.tick()
    assert page.refusal == ""


def test_going_back_to_the_model_on_the_page_gives_up_the_one_that_was_to_come(page: Page) -> None:
    """Its run is finished, and nothing takes this one's place."""
    page.move("model", "distilgpt2")
    page.tick()
    new = next(runs.attach(folder.name) for folder in list_runs() if "distilgpt2" in folder.name)
    page.move("model", "gpt2-tiny")
    page.tick()
    assert not page.session.is_changing and asked(new)[-1] == ask.Finish()
    assert len(list_runs()) == 2


def test_a_text_without_its_path_waits_for_one(page: Page, tmp_path: Path) -> None:
    """No run is started for half a choice, and none for a file that is not there."""
    page.move("corpus", "file:")
    page.tick()
    assert "Write the path" in page.refusal and len(list_runs()) == 1
    page.move("corpus_path", str(tmp_path / "no.txt"))
    page.tick()
    assert "is not there" in page.refusal and len(list_runs()) == 1
    (tmp_path / "some.txt").write_text("words")
    page.move("corpus_path", str(tmp_path / "some.txt"))
    page.tick()
    assert page.refusal == "" and len(list_runs()) == 2


def test_model_and_text_are_held_while_a_recovery_runs(page: Page) -> None:
    """Another run would end the one that works; the tooltip says what to do."""
    tell_run(page.session.client, tell.CommandStarted(9, "Tune"))
    page.tick()
    assert page.controls._each["model"].disabled and "Stop" in page.controls._each["model"].tooltip


def test_gates_closed_by_hand_are_measured(page: Page) -> None:
    """A click on a head changes a gate; what that costs is asked for once."""
    tell_run(page.session.client, gates(((2, 1),), reason="by hand"))
    page.tick()
    page.tick()
    assert [type(each) for each in asked(page.session.client) if isinstance(each, ask.Evaluate)][1:] == [ask.Evaluate]
    assert asked(page.session.client)[-1].stage == "pruned"


def test_a_head_cannot_be_clicked_while_a_recovery_runs(page: Page) -> None:
    """It would be queued behind it and take effect much later, on another model."""
    tell_run(page.session.client, tell.CommandStarted(9, "Tune"))
    page.tick()
    page.pump.act(ask.SetGate(0, 0, False))
    page.tick()
    assert ask.SetGate(0, 0, False) not in asked(page.session.client)
    assert "when nothing else is being done" in page.status


def test_another_head_can_be_clicked_while_the_first_is_measured(page: Page) -> None:
    """It waits for a second behind that, and nobody need wait for it."""
    tell_run(page.session.client, tell.CommandStarted(9, "Evaluate"))
    page.tick()
    page.pump.act(ask.SetGate(0, 0, False))
    page.tick()
    assert ask.SetGate(0, 0, False) in asked(page.session.client)


def test_a_reloaded_page_shows_what_was_asked_for_last(page: Page) -> None:
    """Controls, gates and numbers come back from the run's folder."""
    page.move("neurons", 0.6)
    page.move("shape", "linear")
    page.tick()
    prune(page)
    page.pump.act(ask.Prune("activation", page.view.recipe.heads, page.view.recipe.neurons))
    page.tick()
    again = Page(Address(run=page.session.client.name))
    again.tick()
    assert (again.shown("neurons"), again.shown("shape")) == (0.6, "linear")
    assert again.view.state.standing.perplexity["pruned"].perplexity == 60.0
    assert again.view.draft is None
    assert len(list_runs()) == 1


def test_a_run_that_is_not_there_is_said_and_a_new_one_started() -> None:
    """An old bookmark opens a page all the same; a path in it opens nothing."""
    page = Page(Address(run="../../etc"))
    page.tick()
    assert "is not in" in page.status and "new run was started" in page.status
    assert len(list_runs()) == 1


def test_a_run_that_is_only_looked_at_asks_for_nothing_until_a_control_is_moved(page: Page) -> None:
    """No worker is started for scores that a recovery has made another model's."""
    told = len(asked(page.session.client))
    tuned = tell.CheckpointSaved("step-000001", None, "tune")
    tell_run(page.session.client, tell.CommandStarted(told - 1, "Tune"), tuned, tell.CommandFinished(told - 1, "Tune"))
    (page.session.client.folder / "lock.json").unlink()
    again = Page(Address(run=page.session.client.name))
    for _ in range(3):
        again.tick(5.0)
    assert again.view.state.scores_stale and len(asked(page.session.client)) == told
    assert take_lock(page.session.client.folder)  # in a worker's place
    again.move("neurons", 0.45)
    again.tick()
    again.tick()
    assert len(asked(page.session.client)) == told + 1


def test_another_run_can_be_opened_in_place(page: Page) -> None:
    """The address follows, the controls show it, and a wrong name is a sentence."""
    other = runs.start(Recipe(heads=Schedule(level=0.7)))
    assert take_lock(other.folder)
    tell_run(other, *opened())
    page.pump.act(OpenRun(other.name))
    page.tick()
    page.tick()
    assert page.addresses[-1] == other.name and page.shown("heads") == 0.7
    page.pump.act(OpenRun("nothing"))
    page.tick()
    assert "is not in" in page.status


def test_a_run_that_is_over_asks_for_nothing_more_and_a_new_one_can_be_had(page: Page) -> None:
    """The last word was spoken: every button is grey."""
    tell_run(page.session.client, tell.RunFinished())
    page.tick()
    assert all(button.disabled for button in page.transport._buttons.values())
    page.pump.act(NewRun())
    page.tick()
    assert len(list_runs()) == 2


def test_a_download_is_made_in_the_tick_after_it_was_asked_for(page: Page) -> None:
    """Callbacks make nothing themselves."""
    page.pump.act(Download("events"))
    assert page.delivered == []
    page.tick()
    assert page.delivered == ["events"]


def test_charts_are_drawn_once_a_tick_and_only_when_something_changed(page: Page) -> None:
    """A thousand events make one drawing, and a quiet page sends nothing."""
    seen: list[View] = []
    page.pump.screen.drawn = (Drawn(ipywidgets.HTML(), seen.append),)
    tell_run(page.session.client, *(tell.StepTrained("tuned", step, 1000, 3.0, 0.1) for step in range(1000)))
    page.tick()
    assert len(seen) == 1
    page.tick()
    page.tick()
    assert len(seen) == 1


def test_everything_is_asked_from_whatever_thread_a_callback_comes_on(page: Page) -> None:
    """Notes of a subshell's thread are read by the pump alone, and no widget is written outside its tick."""
    thread = threading.Thread(target=lambda: (page.press("Prune"), page.move("heads", 0.5)))
    thread.start()
    thread.join()
    assert page.view.draft.head_counts == (1,) * 6
    page.tick()
    assert page.view.draft.head_counts == (2,) * 6


def test_word_is_left_every_few_seconds_that_somebody_looks(page: Page) -> None:
    """The worker stays for as long as the page does."""
    mark = page.session.client.folder / "viewers" / page.session.client.viewer
    mark.unlink(missing_ok=True)
    page.tick(1.0)
    page.tick(5.0)
    assert mark.exists()


def test_a_tick_that_fails_is_shown_on_the_page_and_tried_again(page: Page) -> None:
    """Nothing is swallowed: the status line has the fault, escaped, and the next good tick takes it away."""
    faults = [ValueError("one <bad> chart")]

    def draw(view: View) -> None:
        if faults:
            raise faults.pop()

    page.pump.screen.drawn = (Drawn(ipywidgets.HTML(), draw),)

    async def two_ticks(seen: Callable[[str], None]) -> None:
        beating = asyncio.get_running_loop().create_task(page.pump.beat())
        await asyncio.sleep(0.1)
        seen(page.status)
        await asyncio.sleep(1.2)
        seen(page.status)
        beating.cancel()

    said: list[str] = []
    tell_run(page.session.client, measured("pruned", 50.0))
    asyncio.run(two_ticks(said.append))
    assert "The page has a fault" in said[0] and "<bad>" not in said[0]
    assert "fault" not in said[1]


def test_nothing_is_pruned_at_level_nought(page: Page) -> None:
    """The controls then ask for what stands already."""
    page.move("heads", 0.0)
    page.move("neurons", 0.0)
    page.tick()
    assert page.view.draft is None
    assert NOTHING == (0,) * 6
    assert page.transport._buttons["Prune"].disabled


def test_a_criterion_that_cannot_choose_neurons_is_refused_while_some_are_to_go(page: Page) -> None:
    """In words, beside the menu; with no neuron to go it is taken."""
    page.move("criterion", "ablation")
    page.tick()
    assert "scores heads only" in page.refusal and page.transport._buttons["Prune"].disabled
    page.move("neurons", 0.0)
    page.tick()
    assert page.refusal == "" and not page.transport._buttons["Prune"].disabled


def test_what_the_fold_says_is_previewed_and_pruned(page: Page) -> None:
    """Every field that pruning depends on has its preview asked anew and is in what Prune asks; a bad one asks for nothing."""
    page.tick()
    page.unfold()
    for name, value in (("compensation", "bias"), ("ridge", "5"), ("rounds", "2"), ("seed", "3"), ("allocation", "global"),
                        ("calibration.tokens", "2048"), ("evaluation.tokens", "2048"), ("protect.first", "1")):  # fmt: skip
        before = len(asked(page.session.client))
        page.controls.more._each[name].value = value
        page.tick()
        page.tick()
        assert [type(each) for each in asked(page.session.client, before)] == [ask.Preview], name
        assert asked(page.session.client)[-1] == ask.preview_of(page.view.recipe)
    page.controls.more._each["rounds"].value = "0"
    before = len(asked(page.session.client))
    page.press("Prune")
    page.tick()
    assert asked(page.session.client)[before:] == []
    page.controls.more._each["rounds"].value = "2"
    page.tick()
    page.press("Prune")
    page.tick()
    prune = next(each for each in asked(page.session.client) if isinstance(each, ask.Prune))
    assert (prune.compensation, prune.ridge, prune.rounds, prune.seed, prune.allocation) == ("bias", 5.0, 2, 3, "global")
    assert (prune.calibration.tokens, prune.protect.first) == (2048, 1)


def test_suggested_shares_are_taken_into_the_controls_and_previewed(page: Page) -> None:
    """Into the fold that nobody has opened, and above it; what is pruned is just them."""
    page.tick()
    before = len(asked(page.session.client))
    page.pump.act(Adopt((0.0,) * 6, (0.5, 0.25, 0.0, 0.0, 0.0, 0.75)))
    page.tick()
    page.tick()
    (preview,) = asked(page.session.client, before)
    assert isinstance(preview, ask.Preview) and preview.neurons.shares(6) == (0.5, 0.25, 0.0, 0.0, 0.0, 0.75)
    assert not preview.heads.takes_any and (page.shown("heads"), page.shown("neurons")) == (0.0, 0.25)
    assert page.view.draft.neuron_counts == (50, 25, 0, 0, 0, 75)


def test_another_device_takes_a_run_of_its_own(page: Page) -> None:
    """As another model does; until that has loaded the run on the page stays."""
    page.unfold()
    page.controls.more._each["precision"].value = "float32"
    page.tick()
    assert page.session.is_changing and page.session.wanted[-1] == "float32"
    page.controls.more._each["precision"].value = "auto"
    page.tick()
    assert not page.session.is_changing


def test_another_compensation_strength_is_a_change_that_can_be_pruned(page: Page) -> None:
    """As many units would go, but what is left would be another model; back where it was, there is nothing to do."""
    page.tick()
    page.press("Prune")
    page.tick()
    number = next(at for at, each in enumerate(asked(page.session.client)) if isinstance(each, ask.Prune))
    draft = page.view.draft
    plan = tell.PlanMade(draft.heads, draft.head_counts, draft.neuron_counts, draft.head_shares, draft.neuron_shares, 10, 8,
                         "activation")  # fmt: skip
    closed = tell.GatesChanged(draft.heads, draft.head_counts, draft.neuron_counts, 10, 8, "prune")
    tell_run(page.session.client, tell.CommandStarted(number, "Prune"), plan, closed, tell.CommandFinished(number, "Prune"))
    page.tick()
    assert page.view.draft is None and page.transport._buttons["Prune"].disabled
    page.unfold()
    page.controls.more._each["ridge"].value = "5"
    page.tick()
    assert page.view.draft is not None and not page.transport._buttons["Prune"].disabled
    page.controls.more._each["ridge"].value = "0.001"
    page.tick()
    assert page.view.draft is None
