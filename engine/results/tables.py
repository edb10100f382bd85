"""A table as lines for people, as CSV for programs and as Markdown for the page; knows nothing of what is in it."""

import csv
import io

from engine.record.figure import Table, Value


def as_text(table: Table) -> str:
    """Columns under their heads, numbers to the right; what was not measured is a dash."""
    rows = [[_number(value) for value in row] for row in table.rows]
    wide = [max(map(len, column)) for column in zip(table.head, *rows, strict=True)]
    words = [all(isinstance(row[place], str) for row in table.rows) for place in range(len(table.head))]
    lines = []
    for row in (table.head, *rows):
        cells = zip(row, wide, words, strict=True)
        lines.append("  ".join(text.ljust(width) if left else text.rjust(width) for text, width, left in cells).rstrip())
    return "\n".join(lines)


def as_csv(table: Table) -> str:
    """Every number with all its digits; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.head)
    writer.writerows(table.rows)
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """A table of Markdown."""
    rows = [[_number(value) for value in row] for row in table.rows]
    words = [all(isinstance(row[place], str) for row in table.rows) for place in range(len(table.head))]
    marks = "|".join("---" if left else "---:" for left in words)
    return "\n".join([f"| {' | '.join(table.head)} |", f"|{marks}|", *(f"| {' | '.join(row)} |" for row in rows)])


def _number(value: Value | None) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
