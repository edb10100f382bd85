"""Pages that go without a word, and several on one run: kernel and server are killed, and the run goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from engine.record.client import open_run
from engine.record.folder import read_events
from engine.record.lifecycle import WorkerRestarted
from tests.browser.driving import PRUNED, READY, RECOVERED, SMALL, Dashboard, address, serve_dashboard, supervisor
from tests.browser.harness import ROOT, Server, serve, visit, wait_until

pytestmark = pytest.mark.browser
STEPS = 250
LONG = SMALL.model_copy(update={"tuning": SMALL.tuning.model_copy(update={"steps": STEPS, "control": False})})


def recovering(board: Dashboard) -> str:
    """The name of a run that has been pruned and is being recovered."""
    board.says(READY)
    board.press("Prune")
    board.says(PRUNED)
    board.press("Recover")
    board.until(lambda: board.steps() > 2, "the recovery")
    return board.run


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder for two servers, one after the other; the workers of its runs end with the test."""
    yield tmp_path
    for run in (tmp_path / "espalier_home" / "runs").iterdir():
        process = supervisor(run)
        if process is not None:
            process.terminate()
            process.wait(30)


def test_a_killed_kernel_and_a_killed_server_take_nothing_from_a_run(browser: Browser, scratch: Path) -> None:
    """The worker goes on, and so does each page that is opened afterwards; every step was made and told once."""
    with serve(ROOT, scratch) as server:
        with visit(browser, address(server, LONG)) as seen:
            run = recovering(Dashboard(seen.page))
            (kernel,) = server.kernels()
            kernel.kill()
        with visit(browser, f"{server.address}?run={run}") as seen:
            board = Dashboard(seen.page)
            board.until(lambda: board.steps() > 2 or RECOVERED in board.status.inner_text(), "the recovery on another page")
            kernels = server.kernels()
            server.process.kill()
        wait_until(lambda: not any(each.is_running() and each.status() != "zombie" for each in kernels), 30, "the kernel to end")
    with serve_dashboard(scratch) as server, visit(browser, f"{server.address}?run={run}") as seen:
        board = Dashboard(seen.page)
        board.says(RECOVERED)
        board.shows("Loss in recovery", rf"step {STEPS} of {STEPS}")
        assert board.perplexities()["recovered"] is not None
    folder = scratch / "espalier_home" / "runs" / run
    events = read_events(folder)
    steps = [each.fact.step for each in events if type(each.fact).__name__ == "StepTrained"]
    assert steps == list(range(1, STEPS + 1)) and not any(isinstance(each.fact, WorkerRestarted) for each in events)
    lines = (folder / "events.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))


def test_two_pages_on_one_run_show_the_same_and_both_can_ask(browser: Browser, server: Server) -> None:
    """One holds a recovery, the other steps it and lets it go on, the first one stops it; then both have the same words."""
    with visit(browser, address(server, LONG)) as first:
        one = Dashboard(first.page)
        run = recovering(one)
        with visit(browser, f"{server.address}?run={run}") as second:
            other = Dashboard(second.page)
            one.press("Pause")
            other.says("Paused")
            one.says("Paused")
            held = open_run(server.home / "runs" / run).step.step
            other.press("Step")
            for board in (one, other):
                board.until(lambda board=board: board.steps() == held + 1, "one more step")
            other.press("Resume")
            one.until(lambda: one.steps() > held + 1, "the recovery to go on")
            one.press("Stop")
            for board in (one, other):
                board.says(RECOVERED)
            one.until(lambda: one.words() == other.words(), "both pages to say the same", seconds=20)
            assert first.complaints == second.complaints == []


def test_a_run_is_stopped_and_deleted_from_another_page(browser: Browser, server: Server) -> None:
    """From the list, once it is no more on its own page; the question can be answered with no."""
    others = {kernel.pid for kernel in server.kernels()}
    with visit(browser, address(server, LONG)) as first:
        run = recovering(Dashboard(first.page))
        (kernel,) = (kernel for kernel in server.kernels() if kernel.pid not in others)
        folder = server.home / "runs" / run
        with visit(browser, server.address) as second:
            board = Dashboard(second.page)
            menu = board.page.get_by_label("Other runs", exact=True)
            board.until(lambda: run[-6:] in menu.inner_text(), "the run to be listed")
            lines = menu.locator("option").all_inner_texts()
            menu.select_option(index=next(place for place, line in enumerate(lines) if run[-6:] in line))
            board.shows("All runs", r"recovering, step \d+ of")
            assert board.button("Discard run").is_disabled() and board.button("Resume run").is_disabled()
            board.press("Stop run")
            Dashboard(first.page).says(RECOVERED)
            board.shows("All runs", "nothing more was asked")
            first.page.close()
            kernel.kill()  # the server does so after a while
            for mark in (folder / "viewers").iterdir():  # what half a minute without it comes to
                os.utime(mark, (0, 0))
            wait_until(lambda: supervisor(folder) is None, 30, "its worker to end")
            board.until(board.button("Discard run").is_enabled, "the button", seconds=30)
            board.press("Discard run")
            board.press("Keep it")
            board.until(lambda: not board.button("Delete it").is_visible(), "the question to go")
            assert folder.is_dir()
            board.press("Discard run")
            board.press("Delete it")
            board.shows("All runs", "is deleted")
            assert not folder.exists() and second.complaints == []
