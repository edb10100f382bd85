"""Shared by the tests of engine/sweeps/: the processes of a cluster."""

from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest


@pytest.fixture
def processes() -> Callable[[], list[psutil.Process]]:
    """Those that this process has started for a cluster and that live, each time that it is called."""

    def living() -> list[psutil.Process]:
        found = []
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a zombie is one that has gone
                found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
        return found

    return living
