"""What can be taken away from the page, as the browser saves it: each file is opened and holds what it says."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas
import pytest
from playwright.sync_api import Browser

from engine import load_pruned
from engine.record.folder import read_events
from engine.record.recipe import Recipe
from tests.browser.driving import SMALL, Dashboard
from tests.browser.harness import PATIENCE, Server, visit

pytestmark = pytest.mark.browser
CHARTS = {"importance", "shares", "perplexity", "loss", "memory"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def board(browser: Browser, server: Server, told: str) -> Iterator[Dashboard]:
    """The page of a run that has been through the whole loop."""
    with visit(browser, f"{server.address}?run={told}") as seen:
        board = Dashboard(seen.page)
        board.says("The smaller model is made")
        yield board
        assert seen.strangers() == []
        assert seen.complaints == []


def download(board: Dashboard, button: str) -> tuple[str, bytes]:
    """Press a button and take the one file that the browser saves: its name and what is in it."""
    with board.page.expect_download(timeout=PATIENCE) as saved:
        board.press(button)
    return saved.value.suggested_filename, Path(saved.value.path()).read_bytes()


def test_the_events_are_a_table_with_every_event(board: Dashboard, server: Server, told: str) -> None:
    """One row for each line of the run's events, in order, with the kinds and the numbers of the file."""
    name, content = download(board, "Events (CSV)")
    assert name == f"{told}-events.csv"
    table, events = pandas.read_csv(io.BytesIO(content)), read_events(server.home / "runs" / told)
    assert list(table["seq"]) == [line.seq for line in events]
    assert list(table["event"]) == [type(line.fact).__name__ for line in events]
    perplexities = table[table["event"] == "Evaluated"].set_index("stage")["perplexity"]
    assert set(perplexities.index) == {"baseline", "pruned", "tuned", "control", "cut"}


def test_the_recipe_is_the_one_that_made_the_run(board: Dashboard, told: str) -> None:
    """It can be read by the engine, and says what the run was asked."""
    name, content = download(board, "Recipe (JSON)")
    assert name == f"{told}-recipe.json"
    assert Recipe.model_validate_json(content) == SMALL


def test_every_chart_is_saved_as_a_picture(board: Dashboard, told: str) -> None:
    """One press saves one PNG for each chart."""
    saved = []
    board.page.on("download", lambda download: saved.append(download))
    board.press("Charts (PNG)")
    board.until(lambda: len(saved) == len(CHARTS), "the pictures")
    assert {download.suggested_filename for download in saved} == {f"{told}-{name}.png" for name in CHARTS}
    for each in saved:
        content = Path(each.path()).read_bytes()
        assert content.startswith(PNG)
        assert len(content) > 2000, f"{each.suggested_filename} is empty"


def test_everything_is_an_archive_that_opens(board: Dashboard, told: str) -> None:
    """Events, recipe, the lines that do it again, and a picture of every chart."""
    name, content = download(board, "Everything (zip)")
    assert name == f"{told}.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        pictures = {f"charts/{chart}.png" for chart in CHARTS}
        assert {"events.csv", "recipe.json", *pictures} <= set(archive.namelist())
        assert all(archive.read(picture).startswith(PNG) for picture in pictures)
        assert json.loads(archive.read("recipe.json"))["model"] == SMALL.model
        assert any(b"python -m engine run" in archive.read(each) for each in archive.namelist() if each.endswith(".txt"))


def test_the_smaller_model_can_be_loaded_from_its_archive(board: Dashboard, tmp_path: Path) -> None:
    """Unpacked elsewhere it is a model with fewer heads, with its tokenizer."""
    _, content = download(board, "Smaller model (zip)")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    model, tokenizer = load_pruned(tmp_path)
    assert sum(each.numel() for each in model.parameters()) < 1_983_744
    assert tokenizer("The history of")["input_ids"]
