"""Carries an experiment out: its sweeps one after another, each in a folder of its own, as events; knows no question.

`engine.record.experiments` says what is measured and what comes of it. Stopped, it goes on where it was, as a sweep does.
"""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.provenance import told
from engine.record.catalogue import EXPERIMENTS
from engine.record.cells import SweepCellDone, SweepStarted
from engine.record.claim import claimed
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.experiment_folder import folder_of
from engine.record.folder import Writer, read_events
from engine.record.lifecycle import RunStopped
from engine.record.result import Result
from engine.record.sweep import Cell
from engine.record.sweep_folder import begin, is_sweep, open_sweep


def experimenting(name: str, model: str, form: str, folder: Path, scheduler: str | None = None) -> Iterator[Event]:
    """Measure what is not measured yet. Each sweep ends with an event of its own, `RunFinished` or `RunFailed`; what one of them
    failed for does not keep the others. `scheduler` is that of `engine.sweeps.sweeping.sweep`. Raises `BadInput` for an
    unknown name and a folder in use. Until the last sweep is over the folder is held, so that any page can tell, and stop it."""
    sweeps = EXPERIMENTS.load(name).sweeps(model, form)
    with ExitStack() as held:
        with _ending_at_once():
            held.enter_context(claimed(folder))
            from engine.sweeps.sweeping import sweep  # which brings in torch: some seconds in which it has begun already
        for called, asked in sweeps.items():
            yield from sweep(asked, folder_of(folder, called), scheduler=scheduler)


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Let a request to end the process end it without a word, as nothing is lost yet: the exception that it else is gets lost
    among the imports of transformers, which take it for a package that is missing."""
    if threading.current_thread() is not threading.main_thread():  # where no signal can be seen to
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def take_over(result: Result, folder: Path) -> None:
    """Have the cells that a result file says are done be done in the folder of its experiment too, so that only the others are
    measured there; sweeps of which the folder has anything, and those that the experiment has no more, stay as they are."""
    for called, asked in EXPERIMENTS.load(result.experiment).sweeps(result.model, result.form).items():
        at, kept = folder_of(folder, called), result.sweeps.get(called)
        if at.exists() or kept is None or replace(kept, seeds=asked.seeds) != asked:
            continue
        done = {_which(cell): cell for cell in result.found.get(called, {}).values() if cell.status == "done"}
        told = [replace(done[_which(cell)], number=cell.number) for cell in asked.cells if _which(cell) in done]
        if not told:
            continue
        with closing(Writer(begin(asked, at) / "events.jsonl")) as record:
            with_what = result.versions.get("espalier", ""), None, dict(result.versions), result.machine
            for fact in (SweepStarted(asked.plain(), len(asked.cells), 0, 0, *with_what), *told, RunStopped()):
                record.append(fact)


def _which(cell: Cell | SweepCellDone) -> str:
    return json.dumps([dict(cell.set), cell.seed], sort_keys=True)


def gathered(name: str, model: str, form: str, folder: Path) -> Result:
    """What the folder of an experiment holds so far."""
    sweeps, found, last = EXPERIMENTS.load(name).sweeps(model, form), {}, []
    started: list[SweepStarted] = []
    for called, asked in sweeps.items():
        at = folder_of(folder, called)
        if is_sweep(at):
            state = open_sweep(at)
            if state.sweep != asked:
                raise BadInput(f"folder {at} holds another sweep than {called!r}; name another folder.")
            found[called] = state.done
            events = read_events(at)
            started += [stamped.fact for stamped in events if isinstance(stamped.fact, SweepStarted)]
            last += [stamped.at for stamped in events[-1:]]
    day = f"{datetime.fromtimestamp(max(last), UTC):%Y-%m-%d}" if last else None
    return Result(name, model, form, day, *told(started), sweeps, found)
