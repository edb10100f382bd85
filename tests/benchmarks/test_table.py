"""The benchmarks' contract and their table, on rows whose answer is known; measures nothing."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks import Row
from benchmarks.__main__ import RESULTS, machine, main, names, table
from benchmarks._peers import PEERS

ROOT = Path(__file__).parents[2]
QUOTED = re.compile(r"<!-- results: (\w+) -->\n(.*?)\n<!-- end -->", re.DOTALL)


def test_a_goal_bounds_the_ratio_where_there_is_a_reference() -> None:
    """Thrice the reference misses a goal of two, whatever the value itself is."""
    assert not Row("a", 0.3, "s", 2.0, 0.1, "b").is_met
    assert Row("a", 0.3, "s", 3.0, 0.1, "b").is_met


def test_a_goal_bounds_the_value_where_there_is_no_reference() -> None:
    """Memory is held to megabytes, not to a ratio."""
    assert Row("a", 249.0, "MB", 250.0).is_met
    assert not Row("a", 251.0, "MB", 250.0).is_met


def test_the_table_says_what_was_measured_against_what() -> None:
    """Each row becomes one line with the value, the reference in words, the ratio and the goal."""
    lines = table([Row("First paint", 1.2, "s", 1.5, 1.0, "an empty page"), Row("Memory", 300.0, "MB", 250.0)]).splitlines()
    assert lines[2:] == [
        "| First paint | 1.2 s | 1 s (an empty page) | 1.20 | ≤ 1.5 | met |",
        "| Memory | 300 MB |  |  | ≤ 250 MB | missed |",
    ]


def test_what_nothing_is_promised_of_is_neither_met_nor_missed() -> None:
    """A number may be published as it came out: its line has no goal and no verdict."""
    row = Row("Damage", 0.2, "nats", None, 0.1, "chance")
    assert row.is_met is None
    assert table([row]).splitlines()[2] == "| Damage | 0.2 nats | 0.1 nats (chance) | 2.00 |  |  |"


@pytest.mark.parametrize("name", names())
def test_every_benchmark_says_what_it_measures(name: str) -> None:
    """Each file has a docstring and a `measure` that takes nothing."""
    module = importlib.import_module(f"benchmarks.{name}")
    assert inspect.getdoc(module)
    assert not inspect.signature(module.measure).parameters


def test_a_result_names_the_versions_of_the_pruners_that_it_stands_beside() -> None:
    """Those that are installed here; and in the file that is kept those of its rows."""
    for package in PEERS:
        there = importlib.util.find_spec(package.replace("-", "_")) is not None
        assert machine()[package] == (importlib.metadata.version(package) if there else None)
    kept = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))
    for package in PEERS:
        rows = [row["what"] for row in kept["rows"] if f": {package} " in row["what"]]
        assert rows and all(f"{package} {kept['machine'][package]}," in what for what in rows)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is no file ends with status 2 and says which there are."""
    with pytest.raises(SystemExit) as ended:
        main(["haste"])
    assert ended.value.code == 2
    assert "'haste'" in capsys.readouterr().err


def test_a_table_in_a_document_is_that_of_its_result_file() -> None:
    """Every number between the marks was measured, and measured last."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    quoted = [found for path in documents for found in QUOTED.findall(path.read_text(encoding="utf-8"))]
    assert {name for name, _ in quoted} >= {"peers"}
    for name, text in quoted:
        kept = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        assert text == table(Row(**{one.name: row[one.name] for one in fields(Row)}) for row in kept["rows"])
