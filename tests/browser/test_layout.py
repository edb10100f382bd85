"""How the page stands in windows of two sizes and in both themes, with everything on it that a whole run brings."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.driving import Dashboard
from tests.browser.harness import Server, Visit, visit
from tests.browser.looks import VIEWS, ask, overlapping

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=VIEWS)
def seen(browser: Browser, server: Server, told: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """The page of a whole run in one of the windows."""
    width, height, theme = VIEWS[request.param]
    with visit(browser, f"{server.address}?run={told}&theme={theme}", width, height) as seen:
        Dashboard(seen.page).says("The smaller model is made")
        seen.page.wait_for_timeout(1000)  # bqplot draws a figure again when its place has found its size
        yield seen


def test_nothing_is_wider_than_the_window(seen: Visit) -> None:
    """No scrolling from left to right, neither of the page nor of the part that Voilà lets scroll."""
    assert [wider for wider, _ in ask(seen.page, "excess") if wider > 0] == []
    width = seen.page.viewport_size["width"]
    assert [box for box in ask(seen.page, "boxes") if box[3] > width] == []


def test_no_control_lies_over_another(seen: Visit) -> None:
    """The boxes of buttons, menus, fields, sliders, labels and headings are apart, but for those inside each other."""
    boxes = ask(seen.page, "boxes")
    assert len(boxes) > 50
    assert overlapping(boxes) == []


def test_no_word_is_cut_off(seen: Visit) -> None:
    """Every button, label and heading has room for its words."""
    assert ask(seen.page, "cut") == []


@pytest.mark.parametrize("width", [1440, 1340, 1270, 1245, 1180, 1100, 960, 830])
def test_no_word_is_cut_off_at_any_width(seen: Visit, width: int) -> None:
    """Also where another window, such as JupyterLab's, leaves the page a part of its own."""
    before = seen.page.viewport_size
    seen.page.set_viewport_size({"width": width, "height": before["height"]})
    seen.page.wait_for_timeout(400)
    cut, beyond = ask(seen.page, "cut"), [box for box in ask(seen.page, "boxes") if box[3] > width]
    seen.page.set_viewport_size(before)
    assert (cut, beyond) == ([], [])


def test_every_text_stands_out_from_what_is_behind_it(seen: Visit) -> None:
    """A contrast of at least 4.5 in both themes, for all but what is greyed because it can do nothing."""
    assert ask(seen.page, "faint") == []


def test_the_page_is_drawn_in_its_theme_to_the_lower_edge(seen: Visit) -> None:
    """In a window higher than the page the rest is not white under a dark page."""
    before = seen.page.viewport_size
    seen.page.set_viewport_size({"width": before["width"], "height": 2600})
    seen.page.wait_for_timeout(500)
    page, edge = ask(seen.page, "grounds")
    seen.page.set_viewport_size(before)
    assert page == edge


def test_the_page_has_no_complaint_and_asks_no_other_machine(seen: Visit) -> None:
    """In every window and theme."""
    assert seen.strangers() == []
    assert seen.complaints == []
