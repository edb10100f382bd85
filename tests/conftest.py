"""What every test runs under: one thread a process, since tiny tensors gain nothing from two, and runs out of the way."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported, here and in every process that a test starts


@pytest.fixture(scope="session", autouse=True)
def home_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The home of what several tests share and is made before any of them begins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESPALIER_HOME", str(tmp_path_factory.mktemp("home-of-all")))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for runs and caches, so that no test sees another's or leaves any in the working folder."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ESPALIER_HOME", str(folder))
    return folder
