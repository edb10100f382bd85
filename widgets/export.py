"""What can be taken away from the page, as bytes: events, cells, recipes, how to do it again, archives; hands nothing over."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from engine.record import rerun
from engine.record.figure import Table
from engine.record.folder import read_events
from engine.record.recipe import Recipe
from engine.record.sweep_folder import SweepState, cells_told

SMALL = 20_000_000  # bytes of a model that a page can hand over: it travels through the browser's memory


def events_csv(folder: Path) -> bytes:
    """Every event of a run, one a row: number, time, kind, and a column for each field of any kind; lists as JSON."""
    import pandas  # only here: it costs the kernel 50 MB, and most pages never download anything

    rows = []
    for stamped in read_events(folder):
        plain = {name: _cell(value) for name, value in asdict(stamped.fact).items()}
        rows.append({"seq": stamped.seq, "at": stamped.at, "event": type(stamped.fact).__name__} | plain)
    return pandas.DataFrame(rows).to_csv(index=False).encode()


def cells_csv(state: SweepState) -> bytes:
    """Every cell of a sweep, one a row: a column for each field that it sets, its seed, and what came of it."""
    import pandas

    rows = []
    for cell in cells_told(state):
        stages = {f"perplexity {stage}": value for stage, value in cell["perplexities"].items()}
        came = {name: cell[name] for name in ("seed", "status", "perplexity", "parameters", "seconds", "error")}
        rows.append({name: _cell(value) for name, value in cell["set"].items()} | came | stages)
    return pandas.DataFrame(rows, dtype=object).to_csv(index=False).encode()  # or a count beside a gap would have a point


def sweep_json(state: SweepState) -> bytes:
    """A sweep as `python -m engine sweep` takes it in `sweep`, with its status and every cell beside that."""
    plain = {"sweep": state.sweep.plain(), "status": state.status, "cells": cells_told(state)}
    return (json.dumps(plain, indent=2, allow_nan=False) + "\n").encode()


def experiment_json(told: Mapping[str, str], found: Table, states: Mapping[str, SweepState]) -> bytes:
    """An experiment: what is `told` of it, its table as a list of objects, and each of its sweeps with every cell."""
    rows = [dict(zip(found.head, row, strict=True)) for row in found.rows]
    sweeps = {called: {"sweep": state.sweep.plain(), "cells": cells_told(state)} for called, state in states.items()}
    return (json.dumps({**told, "table": rows, "sweeps": sweeps}, indent=2, allow_nan=False) + "\n").encode()


def table(head: Sequence[str], rows: Sequence[Sequence[object]], kind: str) -> bytes:
    """A table as "csv", lists in it as JSON; or as "json", a list of objects."""
    if kind == "json":
        return (json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=2, allow_nan=False) + "\n").encode()
    import pandas

    return (
        pandas.DataFrame([list(map(_cell, row)) for row in rows], columns=list(head), dtype=object).to_csv(index=False).encode()
    )


def recipe_json(recipe: Recipe) -> bytes:
    """A recipe, as `python -m engine run` takes it."""
    return (recipe.model_dump_json(indent=2) + "\n").encode()


def command_line(recipe: Recipe) -> str:
    """A line for the shell that carries the recipe out, with nothing else at hand."""
    return rerun.command_line(recipe.model_dump(mode="json"))


def python_line(recipe: Recipe) -> str:
    """A line of Python that carries the recipe out, with nothing else at hand."""
    fields = ", ".join(f"{name}={value!r}" for name, value in rerun.changed(recipe.model_dump(mode="json")).items())
    return f"from engine import Recipe, run; events = list(run(Recipe({fields})))"


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip of some files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def folder_archive(folder: Path) -> bytes:
    """A zip of the files of one folder."""
    return archive({path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()})


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value
