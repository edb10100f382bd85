"""What a command was expected to take in memory, against what it took: on the built-in models and on SmolLM2.

Each model runs in a fresh process with the settings of a worker, on the CPU. Both numbers are bytes over what that process held
before it loaded anything (Python, torch and the engine): the estimate that is told before the command, and the most that was
resident during it. Criteria that need gradients and none, all together that the page compares, the compensations, and two steps
of each kind of recovery with a control; the peaks depend on the length of sequences and the size of batches, not on how much text
is read, and so little is read. Training comes last, for it leaves freed memory in pieces, with which a pass after it may hold
tens of megabytes more. What is in the table is how far the estimate is off, as the larger of the two over the smaller.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Row
from engine.record.catalogue import CRITERIA, builtin_models, packaged_models
from engine.record.memory import THRESHOLDS, resident
from engine.text.corpora import read_corpus

GOAL = 1.25
MEASURE = "import sys; from benchmarks.memory import report; report(sys.argv[1])"


def measure() -> Iterator[Row]:
    """A row for each command of each model that is on this machine."""
    read_corpus("wikipedia-sample")  # parsed here and kept: parsing takes memory of its own, and is done once on a machine
    names = [model.name for model in (*builtin_models(), *packaged_models()) if model.ready]
    for name in names:
        asked = [sys.executable, "-c", MEASURE, name]
        root = Path(__file__).parents[1]
        done = subprocess.run(asked, cwd=root, env=os.environ | THRESHOLDS, stdout=subprocess.PIPE, text=True, check=True)
        for line in done.stdout.splitlines():
            what, expected, taken = json.loads(line)
            high, low = max(expected, taken) / 1e6, min(expected, taken) / 1e6
            against = "was taken" if expected >= taken else "was expected"
            word = "expected" if expected >= taken else "taken"
            yield Row(f"memory of {what} on {name}, {word}", high, "MB", GOAL, low, against)


def report(name: str) -> None:
    """Carry the commands out on one model, and print a line for each: what it was, the bytes expected, the bytes taken."""
    from engine.record import commands as ask
    from engine.record.lifecycle import CommandStarted, MemoryEstimated
    from engine.record.memory import forget_peak, give_back, peak
    from engine.record.recipe import Calibration, Measuring, Recipe, Schedule, Suggestion, Tuning
    from engine.watching import suit
    from engine.workbench import Workbench

    calibration, measuring = Calibration(tokens=4096), Measuring(tokens=1024, sequence_length=128)
    share, bench = Schedule(level=0.3), Workbench(None, Recipe(model=name))
    quick = tuple(criterion for criterion, entry in CRITERIA.entries.items() if entry.facts["COST"] != "many passes")
    base = resident()
    blockwise = Suggestion(by="block", damage="measured")
    tuning = Tuning(steps=2, batch_size=8, sequence_length=128)
    anew = ("", ask.Load(name, "wikipedia-sample", "cpu", "float32"))  # what has been gathered is gathered again
    commands = (
        ("Load", anew[1]),
        ("Score by activation", ask.Score("activation", calibration)),
        ("Score by taylor", ask.Score("taylor", calibration)),
        ("Prune, scored by taylor", ask.Prune("taylor", share, share, "none", calibration=calibration)),
        ("Prune with least squares", ask.Prune("activation", share, share, calibration=calibration)),
        anew,
        ("Agree on three criteria", ask.Agree(("activation", "fluctuation", "energy"), calibration)),
        anew,
        (f"Agree on {len(quick)} criteria, in two passes", ask.Agree(quick, calibration)),
        anew,
        ("Suggest", ask.Suggest(0.2, "activation", calibration=calibration)),
        ("Suggest, measured", ask.Suggest(0.2, "activation", calibration=calibration, suggestion=blockwise)),
        ("Preview", ask.Preview("activation", share, share, calibration=calibration)),
        anew,
        ("Score by obs", ask.Score("obs", calibration)),
        ("Prune with sequential", ask.Prune("activation", share, share, "sequential", calibration=calibration)),
        ("Tune", ask.Tune(tuning, measuring)),
        ("Tune by distillation", ask.Tune(tuning.model_copy(update={"method": "distil"}), measuring)),
        ("Tune by lora", ask.Tune(tuning.model_copy(update={"method": "lora"}), measuring)),
    )
    for what, command in commands:
        give_back()
        suit(CommandStarted(0, type(command).__name__))  # as a worker does
        forget_peak()
        expected = [event.total for event in bench.handle(command) if isinstance(event, MemoryEstimated)]
        most = peak()
        if most is None:
            raise SystemExit("this system does not tell the most that a process held")
        if what:
            print(json.dumps([what, expected[-1] - base, most - base]), flush=True)
    bench.close()
