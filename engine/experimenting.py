"""Carries an experiment out: its sweeps one after another, each in a folder of its own, as events; knows no question.

`engine.record.experiments` says what is measured and what comes of it. Stopped, it goes on where it was, as a sweep does.
"""

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path

from engine.record.catalogue import EXPERIMENTS, version
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.folder import read_events
from engine.record.result import Result
from engine.record.swept import is_sweep, open_sweep
from engine.record.trial import folder_of

PACKAGES = ("torch", "transformers")


def experimenting(name: str, model: str, form: str, folder: Path, scheduler: str | None = None) -> Iterator[Event]:
    """Measure what is not measured yet. Each sweep ends with an event of its own, `RunFinished` or `RunFailed`; what one of them
    failed for does not keep the others. `scheduler` is that of `engine.sweeping.sweep`. Raises `BadInput` for an
    unknown name, and in its turn for a folder in use."""
    from engine.sweeping import sweep  # which brings in torch, and an unknown name need not wait for that

    for called, asked in EXPERIMENTS.load(name).sweeps(model, form).items():
        yield from sweep(asked, folder_of(folder, called), scheduler=scheduler)


def gathered(name: str, model: str, form: str, folder: Path) -> Result:
    """What the folder of an experiment holds so far."""
    sweeps, found, last = EXPERIMENTS.load(name).sweeps(model, form), {}, 0.0
    for called, asked in sweeps.items():
        at = folder_of(folder, called)
        if is_sweep(at):
            state = open_sweep(at)
            if state.sweep != asked:
                raise BadInput(f"folder {at} holds another sweep than {called!r}; name another folder.")
            found[called] = state.done
            last = max([last, *(stamped.at for stamped in read_events(at)[-1:])])
    versions = {"espalier": version(), "python": platform.python_version(), **{each: installed(each) for each in PACKAGES}}
    day = f"{datetime.fromtimestamp(last, UTC):%Y-%m-%d}"
    return Result(
        name,
        model,
        form,
        day,
        versions,
        f"{platform.system()} {platform.machine()} with {os.cpu_count()} processors",
        sweeps,
        found,
    )
