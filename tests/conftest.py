"""What every test runs under: one thread a process, since tiny tensors gain nothing from two, and runs out of the way."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported, here and in every process that a test starts


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's: without it, or with one process, there is nothing to share out
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Share the tests out by file, since much is made once for a file, and all that drive a browser to one process: a page with
    its server, its worker and its browser keeps two cores busy, and what those wait for has a limit."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # xdist asks for this base, and for this method
        def _split_scope(self, nodeid: str) -> str:
            return "tests/browser" if nodeid.startswith("tests/browser/") else nodeid.partition("::")[0]

    return ByFile(config, log)


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
