"""How any page of ours is served, tried on a page of three widgets, so that a fault here is not looked for in the dashboard."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser

from tests.browser.harness import ROOT, Server, serve, visit, wait_until

pytestmark = pytest.mark.browser

PAGE = """
import asyncio
import os
import time
import bqplot
import ipywidgets
x, y = bqplot.LinearScale(), bqplot.LinearScale()
line = bqplot.Lines(x=[0, 1], y=[0, 1], scales={"x": x, "y": y})
count = ipywidgets.Label("0")

async def draw_for_ever():
    while True:
        await asyncio.sleep(0.1)
        count.value = str(int(count.value) + 1)

loop = asyncio.get_running_loop()
drawing = loop.create_task(draw_for_ever())
if "busy" in os.environ["QUERY_STRING"]:
    loop.call_later(0.1, time.sleep, 8)
ipywidgets.VBox([ipywidgets.IntSlider(description="Heads"), count, bqplot.Figure(marks=[line])])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Voilà with our settings and a small page whose kernel never stops drawing; kernels are looked after every second.

    Twelve seconds without a page: on a busy machine that much can pass before a page that opens is connected."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("voila.json", "voila.py", "share"):
        (folder / name).symlink_to(ROOT / name)
    cells = [nbformat.v4.new_markdown_cell("# Small"), nbformat.v4.new_code_cell(PAGE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"title": "Small page"}), folder / "dashboard.ipynb")
    quick = ("--MappingKernelManager.cull_idle_timeout=12", "--MappingKernelManager.cull_interval=1")
    with serve(folder, tmp_path_factory.mktemp("scratch"), *quick) as server:
        yield server


def status(address: str, host: str | None = None) -> int:
    """The HTTP status that `address` answers with."""
    request = urllib.request.Request(address, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def test_a_page_opens_with_its_title_and_asks_no_other_machine(server: Server, browser: Browser) -> None:
    """The widgets are drawn, the tab carries the notebook's title, nothing leaves the machine, the console has no error."""
    with visit(browser, server.address) as seen:
        seen.page.locator(".widget-slider", has_text="Heads").wait_for()
        seen.page.locator("svg.svg-figure path.line").first.wait_for()
        assert seen.page.title() == "Small page"
        assert len(seen.requests) > 20
        assert seen.strangers() == []
        assert seen.complaints == []


@pytest.mark.parametrize(("theme", "light"), [("light", "true"), ("dark", "false")])
def test_the_address_chooses_the_theme(server: Server, browser: Browser, theme: str, light: str) -> None:
    """`?theme=dark` gives a dark page."""
    with visit(browser, f"{server.address}?theme={theme}") as seen:
        assert seen.page.locator("body").get_attribute("data-jp-theme-light") == light
        assert seen.strangers() == []


def test_closing_a_page_ends_its_kernel(server: Server, browser: Browser) -> None:
    """The page's last word is heard: the kernel is gone at once, long before anybody looks for idle ones."""
    wait_until(lambda: not server.kernels(), 30, "the kernels of earlier pages to end")
    with visit(browser, server.address) as seen:
        seen.page.locator(".widget-slider").wait_for()
        assert len(server.kernels()) == 1
        seen.page.close(run_before_unload=True)
        assert wait_until(lambda: not server.kernels(), 10, "the kernel to end") < 10
    assert "403 POST" not in server.log.read_text()


def test_a_crashed_page_leaves_no_kernel_though_it_draws(server: Server, browser: Browser) -> None:
    """A page that had no time for a last word: its kernel ends, whatever it still sends to nobody."""
    with visit(browser, server.address) as seen:
        seen.page.locator(".widget-slider").wait_for()
        assert len(server.kernels()) == 1
        seen.page.wait_for_timeout(15000)
        assert len(server.kernels()) == 1, "the kernel of an open page was ended"
        seen.page.close(run_before_unload=False)
        wait_until(lambda: not server.kernels(), 60, "the kernel to end")


def test_a_page_closed_while_it_still_shakes_hands_leaves_no_kernel(server: Server, browser: Browser) -> None:
    """A tab opened and closed at once, on a kernel too busy to answer its handshake: that kernel ends as any other."""
    with visit(browser, f"{server.address}?busy=yes") as seen:
        seen.page.wait_for_timeout(500)
        assert len(server.kernels()) == 1
        seen.page.close(run_before_unload=False)
    wait_until(lambda: not server.kernels(), 60, "the kernel to end")


def test_no_kernel_outlives_its_page_by_a_minute() -> None:
    """The numbers the page is really served with: time without a page and time between two looks are less than a minute."""
    settings = json.loads((ROOT / "voila.json").read_text())["MappingKernelManager"]
    assert settings["cull_idle_timeout"] + 2 * settings["cull_interval"] < 60


@pytest.mark.parametrize("name", ["dashboard.ipynb", "voila.py", "voila.json"])
def test_no_file_is_served(server: Server, name: str) -> None:
    """Neither the notebook's source nor anything beside it can be fetched."""
    assert status(f"{server.address}voila/files/{name}") == 403


def test_a_request_for_another_host_is_refused(server: Server) -> None:
    """A web site that points its own name at this machine gets no page (DNS rebinding)."""
    assert status(server.address, host="rebound.example") == 403


@pytest.mark.parametrize("theme", ["<b>", "JupyterLab%20Dark", ""])
def test_only_our_two_themes_are_written_into_the_page(server: Server, theme: str) -> None:
    """Whatever else the address names as a theme is refused before a kernel starts."""
    before = server.log.read_text().count("Kernel started")
    assert status(f"{server.address}?theme={theme}") == 400
    assert server.log.read_text().count("Kernel started") == before


def test_the_server_listens_on_this_machine_only(server: Server) -> None:
    """Every listening socket of the server is bound to the loopback address."""
    listening = [c.laddr.ip for c in server.process.net_connections("tcp") if c.status == "LISTEN"]
    assert listening
    assert set(listening) == {"127.0.0.1"}
