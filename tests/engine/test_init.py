"""Tests of engine/__init__.py: the public names, and what importing them costs."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[2]
# As they are documented: whoever wrote a script against them finds them here.
NAMES = {"Recipe", "run", "open_run", "load", "dissect", "Gates", "Plan", "prune", "cut", "save", "load_pruned", "evaluate"}
NAMES |= {"export", "pack", "Sweep", "sweep", "open_sweep"}


def test_the_public_names_are_those_that_are_documented():
    """And completion offers them."""
    assert set(engine.__all__) == set(engine.PUBLIC) == NAMES
    assert set(dir(engine)) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_the_thing_itself(name):
    """No copy and no wrapper."""
    assert getattr(engine, name) is getattr(importlib.import_module(engine.PUBLIC[name]), name)


def test_other_names_are_not_there():
    """With the words that Python has for it."""
    with pytest.raises(AttributeError, match="module 'engine' has no attribute 'prunes'"):
        _ = engine.prunes


@pytest.mark.parametrize("code", ["import engine", "from engine import Recipe, open_run", "import engine.__main__"])
def test_what_reads_and_shows_runs_imports_no_torch(code):
    """Opening the page or listing runs must not take seconds."""
    heavy = "print(*({'torch', 'transformers', 'datasets', 'gensim'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; {heavy}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
