"""The benchmarks' contract and their table, on rows whose answer is known; measures nothing."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import json
from pathlib import Path

import pytest

from benchmarks import Row
from benchmarks.__main__ import machine, main, names, table
from benchmarks._peers import PEERS
from benchmarks._quotes import MARKED, RESULTS, documents, quoted

ROOT = Path(__file__).parents[2]


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
    texts = [path.read_text(encoding="utf-8") for path in documents()]
    assert {name for text in texts for _, name, _, _, _ in MARKED.findall(text)} >= {"peers", "quality"}
    for text in texts:
        assert quoted(text, table) == text


def test_a_setting_of_the_benchmark_of_quality_is_quoted_by_criterion_and_compensation() -> None:
    """What is not its own goes; a number that was typed by hand goes too."""
    text = "Before.\n<!-- results: quality, 50 % of the neurons -->\n| by hand |\n<!-- end -->\nAfter."
    lines = quoted(text, table).splitlines()
    assert lines[0] == "Before." and lines[-1] == "After." and lines[2].startswith("| criterion | none | bias |")
    assert any(line.startswith("| obs |") for line in lines) and "by hand" not in quoted(text, table)
