"""What a process that died left behind: where its run stands, and what of the command in hand is still to be done; reads the
record of the run, drives the workbench to where it stood, and carries out nothing.

A change of the model has taken effect once the record says so: its checkpoint, or that it was undone, was told. What died before
that is done again from where it began; what died after it is not done twice, only told to its end. Where a checkpoint is damaged
and the run is one recipe, all that was done since the one before it is done again: it is known what, and comes to the same.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.interrupted import CUT_SHORT, TWICE, Interrupted, interrupted
from engine.record import commands as ask
from engine.record.errors import BadInput
from engine.record.events import (
    CheckpointSaved,
    CorpusLoaded,
    GatesChanged,
)
from engine.record.extent import lost_end
from engine.record.folder import read_commands
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    Degraded,
    RunStarted,
    WorkerStarted,
)
from engine.record.line import Stamped, Unreadable
from engine.record.state import RunState, fold
from engine.record.whole_runs import ANSWERS, end_of, is_whole

SPARE = ("Progressed", "MemorySampled", "MemoryEstimated", "StepTrained", "Validated")  # events that no other depends on
DAMAGED = "the checkpoint that it began from is damaged"


def first_line(events: Sequence[Stamped], left: Interrupted | None) -> int:
    """The line of the first command that is still to be seen to."""
    if left is not None:
        return left.line
    last = last_answer(events)
    return 0 if last is None else last.command + 1


def last_answer(events: Sequence[Stamped]) -> CommandFinished | CommandRefused | CommandStopped | None:
    """The last answer that a command has had; None where none has."""
    return next((stamped.fact for stamped in reversed(events) if isinstance(stamped.fact, ANSWERS)), None)


def done_again(events: Sequence[Stamped], state: RunState, stands: str | None) -> CommandStarted:
    """What is to be done again first, in a run that is one recipe, where the checkpoint `stands` takes the place of that of
    `state`: the command that made the one after it. To be told before that the model stands there: whenever a process dies after
    this, the next one does the same. Raises `BadInput` where the record does not say which command that was."""
    made, begun = {}, None
    for stamped in events:
        match stamped.fact:
            case CommandStarted():
                begun = stamped.fact
            case CheckpointSaved():
                made[stamped.fact.checkpoint] = begun
    lost = state.checkpoint
    while lost is not None and state.parents.get(lost) != stands:
        lost = state.parents.get(lost)
    if made.get(lost) is None:
        raise BadInput(f"checkpoint {lost} is damaged, and the record does not say what has made it; start a new run.")
    return replace(made[lost], afresh=True)


def take_up(folder: Path, bench, state: RunState, events: Sequence[Stamped], whole: bool) -> tuple[tuple[object, ...], int]:
    """Bring a new workbench to where the run stood. Returns what there is to say, the end of the run too where it has come to
    that, and the line of the first command that is still to be seen to. `whole`: whether the run is one recipe. Raises `BadInput`
    where it cannot go on."""
    cut_off = _cut_off(folder, events)
    left = interrupted(folder, events)
    fell_back = catch_up(folder, bench, state, events, left)
    if whole and fell_back:
        again = done_again(events, state, bench.desk.stand.name or None)
        return (*cut_off, again, *fell_back), again.command
    told = see_to(left, bench, bool(fell_back)) if left is not None else ()
    ends = [end for fact in told if whole and (end := end_of(fact)) is not None]
    line = first_line(events, left) + bool(told)
    refused, line = refused_with(folder, line) if fell_back else ((), line)
    return (*cut_off, *fell_back, *told, *refused, *ends), line


def refused_with(folder: Path, line: int) -> tuple[tuple[CommandRefused, ...], int]:
    """The answers to what was asked from a line on of a model whose checkpoint is damaged, and was not begun: whoever asked did
    not know that another one would stand there. And the line after them, that of the next model's `Load` where there is one."""
    refused = []
    for asked in read_commands(folder):
        if asked.seq >= line:
            if isinstance(asked.fact, ask.Load | ask.Finish | Unreadable):
                break
            name, line = type(asked.fact).__name__, asked.seq + 1
            if not isinstance(asked.fact, ask.HOLDS):
                refused.append(CommandRefused(asked.seq, name, "", _given_up(name, DAMAGED)))
    return tuple(refused), line


