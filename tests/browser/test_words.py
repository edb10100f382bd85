"""The words on the page have the room they need: none covers another, none is cut, and a long sentence moves nothing."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator

from tests.browser.driving import Dashboard
from tests.browser.harness import Server, visit
from tests.browser.still import BEGUN, still, with_preview
from tests.widgets.charts.states import remembered
from widgets.charts import CHARTS

pytestmark = pytest.mark.browser
NEXT = (
    "Heads are shown once a model is loaded", "Layers are shown once a model is loaded", "The baseline is measured first",
    "Prune, then press Recover", "Measured while a worker runs",
)  # fmt: skip
WINDOWS = ((1440, 900), (1024, 768))
LONGEST = (
    "Prune would take 72 of 144 heads and 18,432 of 36,864 neurons and save 42,467,328 parameters (34.1%). "
    "Perplexity would be 1,234.5, baseline 1,153.2."
)


@pytest.fixture(scope="module", params=WINDOWS, ids=str)
def board(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Dashboard]:
    """The page of a run that stands ready and was previewed."""
    run = still(server.home, *remembered(30), *with_preview(160.1))
    with visit(browser, f"{server.address}?run={run}", *request.param) as seen:
        board = Dashboard(seen.page)
        board.until(lambda: "would be 160.1" in board.draft.inner_text(), "the preview")
        seen.page.wait_for_timeout(1000)
        yield board
        assert seen.complaints == []


def box(part: Locator) -> tuple[float, float, float, float]:
    """Left, top, right and lower edge."""
    found = part.bounding_box()
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


def written(chart: Locator) -> list[tuple[str, tuple[float, float, float, float]]]:
    """The words drawn in a chart, each with its box."""
    return [(each.text_content().strip(), box(each)) for each in chart.locator("svg text").all() if each.is_visible()]


def test_a_preview_covers_no_words(board: Dashboard) -> None:
    """Its hollow point and its number stand apart from what the chart says of the stages."""
    chart = board.page.locator(".esp-perplexity")
    words = dict(written(chart))
    missing = [place for text, place in written(chart) if text == "not measured"]
    hollow = [box(each) for each in chart.locator("path.element").all() if "fill: none" in (each.get_attribute("style") or "")]
    assert len(missing) == 3 and len(hollow) == 1 and "(160)" in words
    for lone in (hollow[0], words["(160)"]):
        for other in (*missing, words["153"]):
            assert lone[2] <= other[0] or other[2] <= lone[0] or lone[3] <= other[1] + 3 or other[3] <= lone[1] + 3


def test_the_words_of_the_gauge_stand_on_one_line(board: Dashboard) -> None:
    """How full the machine is, in numbers."""
    gauge = board.page.locator(".esp-gauge")
    lines = gauge.evaluate(
        """each => {
            const words = document.createRange();
            words.selectNodeContents([...each.childNodes].find(node => node.nodeType === 3 && node.data.trim()));
            return new Set([...words.getClientRects()].filter(one => one.width > 1).map(one => Math.round(one.top))).size;
        }"""
    )
    assert "of 16.0 GiB" in gauge.inner_text().replace("\u00a0", " ")
    assert lines == 1


def test_a_longer_sentence_moves_nothing(board: Dashboard) -> None:
    """The line about the draft has its room before it has its words."""
    chart = board.page.locator(".esp-at-importance")
    places = []
    for words in (LONGEST, "", "Short."):
        board.draft.evaluate("(each, words) => { each.textContent = words; }", words)
        places.append(box(chart))
    assert places[0] == places[1] == places[2]


def test_the_left_column_ends_where_the_charts_do(board: Dashboard) -> None:
    """No hole under the cards on the left."""
    left, charts = box(board.page.locator(".esp-at-memory")), box(board.page.locator(".esp-at-loss"))
    assert abs(left[3] - charts[3]) <= 1


@pytest.mark.parametrize("size", WINDOWS, ids=str)
def test_an_empty_chart_has_room_for_its_words(browser: Browser, server: Server, size: tuple[int, int]) -> None:
    """What each chart says while it has nothing to show stands inside it, on two lines apart."""
    with visit(browser, f"{server.address}?run={still(server.home, *BEGUN)}", *size) as seen:
        seen.page.get_by_text("No data yet").nth(4).wait_for()
        seen.page.wait_for_timeout(1000)
        for chart in CHARTS.names():
            figure = seen.page.locator(f".esp-{chart} .bqplot").first
            lines = [place for text, place in written(figure) if text == "No data yet" or text in NEXT]
            edge, (first, second) = box(figure), sorted(lines, key=lambda line: line[1])
            assert edge[0] <= first[0] and first[2] <= edge[2] and edge[0] <= second[0] and second[2] <= edge[2]
            assert second[1] >= first[3] - 4
