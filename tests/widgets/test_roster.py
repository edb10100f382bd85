"""The other runs of this machine on the page: chosen, resumed, stopped, deleted; a press that is late changes nothing."""

import os
import shutil
import time
from pathlib import Path

import pytest

from engine.record import commands as ask
from engine.record import events as tell
from engine.record.claim import take_lock
from engine.record.folder import Tail, Writer, create, post
from engine.record.lock import STALE, watch
from engine.record.recipe import Recipe
from engine.record.run_list import LiveRun
from tests.widgets.page import Page
from widgets.requests import ChooseRun, DiscardRun, KeepRun, ResumeRun, StopRun
from widgets.roster import BUTTONS, refusals


@pytest.fixture
def folder(home):
    """A run that was left in the middle of a recovery, and that nobody holds."""
    folder = create(Recipe(), home / "runs" / "20250101T000000Z-gpt2-tiny-00aa11")
    post(folder, ask.Tune())
    return folder


@pytest.fixture
def page(folder) -> Page:
    """A page of another run, which has read the list."""
    page = Page()
    told(folder, tell.RunStarted({}, "0"), tell.WorkerStarted(1, 1), tell.CommandStarted(0, "Tune"))
    told(folder, tell.StepTrained("tuned", 3, 9, 1.0, 0.1))
    page.tick(5)
    return page


def told(folder: Path, *facts: object) -> None:
    """Write what happened in a run that no page shows."""
    writer = Writer(folder / "events.jsonl")
    for fact in facts:
        writer.append(fact)
    writer.close()


def run(page: Page) -> LiveRun:
    """The run that is spoken of, once what was pressed is done."""
    page.tick(5)
    page.tick(5)
    return page.view.runs.run


def can(page: Page) -> set[str]:
    """The buttons of the list that can be pressed now."""
    return {name for name, reason in refusals(run(page)).items() if not reason}


def test_the_list_has_every_run_but_the_one_on_the_page(page, folder):
    """The newest is chosen until somebody chooses; one that is gone is chosen no more."""
    assert [each.name for each in page.view.runs.found] == [folder.name]
    assert run(page).name == folder.name and run(page).doing == "Tune"
    other = create(Recipe(), folder.parent / "20260101T000000Z-gpt2-tiny-00aa11")
    assert run(page).name == folder.name
    page.pump.act(ChooseRun(other.name))
    assert run(page).name == other.name
    shutil.rmtree(other)
    assert run(page).name == folder.name


def test_a_run_that_was_left_can_be_stopped_and_deleted_and_one_that_is_held_cannot(page, folder):
    """What is done in it goes before the list's buttons; each that is grey says why."""
    assert can(page) == {"Open run", "Resume run", "Stop run", "Discard run"}
    claim = take_lock(folder)
    assert can(page) == {"Open run", "Stop run"}
    told(folder, tell.RunPaused())
    assert can(page) == {"Open run", "Resume run", "Stop run"}
    told(folder, tell.CommandStopped(0, "Tune"))
    assert can(page) == {"Open run"}
    claim.release()
    watch(folder, "another page")
    assert can(page) == {"Open run"}
    os.utime(folder / "viewers" / "another page", (0, time.time() - STALE))
    assert can(page) == {"Open run", "Discard run"}
    told(folder, tell.RunFinished())
    assert can(page) == {"Open run", "Discard run"}
    reasons = refusals(run(page)) | refusals(None)
    assert set(reasons) == set(BUTTONS) and all(reason.endswith(".") for reason in reasons.values() if reason)


def test_stop_is_asked_without_waiting_for_the_answer(page, folder):
    """The page goes on meanwhile; what came of it is said, and the status line of this run says nothing of it."""
    assert take_lock(folder)
    began = time.monotonic()
    page.pump.act(StopRun(folder.name))
    page.tick()
    assert time.monotonic() - began < 2
    assert isinstance(Tail(folder / "commands.jsonl").read()[-1].fact, ask.Stop)
    assert "was asked to stop" in page.pump.tick().runs.said and folder.name not in page.status


def test_a_paused_run_is_resumed_where_it_is(page, folder):
    """By the process that holds it."""
    assert take_lock(folder)
    told(folder, tell.RunPaused())
    page.pump.act(ResumeRun(folder.name))
    page.tick()
    assert isinstance(Tail(folder / "commands.jsonl").read()[-1].fact, ask.Resume)
    assert page.pump.tick().runs.said == f"{folder.name} goes on."


def test_a_run_is_deleted_only_after_a_question(page, folder):
    """Which anything else that is pressed takes back, and half a minute too; to confirm without a question deletes nothing."""
    sure = DiscardRun(folder.name, sure=True)
    for taken_back in (KeepRun(), ChooseRun(folder.name), ResumeRun("nowhere"), None):
        page.pump.act(DiscardRun(folder.name))
        page.tick()
        assert page.pump.tick().runs.doubt
        if taken_back is not None:
            page.pump.act(taken_back)
        page.tick(31 if taken_back is None else 0.1)
        assert not page.pump.tick().runs.doubt
        page.pump.act(sure)
        page.tick()
        assert (folder / "recipe.json").is_file()
    page.pump.act(DiscardRun(folder.name))
    page.tick()
    page.pump.act(sure)
    page.tick()
    page.tick(5)
    assert not folder.exists() and page.view.runs.found == () and page.view.runs.said == f"{folder.name} is deleted."


def test_a_press_that_comes_too_late_changes_nothing(page, folder):
    """The run is carried out, over or gone by then: a sentence says so."""
    page.pump.act(DiscardRun(folder.name))
    page.tick()
    assert take_lock(folder)
    page.pump.act(DiscardRun(folder.name, sure=True))
    page.tick()
    assert page.pump.tick().runs.refused and "is held by a process" in page.pump.tick().runs.said
    assert (folder / "recipe.json").is_file()
    told(folder, tell.RunFinished())
    for request in (StopRun(folder.name), ResumeRun(folder.name)):
        page.pump.act(request)
        page.tick()
        assert page.pump.tick().runs.refused and "is over: it has finished" in page.pump.tick().runs.said
    shutil.rmtree(folder)
    page.pump.act(StopRun(folder.name))
    page.tick()
    assert "is not in" in page.pump.tick().runs.said
