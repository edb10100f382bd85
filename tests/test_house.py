"""The house: which part may import which, what never comes in, and what the page must do without; reads the code, runs little."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up: a part imports the parts of the rows above it in this table, and itself.
LEVELS = (
    ("engine.record",),
    ("engine.interrupted",),
    (
        "engine.progress",
        "engine.summary",
        "engine.failures",
        "engine.resuming",
        "engine.journal",
        "engine.watching",
    ),
    ("engine.inbox", "engine.provenance"),
    ("engine.supervising",),
    ("engine.models",),
    ("engine.text", "engine.sweeps.order"),
    ("engine.pruning", "engine.evaluation"),
    ("engine.recovery",),
    ("engine.models.builtin",),  # makes the files that engine.models loads; a script, and nothing imports it
    ("engine.report",),
    ("engine.desk",),
    ("engine.planning", "engine.cutting", "engine.recovering", "engine.fit", "engine.sweeps.shared_prefixes"),
    ("engine.measured",),
    ("engine.workbench", "engine.exports"),
    ("engine.session",),
    ("engine.sweeps.measuring",),
    ("engine.sweeps.cells", "engine.sweeps.training", "engine.sweeps.searching", "engine.sweeps.cluster"),
    ("engine.sweeps.cluster_worker", "engine.sweeps.in_flight"),
    ("engine.sweeps.dispatching",),
    ("engine.sweeps",),
    ("engine.experimenting",),
    ("engine.agreeing",),
    ("engine.results",),
    ("engine.worker",),
    ("engine.__main__",),
)
PARTS = {part: level for level, parts in enumerate(LEVELS) for part in parts}
SCREEN = {"widgets", "ipywidgets", "bqplot", "IPython", "voila"}
HEAVY = ("torch", "transformers", "datasets", "gensim", "tokenizers")
UNSAFE = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SOURCES = sorted(path for part in ("engine", "widgets") for path in (ROOT / part).rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str | None:
    """The row entry that a module belongs to: the longest that begins its name, or None for a module in no row."""
    return max((part for part in PARTS if f"{module}.".startswith(f"{part}.")), key=len, default=None)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function; `from a import b` counts as `a` and as `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are spelled out, so that they can be searched for"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward(module: str, imported: str) -> bool:
    """Whether `module` importing `imported` goes against the table."""
    mine, other = part_of(module), part_of(imported)
    if other is None:
        return imported == "engine" or (imported.startswith("engine.") and part_of(imported.rpartition(".")[0]) is None)
    if module.split(".")[0] == "widgets":
        return other != "engine.record"
    return mine != other and PARTS[mine] <= PARTS[other]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    """No part of the engine imports one that stands above or beside it; the page imports engine.record alone."""
    module = name_of(path)
    if module == "engine":  # hands out the public names when they are asked for; the test of what comes in holds it
        return
    assert module.startswith("widgets") or part_of(module), f"{module} stands nowhere: give it a row in LEVELS"
    assert [name for name in imports(path) if upward(module, name)] == []


def test_the_table_sees_an_upward_import() -> None:
    """The rule itself, on imports whose answer is known."""
    assert upward("engine.record.state", "engine.models.load")
    assert upward("engine.models.load", "engine.text.blocks")
    assert upward("engine.models.load", "engine.models.builtin.train")
    assert upward("engine.pruning.gates", "engine")
    assert upward("widgets.pump", "engine.models")
    assert not upward("widgets.pump", "engine.record.state")
    assert not upward("engine.pruning.gates", "engine.models.anatomy")
    assert not upward("engine.pruning.gates", "engine.pruning.plan")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_never_comes_in(path: Path) -> None:
    """The engine knows no screen, the page no tensors, and nobody reads a file that runs code when it is read."""
    tops = {name.split(".")[0] for name in imports(path)}
    assert not tops & UNSAFE
    if name_of(path).startswith("engine"):
        assert not tops & SCREEN
    if name_of(path).startswith(("widgets", "engine.record")):
        assert not tops & set(HEAVY)
    for call in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        assert ast.unparse(call.func) not in {"torch.load", "torch.save"}, f"{path}:{call.lineno}"
        remote = [word for word in call.keywords if word.arg == "trust_remote_code" and ast.unparse(word.value) != "False"]
        assert remote == [], f"{path}:{call.lineno}"


def test_the_page_comes_up_without_torch() -> None:
    """Importing the engine's public face, every file of engine.record and every file of the page loads nothing heavy."""
    light = [name_of(path) for path in SOURCES if name_of(path).startswith(("widgets", "engine.record"))]
    code = f"import importlib, sys\nfor name in {['engine', *light]}: importlib.import_module(name)\n"
    code += f"print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_file_says_what_it_is_for(path: Path) -> None:
    """A module opens with a docstring, and stays short enough to be read at one sitting."""
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 300
