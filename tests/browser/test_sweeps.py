"""A sweep on the real page: asked for, seen to fill, clicked into the controls, and there for the page that comes after."""

from shutil import rmtree

import pytest
from playwright.sync_api import Browser, Locator, expect

from engine.record.cells import SweepStarted
from engine.record.lifecycle import RunStopped
from engine.record.sweep_folder import begin as new_folder
from tests.browser import driving
from tests.browser.driving import Dashboard
from tests.browser.harness import PATIENCE, Server, visit
from tests.browser.looks import ask, overlapping
from tests.widgets.sweeps.swept import CUBE, swept
from tests.widgets.test_sweeper import tell
from widgets.figures import cells_figure, cells_words
from widgets.grid import told

pytestmark = pytest.mark.browser
CRITERIA, LEVELS = ("random", "magnitude"), ("0", "0.3", "0.6")


def written(board: Dashboard) -> list[str]:
    """The numbers in the cells of the map."""
    return [each.inner_html() for each in board.page.locator(".esp-heat text.label").all() if each.inner_html()]


def begin(board: Dashboard) -> Locator:
    """Turn to the sweeps; the card that says how far the sweep is."""
    board.press("Sweeps")
    card = board.page.locator(".esp-underway")
    expect(card).to_be_visible()
    return card


def flaws(board: Dashboard) -> list[object]:
    """What lies over another, is cut off, beyond the window or too faint; a map's numbers stand on shades of their own."""
    board.page.wait_for_timeout(500)  # bqplot draws a figure again when its place has found its size
    boxes, width = ask(board.page, "boxes"), board.page.viewport_size["width"]
    faint = [each for each in ask(board.page, "faint") if "label" not in (each[1] or "")]
    return [*overlapping(boxes), *ask(board.page, "cut"), *(box for box in boxes if box[3] > width), *faint]


def test_a_sweep_fills_its_map_and_a_click_puts_a_cell_into_the_controls(browser: Browser, server: Server) -> None:
    """Two fields, six cells; a page that is opened afterwards, in another window and theme, shows the same."""
    with visit(browser, driving.address(server)) as seen:
        board = Dashboard(seen.page)
        board.says(driving.READY)
        expect(board.page.get_by_label("Second values", exact=True)).to_have_count(0)
        card = begin(board)
        expect(card).to_contain_text("There is no sweep yet")
        board.write("Values", ", ".join(LEVELS))
        board.write("Second values", "random, magnitud")
        expect(board.page.get_by_role("alert")).to_contain_text("did you mean 'magnitude'?")
        board.write("Second values", ", ".join(CRITERIA))
        expect(board.card("Ask for a sweep")).to_contain_text("6 cells")
        board.button("Start the sweep").press("Enter")
        board.until(lambda: 0 < len(written(board)) < 6, "some cells, and not all of them")
        board.until(lambda: len(written(board)) == 6, "all cells")
        expect(card).to_contain_text("Finished: 6 of 6 cells done", timeout=PATIENCE)
        place = board.page.locator(".esp-heat").bounding_box()
        board.page.locator(".esp-heat .heatmapcell").nth(5).click()
        expect(board.card("A cell")).to_contain_text("In the controls now: Neurons removed 60\u00a0%, Criterion magnitude")
        assert board.page.locator(".esp-heat").bounding_box() == place, "the map went away from the pointer"
        values, there = written(board), seen.page.url
        assert there.endswith("&part=sweeps")
        assert flaws(board) == []
        board.press("Laboratory")
        assert board.page.locator(".esp-control-criterion select").input_value().startswith("magnitude")
        assert board.value("Neurons") == 0.6
        assert seen.complaints == [] == seen.strangers()
    with visit(browser, f"{there}&theme=dark", 1024, 768) as seen:
        board = Dashboard(seen.page)
        expect(seen.page.locator(".esp-underway")).to_contain_text("Finished: 6 of 6 cells done", timeout=PATIENCE)
        board.until(lambda: written(board) == values, "the same cells")
        assert flaws(board) == [] == seen.complaints


def test_the_map_of_three_fields_shows_the_best_of_each_place_and_its_two_fields_can_be_chosen(
    browser: Browser, server: Server
) -> None:
    """Of the newest folder, in which more is to be done; a click loads the recipe that a place shows."""
    state = swept(CUBE, 5)
    folder = new_folder(CUBE, server.home / "runs" / "29990101T120000Z-gpt2-tiny-c0be00")
    tell(folder, SweepStarted(CUBE.plain(), len(CUBE.cells), 0, 0, "0"), *state.done.values(), RunStopped())
    with visit(browser, driving.address(server)) as seen:
        board = Dashboard(seen.page)
        board.says(driving.READY)
        card, drawn = begin(board), board.card("Perplexity of the cells")
        expect(card).to_contain_text("Stopped: 5 of 8 cells done")
        expect(drawn).to_contain_text(cells_words(state))
        drawn.get_by_label("From the top down", exact=True).select_option(label="Neurons removed")
        expect(drawn).to_contain_text(cells_words(state, ("criterion", "neurons.level")))
        board.page.locator(".esp-heat .heatmapcell").nth(0).click()
        shown = cells_figure(state, ("criterion", "neurons.level")).series[0].cells[0]
        expect(board.card("A cell")).to_contain_text(f"In the controls now: {told(CUBE.cells[shown.number])}")
        assert flaws(board) == [] == seen.complaints
    rmtree(folder)
