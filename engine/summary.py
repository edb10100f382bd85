"""What a run or a sweep did, from its state, as one plain object for programs and as lines for people; reads no files."""

import json
from typing import Any

from engine.record.spread import as_perplexity
from engine.record.state import RunState
from engine.record.sweep_folder import SweepState, cells_told

STAGES = ("baseline", "pruned", "tuned", "control", "cut")


def summary(state: RunState, asleep: bool = False, waiting: bool = False, stopped: int | None = None) -> dict[str, Any]:
    """The object that `show --json` prints; what was not measured is None. `asleep`: no process carries the run out, `waiting`:
    something that was asked of it is not answered; one that was left in a command, or before one, is "interrupted". `stopped`:
    the process that carries it out, which was stopped (SIGSTOP), so that nothing goes on."""
    left = state.status in ("busy", "paused") or (waiting and state.started is not None and not state.is_over)
    measured = state.standing.perplexity
    one = next(iter(measured.values()), None)
    gates, cut = state.standing.gates, state.standing.cut
    after = cut.parameters_after if cut else gates.parameters_after if gates else None
    return {
        "status": "interrupted" if asleep and left else state.status,
        "doing": state.doing or (not state.is_over and state.interrupted) or None,
        "stopped_process": stopped,
        "recipe": state.recipe,
        "family": state.model.family if state.model else None,
        "device": state.model.device if state.model else None,
        "parameters": {"before": state.model.parameters if state.model else None, "after": after},
        "file": {
            "before": cut and cut.file_before,
            "after": cut and cut.file_after,
            "stored": cut and cut.file_stored,
        },
        "perplexity": {stage: measured[stage].perplexity if stage in measured else None for stage in STAGES},
        "protocol": one
        and {"corpus": one.corpus, "tokens": one.tokens, "sequence_length": one.sequence_length, "dtype": one.dtype},
        "degradations": [{"asked": each.asked, "did": each.did, "why": each.why} for each in state.degraded],
        "restarts": [{"why": each.why, "checkpoint": each.checkpoint} for each in state.restarts],
        "refused": [{"command": each.name, "why": each.reason} for each in state.refusals],
        "seconds": {name.lower(): round(spent, 3) for name, spent in state.seconds.items()},
        "failure": state.failure.reason if state.failure else None,
    }


def in_words(state: RunState, asleep: bool = False, waiting: bool = False, stopped: int | None = None) -> str:
    """The same for people."""
    told = summary(state, asleep, waiting, stopped)
    stands = told["status"]
    if stands == "interrupted":
        stands += (f" in {told['doing']}" if told["doing"] else "") + ", asleep"
    lines = [f"{stands}: {state.recipe.get('model')} on {state.recipe.get('corpus')}"]
    if stopped:
        lines.append(f"  process {stopped}, which carries it out, is stopped; continue it, or end it")
    if told["failure"]:
        lines.append(f"  {told['failure']}")
    before, after = told["parameters"]["before"], told["parameters"]["after"]
    if before:
        lines.append(f"  parameters  {before:,}" + (f" → {after:,} ({after / before:.1%})" if after else ""))
    file = told["file"]
    if file["before"] and file["after"]:
        stored = f"; as it is stored, the dense model has {_mega(file['stored'])}" if file["stored"] else ""
        lines.append(f"  weights     {_mega(file['before'])} → {_mega(file['after'])} as files in float32{stored}")
    for stage, found in told["perplexity"].items():
        lines.append(f"  perplexity  {stage:<9} " + (as_perplexity(found) if found is not None else "not measured"))
    if told["protocol"]:
        how = told["protocol"]
        lines.append(f"  measured on {how['corpus']}, {how['tokens']:,} tokens, length {how['sequence_length']}, {how['dtype']}")
    lines += [f"  {_instead(each)}" for each in told["degradations"]]
    lines += [f"  {each['why']}; gone on with from {each['checkpoint'] or 'the start'}" for each in told["restarts"]]
    lines += [f"  {each['command']} was refused: {each['why']}" for each in told["refused"] if each["why"] != told["failure"]]
    if told["seconds"]:
        lines.append("  seconds     " + ", ".join(f"{name} {spent:.1f}" for name, spent in told["seconds"].items()))
    return "\n".join(lines)


def sweep_summary(state: SweepState) -> dict[str, Any]:
    """The object that `show --json` prints of a sweep; what was not measured is None."""
    best = state.best and {"set": state.best.set, "perplexity": state.best.perplexity, "parameters": state.best.parameters}
    told = {"status": state.status, **state.sweep.plain(), "failure": state.failure}
    return told | ({"best": best} if state.sweep.mode == "search" else {}) | {"cells": cells_told(state)}


def as_table(state: SweepState) -> str:
    """The same for people: a line for each cell, in the order in which they are done."""
    sweep, cells = state.sweep, cells_told(state)
    done = sum(cell["status"] == "done" for cell in cells)
    lines = [f"{state.status}: {done:,} of {len(cells):,} cells, mode {sweep.mode}"]
    if state.failure:
        lines.append(f"  {state.failure}")
    if state.best:
        what = ", ".join(f"{name}={value}" for name, value in state.best.set.items())
        lines.append(
            f"  best for {sweep.budget:.1%} of the parameters: {what}, perplexity {as_perplexity(state.best.perplexity)}"
        )
    head = [*sweep.axes, "seed", "parameters", "perplexity", "seconds", ""]
    rows = []
    for cell in cells:
        row = [value if isinstance(value, str) else json.dumps(value) for value in cell["set"].values()]
        row += [str(cell["seed"]), _number(cell["parameters"], ",d")]
        row += ["–" if cell["perplexity"] is None else as_perplexity(cell["perplexity"])]
        said = cell["error"] or ("" if cell["status"] == "done" else cell["status"])
        said = "; ".join(filter(None, [said, *map(_instead, cell.get("degraded", ()))]))
        if cell["status"] != "skipped":
            rows.append([*row, _number(cell["seconds"], ",.1f"), said])
    wide = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        first = [text.rjust(width) for text, width in zip(row[:-1], wide, strict=False)]
        lines.append("  ".join([*first, row[-1]]).rstrip())
    return "\n".join(lines)


def _instead(told: dict[str, str]) -> str:
    return f"instead of {told['asked']}: {told['did']}, because {told['why']}"


def _mega(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
