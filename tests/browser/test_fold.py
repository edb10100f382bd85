"""The fold of all other choices: closed until somebody opens it, by mouse or keyboard, and in order then in every window."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import Dashboard
from tests.browser.harness import Server, visit
from tests.browser.looks import VIEWS, ask, overlapping
from tests.browser.still import READY, still
from widgets.choices import MORE
from widgets.meanings import GROUPS

pytestmark = pytest.mark.browser
CARDS = ("Importance of heads", "Share removed, by layer", "Perplexity by stage", "Loss in recovery", "Text before and after")


@pytest.fixture(scope="module", params=VIEWS)
def board(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Dashboard]:
    """The page of a run that stands ready, in one of the windows."""
    width, height, theme = VIEWS[request.param]
    with visit(browser, f"{server.address}?run={still(server.home, *READY)}&theme={theme}", width, height) as seen:
        board = Dashboard(seen.page)
        board.says("Ready.")
        yield board
        assert seen.complaints == []


def test_the_main_loop_fits_the_window_while_the_fold_is_closed(board: Dashboard) -> None:
    """All charts and both texts on one screen of 1440 × 900, and none of the other choices in sight."""
    expect(board.button("More choices")).to_have_attribute("aria-expanded", "false")
    expect(board.page.get_by_label("Ridge", exact=True)).to_be_hidden()
    if board.page.viewport_size["width"] == 1440:
        boxes = [board.card(name).bounding_box() for name in CARDS]
        assert max(box["y"] + box["height"] for box in boxes) <= 900


def test_the_keyboard_opens_the_fold_and_every_field_in_it_has_its_name(board: Dashboard) -> None:
    """Each is called what is written beside it, once."""
    if board.button("More choices").get_attribute("aria-expanded") == "false":
        board.button("More choices").press("Enter")
    expect(board.button("More choices")).to_have_attribute("aria-expanded", "true")
    words = {name: each for of_group in GROUPS.values() for name, each in of_group.items()}
    for name in MORE:
        expect(board.page.get_by_label(words[name], exact=True)).to_be_visible()


def test_the_open_fold_is_in_order(board: Dashboard) -> None:
    """Nothing wider than the window, over another, cut off or too faint to read."""
    if board.button("More choices").get_attribute("aria-expanded") == "false":
        board.press("More choices")
    expect(board.page.get_by_label("Ridge", exact=True)).to_be_visible()
    board.page.wait_for_timeout(500)
    boxes = ask(board.page, "boxes")
    assert [box for box in boxes if box[3] > board.page.viewport_size["width"]] == []
    assert overlapping(boxes) == []
    assert ask(board.page, "cut") == [] == ask(board.page, "faint")


def test_what_cannot_be_is_refused_right_under_its_field(board: Dashboard) -> None:
    """With the range; a value that can be takes the sentence away, and changes what Prune would do."""
    if board.button("More choices").get_attribute("aria-expanded") == "false":
        board.press("More choices")
    board.write("Rounds", "99")
    alert = board.page.get_by_role("alert")
    expect(alert).to_contain_text("Rounds 99 is not allowed; it takes a whole number from 1 to 64.")
    field, said = board.page.get_by_label("Rounds", exact=True).bounding_box(), alert.bounding_box()
    assert 0 <= said["y"] - (field["y"] + field["height"]) < 12
    board.write("Rounds", "1")
    expect(alert).to_have_count(0)
    board.page.get_by_label("How shares are found", exact=True).select_option("global")
    expect(board.draft).to_contain_text("worked out by a preview")
    board.page.get_by_label("How shares are found", exact=True).select_option("schedule")
    expect(board.draft).to_contain_text("Prune would take 12 of 36 heads")
