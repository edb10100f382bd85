"""What opening the page costs: the time from the request until something of it is painted, over that of an empty notebook that
imports ipywidgets and bqplot and shows one of each, served by the same Voilà with the same settings; then the memory of the
kernel behind the page, and whether torch is in it. Each page is opened several times in turn, and the median counts. The
worker that a page wakes imports torch and measures the baseline while the page is drawn: that is part of what it costs, on a
machine of two cores most of it. A page is left once it is ready, or its worker would count for the page that is opened next.
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from playwright.sync_api import Browser

from benchmarks import Row
from tests.browser import driving
from tests.browser.harness import ROOT, Server, chromium, find_chromium, serve, visit

TIMES = 5
EMPTY = """
import bqplot
import ipywidgets
scales = {"x": bqplot.LinearScale(), "y": bqplot.LinearScale()}
line = bqplot.Lines(x=[0, 1], y=[0, 1], scales=scales)
ipywidgets.VBox([ipywidgets.IntSlider(description="Heads"), bqplot.Figure(marks=[line])])
"""
SLIDER = ".widget-slider .noUi-handle"
FIGURE = "svg.svg-figure"
# Milliseconds since the request. A frame has been painted when the callback for the one after it runs.
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
MEGABYTE = 1e6
LIBRARIES = ("libtorch", "libc10")


def measure() -> Iterator[Row]:
    """First paint in seconds, and the memory of the page's kernel in megabytes."""
    with tempfile.TemporaryDirectory() as scratch, chromium(find_chromium()) as browser:
        places = {name: Path(scratch) / name for name in ("empty", "empty-served", "page-served")}
        for place in places.values():
            place.mkdir()
        _write_empty(places["empty"])
        with (
            serve(places["empty"], places["empty-served"]) as empty,
            driving.serve_dashboard(places["page-served"], threads=None) as page,
        ):
            seconds = {"empty": [], "page": []}
            for _ in range(TIMES + 1):
                seconds["empty"].append(_first_paint(browser, empty))
                seconds["page"].append(_first_paint(browser, page, driving.READY))
            first = {name: statistics.median(times[1:]) for name, times in seconds.items()}  # the first one fills caches
            yield Row(
                "First paint of the page",
                first["page"],
                "s",
                1.5,
                first["empty"],
                "an empty notebook with ipywidgets and bqplot",
            )
            used, has_torch = _kernel(browser, page)
            assert not has_torch, "torch was loaded into the page's kernel"
            yield Row("Memory of the page's kernel, torch not in it", used, "MB", 250.0)


def _write_empty(folder: Path) -> None:
    for name in ("voila.json", "voila.py", "share"):
        (folder / name).symlink_to(ROOT / name)
    cells = [nbformat.v4.new_code_cell(EMPTY)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"title": "Empty"}), folder / "dashboard.ipynb")


def _first_paint(browser: Browser, server: Server, last_words: str = "") -> float:
    """Seconds from the request until the first slider and the first figure are there to be seen, by the browser's own clock.

    The page is left once it says its `last_words`.
    """
    with visit(browser, server.address) as seen:
        for part in (SLIDER, FIGURE):
            seen.page.locator(part).first.wait_for()
        painted = seen.page.evaluate(PAINTED) / 1000
        if last_words:
            driving.Dashboard(seen.page).says(last_words)
        return painted


def _kernel(browser: Browser, server: Server) -> tuple[float, bool]:
    """Megabytes of the kernel behind a page on which a model was pruned, and whether torch's libraries are mapped into it."""
    before = {kernel.pid for kernel in server.kernels()}
    with visit(browser, driving.address(server)) as seen:
        board = driving.Dashboard(seen.page)
        board.says(driving.READY)
        board.move("Heads", 0.5)
        board.until(lambda: board.counts()[0] > 0, "the counts")
        board.press("Prune")
        board.says(driving.PRUNED)
        (kernel,) = [kernel for kernel in server.kernels() if kernel.pid not in before]
        mapped = [Path(each.path).name for each in kernel.memory_maps()]
        return kernel.memory_info().rss / MEGABYTE, any(name.startswith(LIBRARIES) for name in mapped)
