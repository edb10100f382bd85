"""The page without eyes and without a mouse: what a screen reader calls each control, and how the keyboard gets to it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import Dashboard
from tests.browser.harness import Server, Visit, visit
from tests.browser.still import READY, still

pytestmark = pytest.mark.browser
SLIDERS = ("Heads", "Neurons", "Steepness", "Front", "Middle", "Back")
FOCUSED = (
    "(each => each.getAttribute('aria-label') || each.labels?.[0]?.innerText || each.innerText || '')(document.activeElement)"
)


@pytest.fixture(scope="module")
def seen(browser: Browser, server: Server) -> Iterator[Visit]:
    """The page of a run that stands ready, with no worker."""
    with visit(browser, f"{server.address}?run={still(server.home, *READY)}") as seen:
        Dashboard(seen.page).says("Ready.")
        yield seen


@pytest.fixture(scope="module")
def board(seen: Visit) -> Dashboard:
    """The same page, to be driven."""
    return Dashboard(seen.page)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        *(("slider", name) for name in SLIDERS),
        *(("combobox", name) for name in ("Model", "Text", "Criterion", "Shape", "Before", "After")),
        *(("spinbutton", name) for name in ("Layer", "Head")),
        *(("textbox", name) for name in ("Recovery steps", "Prompt")),
        ("group", "Apply to"),
    ],
)
def test_a_control_is_called_what_is_written_beside_it(board: Dashboard, role: str, name: str) -> None:
    """By its role and just these words, once."""
    expect(board.page.get_by_role(role, name=name, exact=True)).to_have_count(1)


def test_the_number_beside_a_slider_has_a_name_of_its_own(board: Dashboard) -> None:
    """It can be written into."""
    for name in SLIDERS:
        expect(board.page.get_by_role("textbox", name=f"{name}, as a number", exact=True)).to_have_count(1)


def test_a_toggle_says_which_of_its_buttons_is_on(board: Dashboard) -> None:
    """And says the other one when that is pressed."""
    group = board.page.get_by_role("group", name="Apply to", exact=True)
    pressed = {name: group.get_by_role("button", name=name, exact=True) for name in ("neurons", "heads", "both")}
    for on in ("heads", "neurons"):
        pressed[on].press("Enter")
        for name, button in pressed.items():
            expect(button).to_have_attribute("aria-pressed", str(name == on).lower())


def test_a_control_without_effect_is_grey_and_says_why(board: Dashboard) -> None:
    """Steepness, while the shape is uniform and once it is custom; linear gives it back, and it can be moved."""
    steepness = board.page.get_by_role("slider", name="Steepness", exact=True)
    label = board.slider("Steepness").locator(".widget-label")
    expect(steepness).to_have_attribute("aria-disabled", "true")
    expect(label).to_have_attribute("title", re.compile("Shape is uniform"))
    board.choose("Shape", "linear")
    expect(steepness).to_have_attribute("aria-disabled", "false")
    expect(label).not_to_have_attribute("title", re.compile("Shape is"))
    board.page.get_by_role("slider", name="Back", exact=True).press("ArrowRight")
    expect(steepness).to_have_attribute("aria-disabled", "true")
    expect(label).to_have_attribute("title", re.compile("Shape is custom"))
    board.choose("Shape", "uniform")


def test_a_slider_is_moved_by_the_keyboard_and_answered(board: Dashboard) -> None:
    """One step of the arrow key is one of the slider's, and the line about the draft follows."""
    board.page.get_by_role("slider", name="Neurons", exact=True).press("End")
    board.until(lambda: board.counts()[1] == 3456, "all neurons to be counted")
    board.page.get_by_role("slider", name="Neurons", exact=True).press("ArrowLeft")
    board.until(lambda: board.value("Neurons") == 0.99, "one step back")
    board.until(lambda: board.counts()[1] < 3456, "the line to follow")
    assert board.counts()[1] == 3420  # round(0.99 · 576) in each of six layers


def test_the_keyboard_reaches_every_control_that_can_be_used(board: Dashboard) -> None:
    """From the top of the page, by the tabulator alone."""
    board.page.mouse.click(5, 5)
    reached = []
    for _ in range(90):
        board.page.keyboard.press("Tab")
        reached.append(" ".join(board.page.evaluate(FOCUSED).split()))
    sliders = [name for name in SLIDERS if name != "Steepness"]
    fields = ["Model", "Text", "Criterion", "Shape", "Recovery steps", "Prompt", "Layer", "Head", "Before", "After"]
    buttons = [
        "neurons",
        "heads",
        "both",
        "Prune",
        "New run",
        "Close this head",
        "Recipe (JSON)",
        "More choices",
        "What the controls mean",
    ]
    assert [name for name in (*sliders, *fields, *buttons) if name not in reached] == []


def test_a_help_is_closed_by_another_by_escape_and_by_a_press_elsewhere(board: Dashboard) -> None:
    """It lies over what it explains; each is called after its card."""
    summary = {name: board.page.locator(f'summary[aria-label="Help: {name}"]') for name in ("Memory", "Importance of heads")}
    opened = board.page.locator(".esp-help[open]")
    summary["Memory"].click()
    expect(opened).to_have_count(1)
    summary["Importance of heads"].press("Enter")
    expect(opened).to_have_count(1)
    expect(opened.locator("summary")).to_have_attribute("aria-label", "Help: Importance of heads")
    board.page.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    expect(summary["Importance of heads"]).to_be_focused()
    summary["Memory"].click()
    board.page.mouse.click(5, 5)
    expect(opened).to_have_count(0)


def test_the_naming_has_no_complaint(seen: Visit) -> None:
    """Not one error on the console."""
    assert seen.complaints == []
