"""Runs the benchmarks of this folder, prints one table, and keeps the results; knows nothing of what they measure."""

import argparse
import importlib
import inspect
import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from benchmarks import Row
from benchmarks._quotes import RESULTS, documents, quoted

HERE = Path(__file__).parent
LONG = ("peers", "quality")  # take half an hour and more: run only when named
PACKAGES = ("torch", "transformers", "voila", "ipywidgets", "bqplot", "ipykernel")
OTHERS = ("optipfair", "torch-pruning")  # what ours is measured beside, where it is installed


def names() -> list[str]:
    """Every benchmark there is: the files of this folder whose names do not begin with an underscore."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def machine() -> dict[str, object]:
    """What the numbers depend on: processor, cores, memory, accelerator, how busy the machine was at the start, versions; None is
    that of a package which is not installed, and of an accelerator that is not there."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")  # where Linux says what the processor is called
    if information.is_file():
        models = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if line.startswith("model name")
        ]
        processor = next(iter(models), processor)
    return {
        "processor": processor,
        "cores": psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": [round(load, 1) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES + OTHERS},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | reference | ratio | goal | |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        value = f"{row.value:,.3g} {row.unit}"
        reference = f"{row.reference:,.3g} {row.unit} ({row.against})" if row.reference is not None else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        unit = "" if row.ratio is not None or row.goal is None else f" {row.unit}"
        goal = "" if row.goal is None else f"≤ {row.goal:g}{unit}"
        met = {None: "", True: "met", False: "missed"}[row.is_met]
        lines.append(f"| {row.what} | {value} | {reference} | {ratio} | {goal} | {met} |")
    return "\n".join(lines)


def run(name: str) -> list[Row]:
    """Run one benchmark and write its result file."""
    about, module = machine(), importlib.import_module(f"benchmarks.{name}")
    rows = list(module.measure())
    result = {
        "benchmark": name,
        "about": inspect.getdoc(module),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about,
        "rows": [asdict(row) | {"ratio": row.ratio, "met": row.is_met} for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return rows


def main(arguments: list[str]) -> int:
    """Run what is named, or all; the table goes to the standard output, the progress beside it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"one of {', '.join(names())}; when none is named, all but {', '.join(LONG)}")
    asked = parser.parse_args(arguments).name or [name for name in names() if name not in LONG]
    unknown = [name for name in asked if name not in names()]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(names())}")
    rows = []
    for name in asked:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += run(name)
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if (now := quoted(text, table)) != text:
            path.write_text(now, encoding="utf-8")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
