"""Two ways to do the same, each in a process of its own, in turns: what a step takes by the median; knows nothing of either."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEPS, FIRST = 40, 5  # how many are timed, and how many before them are not: memory is taken for the first time there


def seconds(steps: Iterator[object]) -> list[float]:
    """The seconds of processor time that each of the timed steps takes."""
    found = []
    for _ in range(FIRST + STEPS):
        start = time.process_time()
        next(steps)
        found.append(time.process_time() - start)
    return found[FIRST:]


def medians(module: str, sides: tuple[str, str], turns: int = 4) -> tuple[float, float]:
    """The medians over all that `python -m MODULE SIDE` prints as a list in JSON, on its last line, in so many turns of either
    side, of which the one and the other begins by turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns):
        for name in sides if turn % 2 else sides[::-1]:
            command = [sys.executable, "-m", module, name]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
            found[name] += json.loads(done.stdout.splitlines()[-1])
    return tuple(statistics.median(times) for times in found.values())
