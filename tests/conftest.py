"""What every test runs under: one thread a process, since tiny tensors gain nothing from two, and runs out of the way."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported, here and in every process that a test starts


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for runs and caches, so that no test sees another's or leaves any in the working folder."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ESPALIER_HOME", str(folder))
    return folder
