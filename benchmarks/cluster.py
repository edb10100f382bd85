"""What it is worth to send the cells of a sweep to two processes of one machine, and what sending them costs.

A grid of the neurons' shares of the front, the middle and the back block, five each: 125 cells of the built-in gpt2-tiny by
least squares, measured without training on 8,192 tokens, and eight cells that train 30 steps each with their control. One
process uses all of the processor's cores, and of two each uses half. Two are to be quicker where small batches leave cores idle,
in training; a measurement's batches keep them busy, and two processes share less between cells. Counted is from the first cell
that is done to the last, whatever it takes to start: a process of a cluster imports torch and loads the model, some ten seconds,
once. What sending costs is a cluster of one process over none, both with the threads that one of two processes has.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks import Row
from engine import Sweep, sweep
from engine.record.cells import SweepCellDone
from engine.record.memory import keep_freed

AXES = {f"neurons.blocks.{block}": [0, 0.2, 0.4, 0.6, 0.8] for block in range(3)}
MEASURED = {"model": "gpt2-tiny", "heads": {"level": 0}, "calibration": {"tokens": 4096}, "evaluation": {"tokens": 8192}}
TRAINED = {"model": "gpt2-tiny", "tuning": {"steps": 30}, "evaluation": {"tokens": 2048}}
SWEEPS = {
    "125 cells, measured": Sweep(MEASURED, AXES),
    "8 cells, recovered": Sweep(TRAINED, {"neurons.level": {"from": 0.1, "to": 0.8, "steps": 8}}, "recover"),
}
QUICKER = {"8 cells, recovered": 1 / 1.5}
DEARER = 1.05


def measure() -> Iterator[Row]:
    """For each sweep what two processes take over one, and what a cluster of one takes over none."""
    half = str(max(1, (os.cpu_count() or 1) // 2))
    for name in SWEEPS:
        one, two = seconds(name, None), seconds(name, "local:2")
        yield Row(f"gpt2-tiny, {name}: two processes", two, "s a cell", QUICKER.get(name), one, "one process on all cores")
        alone, sent = seconds(name, None, half), seconds(name, "local:1", half)
        yield Row(f"gpt2-tiny, {name}: a cluster of one", sent, "s a cell", DEARER, alone, "no cluster")


def seconds(name: str, scheduler: str | None, threads: str | None = None) -> float:
    """The seconds of a cell, in a process of its own."""
    own = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    own |= {} if threads is None else {"OMP_NUM_THREADS": threads}
    command = [sys.executable, "-m", "benchmarks.cluster", name, scheduler or ""]
    ran = subprocess.run(command, env=own, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return float(ran.stdout.splitlines()[-1])


def _seconds(name: str, scheduler: str | None) -> float:
    keep_freed()  # as the command line does
    ends = [time.perf_counter() for event in sweep(SWEEPS[name], scheduler=scheduler) if isinstance(event, SweepCellDone)]
    return (ends[-1] - ends[0]) / (len(ends) - 1)


if __name__ == "__main__":
    print(_seconds(sys.argv[1], sys.argv[2] or None))
