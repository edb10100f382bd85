"""The page after a reload, and one that comes late: both show the run as it stands."""

import shutil
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser

from tests.browser.driving import Dashboard
from tests.browser.harness import Server, visit

pytestmark = pytest.mark.browser
MADE = "The smaller model is made"


def test_a_reload_shows_the_same_screen(browser: Browser, server: Server, told: str) -> None:
    """The same words on every card, the same controls, the same cells; and no worker is started only to look."""
    with visit(browser, f"{server.address}?run={told}") as seen:
        board = Dashboard(seen.page)
        board.says(MADE)
        board.until(lambda: board.crosses() == board.closed() > 0, "the crosses")
        before = board.words(), board.controls(), _cells(board)
        assert before[1]["Recovery steps"] == "12"
        seen.page.reload()
        board.says(MADE)
        board.until(lambda: (board.words(), board.controls(), _cells(board)) == before, "the same screen", seconds=20)
        assert board.run == told
        assert seen.complaints == []
    assert not (server.home / "runs" / told / "lock.json").exists()


def test_a_fresh_page_offers_the_last_run(browser: Browser, server: Server, told: str) -> None:
    """It begins a run of its own; one press goes back to the last one, and the address follows."""
    last = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-gpt2-tiny-ffffff"
    shutil.copytree(server.home / "runs" / told, server.home / "runs" / last)  # newer than any that another test has left
    with visit(browser, server.address) as seen:
        board = Dashboard(seen.page)
        board.until(lambda: "run=" in seen.page.url, "the address to name the new run")
        assert board.run != last
        offered = board.button("Continue the last run")
        board.until(offered.is_enabled, "the offer")
        assert "ffffff" in offered.get_attribute("title")
        offered.click()
        board.says(MADE)
        assert board.run == last
        board.until(lambda: board.perplexities()["control"] is not None, "what the run had measured")
        assert seen.complaints == []


def _cells(board: Dashboard) -> list[str | None]:
    return [cell.get_attribute("style") for cell in board.page.locator(".heatmapcell").all()]
