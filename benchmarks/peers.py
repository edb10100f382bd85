"""Ours at its best beside the pruners that PyPI carries: SmolLM2-135M without 30 % and without 50 % of its MLP neurons.

Everyone takes the same number of neurons from the same model, in float32, and trains nothing; what reads calibration text reads
16,384 tokens of it. Ours is the criterion OBS with sequential compensation, which reads more, 98,304 tokens. The value is the
perplexity of the smaller model, the reference that of the dense one, both on the same 8,192 tokens of other articles, in blocks
of 256 (`benchmarks/_cells.py` says of which text); in one more row the reference is the best of the peers.

Takes an hour on one core, so that it runs only when it is named; `make peers` installs the peers first, and one that is not
there has no row. What was interrupted goes on where it was.
"""

import sys
from collections.abc import Iterator

from benchmarks import Row
from benchmarks._cells import Cell, Setting, Workshop, smollm2
from benchmarks._peers import missing, peers
from engine.record.recipe import Schedule

SETTINGS = {
    "30 % of the neurons": Setting(Schedule(level=0.0), Schedule(level=0.3)),
    "50 % of the neurons": Setting(Schedule(level=0.0), Schedule(level=0.5)),
}
GOALS = {"30 % of the neurons": 1.22, "50 % of the neurons": 1.6}  # of ours over the dense model
GOALS_BESIDE = {"50 % of the neurons": 0.5}  # of ours over the best of the peers
SCORED, FITTED, MEASURED = 16384, 98304, 8192  # tokens


def measure() -> Iterator[Row]:
    """The dense model, and for either share ours and every peer."""
    workshop, text = smollm2("peers")
    yield Row(f"dense, {MEASURED:,} tokens of {text}", workshop.dense(MEASURED), "ppl", None)
    for setting in SETTINGS:
        yield from _beside(workshop, setting)
    if missing():
        print(f"no rows for {' and '.join(missing())}: run `make peers`, which installs what is missing", file=sys.stderr)
    workshop.close()


def ours(setting: str) -> Cell:
    """What is held against the peers."""
    return Cell(setting, "obs", "sequential", SCORED, FITTED, MEASURED)


def theirs(setting: str) -> tuple[Cell, ...]:
    """The peers that are installed here."""
    return tuple(Cell(setting, peer, "none", SCORED, 0, MEASURED) for peer in peers())


def _beside(workshop: Workshop, setting: str) -> Iterator[Row]:
    dense, found = workshop.dense(MEASURED), {}
    for cell in theirs(setting):
        found[cell.by] = workshop.perplexity(cell, SETTINGS[setting])
        yield Row(f"{setting}: {cell.by}", found[cell.by], "ppl", None, dense, "dense")
    cell = ours(setting)
    value = workshop.perplexity(cell, SETTINGS[setting])
    yield Row(f"{setting}: ours ({cell.by}, {cell.compensation})", value, "ppl", GOALS[setting], dense, "dense")
    if found:
        best = min(found, key=found.__getitem__)
        yield Row(f"{setting}: ours beside the best peer", value, "ppl", GOALS_BESIDE.get(setting), found[best], best)
