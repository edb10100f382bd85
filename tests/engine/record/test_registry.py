"""Tests of engine/record/registry.py: a folder is its own list of entries."""

import sys

import pytest

from engine.record.errors import UnknownName
from engine.record.registry import Registry

ENTRY = '''"""Says {name}."""

LABEL = "{label}"
COST = ("one", 2)
MADE = tuple([1])
lower = 3


def word():
    return "{name}"
'''


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of two entries in a package of its own."""
    folder = tmp_path / "orchard"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""The contract."""\n')
    (folder / "pear.py").write_text(ENTRY.format(name="pear", label="Pear"))
    (folder / "crab_apple.py").write_text(ENTRY.format(name="crab-apple", label="Crab apple"))
    (folder / "notes.txt").write_text("no entry")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Registry("tree", "orchard", folder)
    for name in [name for name in sys.modules if name.split(".")[0] == "orchard"]:
        del sys.modules[name]


def test_every_file_is_an_entry_named_after_it(registry):
    """Underscores become hyphens; the contract and other files are no entries."""
    assert registry.names() == ("crab-apple", "pear")


def test_an_entry_is_read_without_being_imported(registry):
    """A menu needs the help and the labels, not what the module imports."""
    entry = registry.entry("crab-apple")
    assert entry.help == "Says crab-apple."
    assert entry.facts == {"LABEL": "Crab apple", "COST": ("one", 2)}
    assert not any(name.startswith("orchard") for name in sys.modules)


def test_load_imports_the_module_behind_a_name(registry):
    """The hyphen of the name is the underscore of the file."""
    assert registry.load("crab-apple").word() == "crab-apple"


@pytest.mark.parametrize("name", ["peer", "crab_apple", "__init__", "../pear", "notes", ""])
def test_only_listed_names_are_loaded(registry, name):
    """Neither paths nor the contract can be named."""
    with pytest.raises(UnknownName, match="^tree "):
        registry.load(name)


def test_a_file_that_comes_late_belongs_to_the_next_registry(registry):
    """The folder is read once: a menu does not change under the hand of who uses it."""
    assert "quince" not in registry.names()
    (registry.folder / "quince.py").write_text(ENTRY.format(name="quince", label="Quince"))
    assert "quince" not in registry.names()
    assert "quince" in Registry("tree", "orchard", registry.folder).names()