def threads_in_hand(folder: Path, events: Sequence[Stamped]) -> int | None:
    """With how many threads the process computed whose command is still in hand: sums come to the same, to the bit, with as many.
    The whole of a run that is one recipe is in hand. None where none is, where nobody has said, and where this machine has fewer
    cores."""
    if not is_whole(folder) and interrupted(folder, events) is None:
        return None
    told = [stamped.fact.threads for stamped in events if isinstance(stamped.fact, RunStarted | WorkerStarted)]
    known = next((threads for threads in reversed(told) if threads), None)
    return known if known is not None and known <= (os.cpu_count() or 1) else None


def _cut_off(folder: Path, events: Sequence[Stamped]) -> tuple[Degraded, ...]:
    """What there is to say, once, where the record has lost its end: what was done after the rest of it is not known, and is done
    again, but for what is kept of a training in hand."""
    if not (why := lost_end(folder, events[-1].seq + 1 if events else 0)):
        return ()
    told = Degraded("every event of the run", "those that are there; what came after them is done again", why)
    return () if any(stamped.fact == told for stamped in events) else (told,)


def catch_up(folder: Path, bench, state: RunState, events: Sequence[Stamped], left: Interrupted | None) -> tuple[object, ...]:
    """Bring a new workbench to where the run stood: the last model that was loaded, at the last checkpoint. Returns what there is
    to say: which checkpoint before that one stands instead, where it is damaged. `left` is the command in hand; where there is
    none, bookmarks may be there of a recovery that the disk had no room to keep, and that may be asked for again. Raises
    `BadInput` where a line is damaged or missing without which it cannot be known what was done."""
    for fact in (stamped.fact for stamped in events):
        if isinstance(fact, Unreadable) and fact.damaged and fact.name not in SPARE:
            raise BadInput(f"{fact.reason[:-1]}, so nobody knows what was done.")
    line, loaded = None, None
    for stamped in events:
        match stamped.fact:
            case CommandStarted():
                line = stamped.fact.command
            case CorpusLoaded():  # the last thing that a Load says: whether it was stopped after that or not, it is done
                loaded = line
    if loaded is None:
        return ()
    asked = {stamped.seq: stamped.fact for stamped in read_commands(folder)}.get(loaded)
    if not isinstance(asked, ask.Load):
        why = asked.reason if isinstance(asked, Unreadable) else f"line {loaded + 1} of commands.jsonl is another."
        raise BadInput(f"what loaded its model cannot be read any more: {why}")
    how = (left.recovery, left.shortages) if left is not None else ("begun",)
    told = bench.catch_up(asked, state, *how)
    if told:
        state = fold(
            replace(state, standing=state.before or state.standing, before=None), [Stamped(-1, 0.0, fact) for fact in told]
        )
        bench.measured.recall(state.standing)
    return told


def see_to(left: Interrupted, bench, fell_back: bool) -> tuple[object, ...]:
    """What there is to say of the command that was interrupted: why it is given up, or that it is done; nothing where it is to be
    carried out (again), if only as far as its newest bookmark. `fell_back`: the checkpoint that it began from is damaged."""
    name = type(left.command).__name__
    why = DAMAGED if fell_back else ""
    if left.recovery == "given up" and not fell_back:
        return ()
    if left.is_hopeless and left.is_trained:  # what two processes have died of may take the rest, not what was learnt
        rest = Degraded("all that follows a training: its measurements, its control", "what was done of it by then", TWICE)
        return rest, CommandFinished(left.line, name)
    if left.is_hopeless:
        why = TWICE
    if why:
        return (CommandRefused(left.line, name, "", _given_up(name, why)),)
    if not left.has_taken_effect:
        return ()
    if why := CUT_SHORT.get(left.how, ""):
        return (CommandRefused(left.line, name, "", _given_up(name, why)),)
    gates = GatesChanged(**bench.desk.counts(bench.desk.stand.plan), reason=name.lower()) if left.is_silent else None
    answer = CommandStopped if left.is_given_up else CommandFinished
    return (*((gates,) if gates else ()), answer(left.line, name))


def _given_up(name: str, why: str) -> str:
    return f"{name} was given up: {why}."
