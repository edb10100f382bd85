"""Where a new worker goes on that takes over from another, read off the record of the run; knows no process and no model.

`bench` is a workbench that nothing was done with yet.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.record import commands as ask
from engine.record.events import CorpusLoaded
from engine.record.folder import Tail
from engine.record.lifecycle import CommandFinished, CommandRefused, CommandStarted, CommandStopped
from engine.record.line import Stamped
from engine.record.state import RunState, fold

DONE = (CommandFinished, CommandRefused, CommandStopped)
NO_STANDING_START = (ask.Undo, ask.Reset)  # not done again after a death: they may have taken effect before it


def see_to_interrupted(folder: Path, events: list[Stamped], tell: Callable[[object], object], fell_back: bool) -> int:
    """The line of the first command that is still to be done; one that a worker died of twice is refused, not tried again, and
    so is one that was asked of a model that is no more."""
    begun = [stamped.fact for stamped in events if isinstance(stamped.fact, CommandStarted)]
    ended = {stamped.fact.command for stamped in events if isinstance(stamped.fact, DONE)}
    if not begun or begun[-1].command in ended:
        return 1 + max(ended, default=-1)
    last = begun[-1]
    lines = {stamped.seq: stamped.fact for stamped in Tail(folder / "commands.jsonl").read()}
    tried = sum(fact.command == last.command for fact in begun)
    if fell_back or tried >= 2 or isinstance(lines[last.command], NO_STANDING_START):
        why = "the checkpoint that it began from is damaged" if fell_back else "the worker ended while doing it"
        reason = f"{last.name} was given up: {'the worker ended twice while doing it' if tried >= 2 else why}."
        tell(CommandRefused(last.command, last.name, "", reason))
        return last.command + 1
    return last.command


def catch_up(folder: Path, bench, state: RunState, events: list[Stamped]) -> tuple[object, ...]:
    """Bring a new workbench to where the run stood: the last model that was loaded, at the last checkpoint. Returns what there is
    to say: which checkpoint before that one stands instead, where it is damaged."""
    line, loaded = None, None
    for stamped in events:
        match stamped.fact:
            case CommandStarted():
                line = stamped.fact.command
            case CorpusLoaded():  # the last thing that a Load says: whether it was stopped after that or not, it is done
                loaded = line
    if loaded is None:
        return ()
    asked = {stamped.seq: stamped.fact for stamped in Tail(folder / "commands.jsonl").read()}
    standing = state.before or state.standing
    told = bench.catch_up(asked[loaded], state.checkpoint, standing, state.parents)
    if told:
        state = fold(replace(state, standing=standing, before=None), [Stamped(-1, 0.0, fact) for fact in told])
        bench.measured.recall(state.standing)
    return told
