"""Tests of engine/results/tables.py: the same numbers for people, for programs and on the page."""

import csv
import io

from engine.record.figure import Table
from engine.results.tables import as_csv, as_markdown, as_text

TABLE = Table(("units", "level", "ratio"), (("heads, all", 0.3, 1.23456789), ("neurons", None, 12345.678), ("both", 1, None)))


def test_csv_has_every_digit_and_nothing_for_what_was_not_measured():
    """It is read back by a reader that is not ours."""
    rows = list(csv.reader(io.StringIO(as_csv(TABLE))))
    assert rows == [
        ["units", "level", "ratio"],
        ["heads, all", "0.3", "1.23456789"],
        ["neurons", "", "12345.678"],
        ["both", "1", ""],
    ]


def test_text_and_markdown_line_up():
    """Four digits, words to the left and numbers to the right, a dash for what was not measured."""
    assert as_text(TABLE).splitlines() == [
        "units       level      ratio",
        "heads, all    0.3      1.235",
        "neurons         –  1.235e+04",
        "both            1          –",
    ]
    assert as_markdown(TABLE).splitlines()[1:3] == ["|---|---:|---:|", "| heads, all | 0.3 | 1.235 |"]
    assert as_text(Table(("a",), ())) == "a"
