"""What cannot be done is said in one sentence beside the control that asks for it, and the run on the page goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator

from engine.record.recipe import Recipe, Schedule
from tests.browser.driving import PRUNED, READY, SMALL, Dashboard, address
from tests.browser.harness import Server, visit

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def board(browser: Browser, server: Server) -> Iterator[Dashboard]:
    """A page that was asked for a run that does not exist."""
    with visit(browser, address(server, run="20200101T000000Z-no-such")) as seen:
        yield Dashboard(seen.page)
        assert seen.strangers() == []
        assert seen.complaints == []


def refused_beside(board: Dashboard, control: Locator, words: str) -> bool:
    """Whether a sentence with these words comes to stand right under a control."""
    alert = board.page.get_by_role("alert")
    board.until(lambda: words in " ".join(alert.all_inner_texts()), f"a sentence with {words!r}")
    above, box = control.bounding_box(), alert.bounding_box()
    return 0 <= box["y"] - (above["y"] + above["height"]) < 30


def test_a_run_that_is_not_there_is_said_and_a_new_one_begins(board: Dashboard) -> None:
    """An address with an unknown run names it in a sentence, and the page works all the same."""
    board.until(lambda: "no-such" in board.status.inner_text(), "the sentence about the run")
    assert "new run" in board.status.inner_text()
    board.until(lambda: "no-such" not in board.page.url, "the address to name the new run")
    board.says(READY)


@pytest.mark.parametrize("written", ["1.5", "-2", "nan", "half", "1e9"])
def test_a_number_that_no_slider_takes_is_refused_beside_it(board: Dashboard, written: str) -> None:
    """The field, the value and what is allowed; the slider stays where it was, and the next movement takes the sentence away."""
    board.move("Heads", 0.3)
    readout = board.slider("Heads").locator(".widget-readout")
    readout.fill(written)
    readout.press("Enter")
    assert refused_beside(board, readout, f"Heads {written} is not allowed: write a number from 0 to 1; it stays 0.30.")
    assert board.value("Heads") == 0.3
    board.move("Heads", 0.4)
    board.until(lambda: board.page.get_by_role("alert").count() == 0, "the sentence to go")
    board.until(lambda: board.counts()[0] > 0, "the counts")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("   ", "is empty"), ("a" * 100_000, "100,000 characters; at most 2,000"), ("bell \x07 rings", "control character U+0007")],
    ids=["nothing", "endless", "control character"],
)
def test_a_prompt_that_no_model_can_take_is_refused_beside_it(board: Dashboard, prompt: str, words: str) -> None:
    """Empty, endless or unprintable: the sentence says which; a good prompt takes it away."""
    board.write("Prompt", prompt)
    assert refused_beside(board, board.page.get_by_label("Prompt", exact=True), words)
    board.until(board.button("Prune").is_disabled, "Prune to be grey")
    board.write("Prompt", "The history of")
    board.until(lambda: board.page.get_by_role("alert").count() == 0, "the sentence to go")
    board.says(READY)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("-1", "Recovery steps -1 is not allowed"),
        ("2000000", "from 0 to 1,000,000"),
        ("1e9", "Recovery steps 1000000000 is not allowed"),
        ("1.5", "Recovery steps '1.5' is not allowed"),
    ],
    ids=["negative", "too many", "in powers of ten", "not whole"],
)
def test_impossible_steps_are_refused_beside_them(board: Dashboard, value: str, words: str) -> None:
    """A number out of its range: the sentence names the range."""
    board.write("Recovery steps", value)
    assert refused_beside(board, board.page.get_by_label("Recovery steps", exact=True), words)
    board.write("Recovery steps", "12")
    board.until(lambda: board.page.get_by_role("alert").count() == 0, "the sentence to go")


@pytest.mark.parametrize(
    ("content", "words"), [(None, "is not there"), (bytes(range(256)), "is binary")], ids=["missing", "binary"]
)
def test_a_file_that_is_no_text_is_refused_beside_its_path(
    board: Dashboard, server: Server, tmp_path: Path, content: bytes | None, words: str
) -> None:
    """The run on the page stays, and of the one that was to read the file no folder is left."""
    run, path, runs = board.run, tmp_path / "some.txt", server.home / "runs"
    before = set(runs.iterdir())
    if content is not None:
        path.write_bytes(content)
    board.choose("Text", "own file")
    board.write("Path", str(path))
    assert refused_beside(board, board.page.get_by_label("Path", exact=True), words)
    assert board.run == run
    board.until(lambda: set(runs.iterdir()) == before, "the run that was refused to go")
    board.choose("Text", "wikipedia-sample")
    board.until(lambda: board.page.get_by_role("alert").count() == 0, "the sentence to go")


def test_neither_a_sentence_nor_a_field_that_comes_moves_what_stands_at_the_right(board: Dashboard) -> None:
    """The column of controls grows; the charts stay where they are, to the pixel."""

    def places() -> list[list[float]]:
        board.page.wait_for_timeout(300)
        cards = "[...document.querySelectorAll('.esp-main > *:not(.esp-at-left)')]"
        box = "e => { const box = e.getBoundingClientRect(); return [box.left, box.top, box.height]; }"
        return board.page.evaluate(f"{cards}.map({box})")

    board.write("Recovery steps", "13")  # the first touch takes away what the status line said of the address
    board.until(lambda: "no-such" not in board.status.inner_text(), "the status line to be as it stays")
    before = places()
    assert len(before) >= 6
    board.write("Recovery steps", "-1")
    assert refused_beside(board, board.page.get_by_label("Recovery steps", exact=True), "is not allowed")
    assert places() == before
    board.write("Recovery steps", "12")
    board.choose("Text", "own file")
    board.until(lambda: board.page.get_by_label("Path", exact=True).is_visible(), "the field for the path")
    assert places() == before
    board.choose("Text", "wikipedia-sample")
    board.until(lambda: board.page.get_by_role("alert").count() == 0, "the sentence to go")


def test_the_run_goes_on_after_all_that(board: Dashboard) -> None:
    """The model that was there all the time is pruned."""
    board.move("Heads", 0.5)
    board.until(lambda: board.counts()[0] == 18, "the counts")
    board.press("Prune")
    board.says(PRUNED)
    assert board.closed() == 18


def test_a_recipe_in_the_address_that_asks_too_much_is_refused_beside_its_control(browser: Browser, server: Server) -> None:
    """A level of 1.5: the field, the value and the range, under Heads; the page begins with the default instead."""
    asked = SMALL.model_copy(update={"heads": Schedule.model_construct(level=1.5, shape="uniform")})
    with visit(browser, address(server, Recipe.model_construct(**dict(asked)))) as seen:
        board = Dashboard(seen.page)
        assert refused_beside(board, board.slider("Heads"), "Heads 1.5 is not allowed; it takes a number from 0 to 1")
        assert seen.complaints == []
