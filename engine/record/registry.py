"""A folder is a registry: its files are the entries; knows nothing of what an entry does, and imports one only when asked.

A file `least_squares.py` is the entry `least-squares`; `__init__.py` is the contract. The docstring of an entry is its
help text and its capitalised assignments are its facts, both read from the source without running it, so that the page
can draw a menu of entries whose modules import torch.
"""

import ast
import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from engine.record.errors import UnknownName


@dataclass(frozen=True)
class Entry:
    """One file of a registry, as it can be read without importing it.

    `facts` holds the module's `NAME = literal` assignments, for instance `{"LABEL": "Random", "COST": "weights"}`.
    """

    name: str
    help: str
    facts: dict[str, object]


class Registry:
    """The entries of one folder.

    `kind` is the word for an entry in error messages ("Criterion"), `package` the dotted name under which the files are
    imported, `folder` where they lie.
    """

    def __init__(self, kind: str, package: str, folder: Path):
        self.kind = kind
        self.package = package
        self.folder = folder

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every entry by name, in alphabetical order; read once."""
        files = sorted(path for path in self.folder.glob("*.py") if path.name != "__init__.py")
        return {entry.name: entry for entry in map(_read, files)}

    def names(self) -> tuple[str, ...]:
        """The names of all entries, in alphabetical order."""
        return tuple(self.entries)

    def entry(self, name: str) -> Entry:
        """One entry; raises `UnknownName`, with the nearest known name, for any other."""
        if name not in self.entries:
            raise UnknownName(self.kind, name, self.names())
        return self.entries[name]

    def load(self, name: str) -> ModuleType:
        """Import one entry; raises `UnknownName` for a name that is not in the folder."""
        self.entry(name)
        return importlib.import_module(f"{self.package}.{name.replace('-', '_')}")


def _read(path: Path) -> Entry:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    facts = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            try:
                facts[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # a capitalised name that holds a call or an expression: the entry's own business
    return Entry(path.stem.replace("_", "-"), ast.get_docstring(tree) or "", facts)
