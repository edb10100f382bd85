"""A downloaded picture of a chart can be read by itself: it has the title, the marks, and the legend that names their colours."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.driving import Dashboard
from tests.browser.harness import Server, visit
from tests.browser.still import HEADS, READY, still
from tests.widgets.charts.states import gates, measured, remembered, sampled, trained
from widgets.charts import CHARTS
from widgets.theme import DARK, LIGHT

pytestmark = pytest.mark.browser
CLOSED = tuple((layer, layer) for layer in range(6))
# Which colours there are in each band of a picture, from the top: the title, the chart, and what is written under it.
BANDS = """async picture => {
  const image = new Image();
  image.src = 'data:image/png;base64,' + picture;
  await image.decode();
  const canvas = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height});
  const ink = canvas.getContext('2d');
  ink.drawImage(image, 0, 0);
  const end = image.height - 60;
  const chart = Math.max(...[...document.querySelectorAll('.esp .bqplot.figure')].map(each => each.clientHeight));
  const edges = [0, 70, Math.min(80 + 2 * chart, end - 120), end];
  return edges.slice(1).map((to, at) => {
    const found = {}, data = ink.getImageData(0, edges[at], image.width, to - edges[at]).data;
    for (let i = 0; i < data.length; i += 4) {
      const colour = '#' + [0, 1, 2].map(part => data[i + part].toString(16).padStart(2, '0')).join('');
      found[colour] = (found[colour] || 0) + 1;
    }
    return found;
  });
}"""


@pytest.fixture(scope="module", params=["light", "dark"])
def pictures(
    browser: Browser, server: Server, request: pytest.FixtureRequest
) -> Iterator[tuple[object, dict[str, list[dict[str, int]]]]]:
    """The theme, and for each chart the colours of its picture's three bands, of a run that was pruned and recovered."""
    facts = (*remembered(30), gates(HEADS, CLOSED), measured("pruned", 180.0), sampled("pruned"), *trained("tuned"),
             measured("tuned", 160.0), *trained("control"), measured("control", 150.0))  # fmt: skip
    run = still(server.home, *READY, *facts)
    with visit(browser, f"{server.address}?run={run}&theme={request.param}") as seen:
        board, saved = Dashboard(seen.page), []
        board.until(lambda: board.closed() == len(CLOSED), "the charts")
        seen.page.wait_for_timeout(1000)
        seen.page.on("download", lambda download: saved.append(download))
        board.press("Charts (PNG)")
        board.until(lambda: len(saved) == len(CHARTS.names()), "the pictures")
        found = {}
        for each in saved:
            name = each.suggested_filename.removeprefix(f"{run}-").removesuffix(".png")
            picture = base64.b64encode(Path(each.path()).read_bytes()).decode()
            found[name] = seen.page.evaluate(BANDS, picture)
        yield {"light": LIGHT, "dark": DARK}[request.param], found
        assert seen.complaints == []


def colours(band: dict[str, int], least: int = 20) -> set[str]:
    """The colours that some pixels of a band have, in lower case."""
    return {colour for colour, pixels in band.items() if pixels >= least}


def test_every_chart_has_a_picture(pictures: tuple) -> None:
    """Named after the chart."""
    assert set(pictures[1]) == set(CHARTS.names())


@pytest.mark.parametrize("name", CHARTS.names())
def test_a_picture_has_a_title_and_words_under_it(pictures: tuple, name: str) -> None:
    """In the colour of text on the card's own ground."""
    theme, found = pictures
    title, _, under = found[name]
    assert theme.card in colours(title) and theme.text in colours(title)
    assert theme.muted in colours(under) or theme.text in colours(under)


def test_the_marks_are_in_the_pictures_and_the_legends_name_their_colours(pictures: tuple) -> None:
    """Each colour that a chart draws with is below it once more."""
    theme, found = pictures
    stages = theme.stages
    wanted = {
        "importance": {theme.gone}, "shares": set(theme.blocks), "loss": {stages["tuned"], stages["control"]},
        "memory": {theme.baseline},
    }  # fmt: skip
    for name, drawn in wanted.items():
        _, chart, under = found[name]
        lower = {colour.lower() for colour in drawn}
        assert lower <= colours(chart), name
        assert lower <= colours(under), name
    assert {stages[stage].lower() for stage in ("pruned", "tuned", "control")} <= colours(found["perplexity"][1])
