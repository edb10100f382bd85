"""One Chromium for all browser tests; without one they are skipped, or fail where ESPALIER_REQUIRE_BROWSER is set."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import harness


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = harness.find_chromium()
    if path is None:
        reason = "no Chromium found: install chromium, or name one in ESPALIER_CHROMIUM"
        if os.environ.get("ESPALIER_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with harness.chromium(path) as browser:
        yield browser
