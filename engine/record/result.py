"""What came of an experiment as one JSON file, with all that its numbers depend on; measures nothing and draws nothing.

The file has a line for each cell. Perplexities are kept to seven digits, times to four.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.record.catalogue import EXPERIMENTS
from engine.record.cells import SweepCellDone, at_end
from engine.record.costs import Latency
from engine.record.done_cells import Found
from engine.record.errors import BadInput, shorten
from engine.record.lifecycle import Degraded
from engine.record.sweep import Sweep, sweep_of

SHIPPED = Path(__file__).parents[2] / "docs" / "results"
BETWEEN = "; "  # two versions, or two machines, of one result


@dataclass(frozen=True)
class Result:
    """One experiment on one model: its sweeps and the cells that are done, the day of the last of them (UTC; None where nothing
    has been measured), and with which `versions` on what `machine`."""

    experiment: str
    model: str
    form: str
    at: str | None
    versions: Mapping[str, str]
    machine: str
    sweeps: Mapping[str, Sweep]
    found: Found

    @property
    def seconds(self) -> float:
        """What the cells took together, by `SweepCellDone.seconds`."""
        return sum(cell.seconds for cells in self.found.values() for cell in cells.values())

    @property
    def models(self) -> tuple[str, ...]:
        """The models of which some cell is done, in alphabetical order."""
        cells = ((self.sweeps[name], cell) for name, done in self.found.items() for cell in done.values())
        return tuple(sorted({sweep.cells[cell.number].recipe.model for sweep, cell in cells if cell.status == "done"}))

    @property
    def asked(self) -> int:
        """How many cells there are."""
        return sum(len(sweep.cells) for sweep in self.sweeps.values())

    @property
    def done(self) -> int:
        """How many of them are done."""
        return sum(cell.status == "done" for cells in self.found.values() for cell in cells.values())

    @property
    def failures(self) -> Mapping[str, int]:
        """How many of them failed, by the reason, in the order in which reasons are met."""
        return Counter(cell.error for cells in self.found.values() for cell in cells.values() if cell.status == "failed")

    @property
    def waiting(self) -> int:
        """How many of them have not been run."""
        return self.asked - self.done - sum(self.failures.values())


def as_json(result: Result) -> str:
    """The text of the file."""
    told = {name: getattr(result, name) for name in ("experiment", "model", "form", "at", "versions", "machine")}
    head = json.dumps(told, indent=1, ensure_ascii=False)[:-2]
    sweeps = []
    for name, sweep in result.sweeps.items():
        cells = ",\n".join(f"   {json.dumps(_plain(cell))}" for _, cell in sorted(result.found.get(name, {}).items()))
        sweeps.append(f'  {json.dumps(name)}: {{"sweep": {json.dumps(sweep.plain())}, "cells": [\n{cells}]}}')
    return f'{head},\n "sweeps": {{\n' + ",\n".join(sweeps) + "}\n}\n"


def read_result(path: Path) -> Result:
    """The result in a file; raises `BadInput` for a file that holds none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        named = {name: told[name] for name in ("experiment", "model", "form", "at", "versions", "machine")}
        EXPERIMENTS.entry(named["experiment"])
        sweeps = {name: sweep_of(each["sweep"]) for name, each in told["sweeps"].items()}
        found = {name: {cell["number"]: _cell(cell) for cell in each["cells"]} for name, each in told["sweeps"].items()}
    except OSError as error:
        raise BadInput(f"result file {shorten(path)} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"result file {shorten(path)} holds no result: {type(error).__name__}: {error}.") from error
    return Result(**named, sweeps=sweeps, found=found)


def shipped(experiment: str, model: str, form: str, folder: Path = SHIPPED) -> Result | None:
    """What this project's authors have measured, where this is a checkout that has it; None where there is no such result, or
    only one of other sweeps than the experiment has now. One with fewer seeds answers the same question, less surely."""
    for path in sorted(folder.glob(f"{experiment}*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        if (told["experiment"], told["model"], told["form"]) == (experiment, model, form):
            result = read_result(path)
            return result if _is_part(result.sweeps, EXPERIMENTS.load(experiment).sweeps(model, form)) else None
    return None


def _is_part(kept: Mapping[str, Sweep], asked: Mapping[str, Sweep]) -> bool:
    """Whether these are the sweeps that are asked for, with all of their seeds or some."""
    return kept.keys() == asked.keys() and all(
        set(sweep.seeds) <= set(asked[name].seeds) and replace(sweep, seeds=asked[name].seeds) == asked[name]
        for name, sweep in kept.items()
    )


def shipped_for(experiment: str, folder: Path = SHIPPED) -> Iterator[Result]:
    """The results that `shipped` has of an experiment, on whichever model and in whichever form, by the names of their files."""
    for path in sorted(folder.glob(f"{experiment}*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["experiment"] == experiment and (kept := shipped(experiment, told["model"], told["form"], folder)) is not None:
            yield kept


def _plain(cell: SweepCellDone) -> dict[str, Any]:
    told = {"number": cell.number, "set": cell.set, "seed": cell.seed, "status": cell.status}
    if cell.status == "failed":
        return told | {"error": cell.error}
    told |= {"parameters": cell.parameters, "seconds": round(cell.seconds, 3), "tokens": cell.tokens}
    told["perplexities"] = {stage: float(f"{value:.7g}") for stage, value in cell.perplexities.items()}
    times = [
        [each.what, each.batch, each.length, float(f"{each.dense:.4g}"), float(f"{each.cut:.4g}"), each.repeats]
        for each in cell.latency
    ]
    told |= {"degraded": [[each.asked, each.did, each.why] for each in cell.degraded]} if cell.degraded else {}
    return told | ({"latency": times} if times else {})


def _cell(told: dict[str, Any]) -> SweepCellDone:
    times = tuple(
        Latency(batch, length, dense, cut, repeats, what) for what, batch, length, dense, cut, repeats in told.pop("latency", ())
    )
    otherwise = tuple(Degraded(*each) for each in told.pop("degraded", ()))
    return SweepCellDone(**told, perplexity=at_end(told.get("perplexities", {})), latency=times, degraded=otherwise)
