"""One Voilà for all browser tests, a Chromium for each file of them; without one they are skipped, or fail if it is required."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from engine.record.client import open_run, start
from engine.record.commands import commands_of
from engine.record.folder import name_for
from tests.browser import driving, harness


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; ESPALIER_REQUIRE_BROWSER turns its absence from a reason to skip into a failure.

    It ends with its module: its driver keeps an event loop running in this thread, under which a page that another test builds
    would begin to beat.
    """
    path = harness.find_chromium()
    if path is None:
        reason = "no Chromium found: install chromium, or name one in ESPALIER_CHROMIUM"
        if os.environ.get("ESPALIER_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with harness.chromium(path) as browser:
        yield browser


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Server]:
    """The dashboard, one for all tests."""
    with driving.serve_dashboard(tmp_path_factory.mktemp("dashboard")) as server:
        yield server


@pytest.fixture(scope="session")
def told(server: harness.Server) -> str:
    """The name of a run that has been through the whole loop, and stands waiting with nobody at it."""
    client = start(driving.SMALL, server.home / "runs" / name_for(driving.SMALL))
    commands = commands_of(driving.SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        for command in commands:
            client.post(command)
    harness.wait_until(lambda: open_run(client.folder).commands_done == len(commands), 240, "the run to be through")
    assert open_run(client.folder).refused is None
    driving.supervisor(client.folder).terminate()
    harness.wait_until(lambda: not client.is_awake(), 30, "its worker to end")
    client.leave()
    return client.name
