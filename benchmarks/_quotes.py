"""The tables of result files in the documents, written anew from the files; measures nothing.

In a document they stand between marks: `<!-- results: peers -->` and `<!-- end -->` for all rows of a file, and
`<!-- results: quality, 30 % of the neurons -->` for one setting of the benchmark of quality.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks import Row
from benchmarks.quality import pivot

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- results: (\w+)(?:, ([^>]+))? -->\n)(.*?)(\n<!-- end -->)", re.DOTALL)


def documents() -> list[Path]:
    """Where such tables may stand."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def quoted(text: str, table: Callable[[Sequence[Row]], str]) -> str:
    """A document's text with its tables as the result files have them now; `table` makes one of rows."""

    def anew(found: re.Match[str]) -> str:
        kept = json.loads((RESULTS / f"{found[2]}.json").read_text(encoding="utf-8"))
        rows = [Row(**{one.name: row[one.name] for one in fields(Row)}) for row in kept["rows"]]
        of_setting = table(rows) if found[3] is None else pivot(((row.what, row.ratio) for row in rows if row.ratio), found[3])
        return found[1] + of_setting + found[5]

    return MARKED.sub(anew, text)
