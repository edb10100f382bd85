"""Serves a folder by the real Voilà and opens it in a real Chromium; knows nothing of what is on the page.

Everything that a visitor's machine could lend is shut out: the server has its own Jupyter, IPython and Espalier folders,
and each visit its own browser profile, since a cookie left by another Jupyter on the same machine hides real faults.
"""

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

ROOT = Path(__file__).parents[2]
PATIENCE = 120_000  # milliseconds for anything on a page: long for a machine that trains a model beside the tests
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
# What Chromium says of a page that works: JupyterLab's parts are of two releases inside Voilà (a warning), and bqplot
# draws one rectangle before its figure has a size.
HARMLESS = ("A negative value is not valid", "Unexpected value NaN parsing")


@dataclass(frozen=True)
class Server:
    """A running Voilà: its address, its process, the file its log goes to, and the ESPALIER_HOME of its kernels."""

    address: str
    process: psutil.Popen
    log: Path
    home: Path

    def kernels(self) -> list[psutil.Process]:
        """The kernels that live now, as processes."""
        return [child for child in self.process.children() if "ipykernel_launcher" in " ".join(_command(child))]


@dataclass
class Visit:
    """One open page, with what it asked for and what it complained of since it was opened."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def strangers(self) -> list[str]:
        """The requests that left this machine."""
        local = ("127.0.0.1", "localhost", None)  # no host: data: and blob: addresses
        return [address for address in self.requests if urlsplit(address).hostname not in local]


def find_chromium() -> str | None:
    """The Chromium of this machine, or None; ESPALIER_CHROMIUM names another one."""
    return os.environ.get("ESPALIER_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)


@contextmanager
def serve(
    folder: Path, scratch: Path, *options: str, notebook: str = "dashboard.ipynb", threads: int | None = 1
) -> Iterator[Server]:
    """Run Voilà in `folder` on a free port; `scratch` takes its settings, its log and the runs; ended by process id.

    `threads` is what a worker computes with; None leaves that to torch.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {
        name: str(scratch / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "ESPALIER_HOME")
    }
    if threads is not None:  # several workers may be at it: threads that wait for each other's cores cost more than they give
        own["OMP_NUM_THREADS"] = str(threads)
    log = scratch / "voila.log"
    command = [str(Path(sys.executable).with_name("voila")), notebook, "--no-browser", f"--port={port}", "--Voila.port_retries=0"]
    with log.open("wb") as out:
        process = psutil.Popen([*command, *options], cwd=folder, env={**os.environ, **own}, stdout=out, stderr=out)
    try:
        wait_until(lambda: "is running at" in log.read_text(errors="replace") or process.poll() is not None, 60, "Voilà to start")
        assert process.poll() is None, log.read_text(errors="replace")
        yield Server(f"http://127.0.0.1:{port}/", process, log, Path(own["ESPALIER_HOME"]))
    finally:
        if process.poll() is None:  # a test may have killed it
            process.terminate()
        try:
            process.wait(20)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(20)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A headless Chromium, without its sandbox, since tests often run as root in a container."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Browser, address: str, width: int = 1440, height: int = 900) -> Iterator[Visit]:
    """Open `address` in a profile of its own, and wait until Voilà shows the cells."""
    with browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True) as context:
        seen = Visit(context.new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("websocket", lambda socket: seen.requests.append(socket.url))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("console", lambda message: _note(seen, message))
        seen.page.set_default_timeout(PATIENCE)
        seen.page.goto(address, timeout=PATIENCE)
        seen.page.locator("#rendered_cells").wait_for(state="visible")
        yield seen


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Ask ten times a second until `true()`; the seconds it took. Fails naming `what` after `seconds`."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return time.monotonic() - start


def _note(seen: Visit, message: ConsoleMessage) -> None:
    if message.type == "error" and not any(words in message.text for words in HARMLESS):
        seen.complaints.append(message.text)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # ended between the listing and the question
        return []
