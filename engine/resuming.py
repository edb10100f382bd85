"""What a process that died left behind: where its run stands, and what of the command in hand is still to be done; reads the
record of the run, drives the workbench to where it stood, and carries out nothing.

A change of the model has taken effect once the record says so: its checkpoint, or that it was undone, was told. What died before
that is done again from where it began; what died after it is not done twice, only told to its end. Where a checkpoint is damaged
and the run is one recipe, all that was done since the one before it is done again: it is known what, and comes to the same.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engine.record import commands as ask
from engine.record.bookmark_names import folder_of, reached
from engine.record.errors import BadInput
from engine.record.events import (
    CheckpointSaved,
    CorpusLoaded,
    Evaluated,
    GatesChanged,
    ModelSaved,
    TextSampled,
    TrainingResumed,
    TuningStarted,
    Undone,
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
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.line import Stamped, Unreadable
from engine.record.state import RunState, fold
from engine.record.whole_runs import ANSWERS, end_of, is_whole

CUT_SHORT = {  # how the reason of a checkpoint ends that a recovery left before its end: why it did
    "stopped": "",
    "diverged": "its training diverged; lower the learning rate",
    "out of memory": "memory ran out in its training",
    "failed": "its training failed",
}
SPARE = ("Progressed", "MemorySampled", "MemoryEstimated", "StepTrained", "Validated")  # events that no other depends on
TRIES = 2  # deaths in one command, without a checkpoint or a bookmark between them, after which it is given up
TWICE = "the worker ended twice while doing it"  # why it is


@dataclass(frozen=True)
class Interrupted:
    """The command in hand when the process died: its line and itself, what was told of it since it was begun, by any process, and
    how many processes have ended unasked while doing it since it last got further: `shortages` in a training because memory ran
    out, so that it is to go on with less, and other `deaths`."""

    line: int
    command: ask.Command
    since: tuple[Any, ...]
    deaths: int
    shortages: int

    @property
    def recovery(self) -> Literal["", "begun", "trained", "given up"]:
        """How far a recovery has come that bookmarks may be there of, "given up" where no more is wanted of it than they have; ""
        where it is not gone on with."""
        if isinstance(self.command, ask.Tune) and self.has_taken_effect:
            return ""
        if isinstance(self.command, ask.Tune) and self.is_hopeless:
            return "given up" if self.deaths == TRIES and not self.is_trained else ""
        return "trained" if self.is_trained else "begun"

    @property
    def is_hopeless(self) -> bool:
        """Whether it is given up: too many processes have ended in it at the same place."""
        return self.deaths >= TRIES and not self.has_taken_effect

    @property
    def is_trained(self) -> bool:
        """Whether it is a recovery whose model is trained and checkpointed, or was taken back by its guard: what is left of it is
        measuring, and the control."""
        done = self._told(CheckpointSaved) or self._told(Undone)
        return isinstance(self.command, ask.Tune) and done and not self.is_given_up

    @property
    def is_given_up(self) -> bool:
        """Whether it is a recovery that was stopped, or that failed, and has kept what it had learnt."""
        return self.how is not None

    @property
    def how(self) -> str | None:
        """Why a recovery kept what it had learnt before its end, a key of `CUT_SHORT`; None where it did not."""
        reasons = [fact.reason for fact in self.since if isinstance(fact, CheckpointSaved)]
        if not isinstance(self.command, ask.Tune) or not reasons:
            return None
        return next((how for how in CUT_SHORT if reasons[-1].endswith(how)), None)

    @property
    def has_taken_effect(self) -> bool:
        """Whether there is nothing left to do of it but to say that it is done."""
        match self.command:
            case ask.Tune():
                return self.is_given_up
            case ask.Load():
                return self._told(CorpusLoaded)
            case ask.Prune() | ask.SetGate():
                return self._told(CheckpointSaved)
            case ask.Undo() | ask.Reset():
                return self._told(Undone)
            case ask.Save():
                return self._told(ModelSaved)
            case ask.Sample():
                return self._told(TextSampled)
            case ask.Evaluate(stage=stage) if stage != "pruned":  # after which a promise may be left to be told
                return any(isinstance(fact, Evaluated) and fact.stage == stage for fact in self.since)
        return False

    @property
    def is_silent(self) -> bool:
        """Whether the gates as they are after an undo are still to be told."""
        return self._told(Undone) and not isinstance(self.since[-1], GatesChanged)

    def _told(self, kind: type) -> bool:
        return any(isinstance(fact, kind) for fact in self.since)


def interrupted(folder: Path, events: Sequence[Stamped]) -> Interrupted | None:
    """The command that was begun last, where it was not answered."""
    facts = [stamped.fact for stamped in events]
    line = next((fact.command for fact in reversed(facts) if isinstance(fact, CommandStarted)), None)
    since: list[Any] | None = None
    for fact in facts:
        match fact:
            case CommandStarted(afresh=True):  # of what is done again, all that was told before is of what is no more
                since = [] if fact.command == line else None
            case CommandStarted(command=begun) if begun == line:
                since = [] if since is None else since  # two processes may have died in it: the first has told a part of it
            case answer if isinstance(answer, ANSWERS) and answer.command == line:
                since = None
            case CommandStarted() | WorkerRestarted() | WorkerStarted():
                continue
            case _ if since is not None:
                since.append(fact)
    if since is None:
        return None
    command = next((each.fact for each in read_commands(folder) if each.seq == line), None)
    if command is None:
        return None  # the line is gone, and with it whoever could be answered
    died = _deaths(facts, line, reached(folder_of(folder / "checkpoints")))
    shortages = died.count(True) + max(0, died.count(None) - 1)  # a kill that nobody explains is memory where it comes again
    return Interrupted(line, command, tuple(since), len(died) - shortages, shortages)


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
    return (*cut_off, *fell_back, *told, *ends), first_line(events, left) + bool(told)


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
    why = "the checkpoint that it began from is damaged" if fell_back else ""
    if left.recovery == "given up" and not fell_back:
        return ()
    if left.is_hopeless and left.is_trained:  # what two processes have died of may take the rest, not what was learnt
        rest = Degraded("all that follows a training: its measurements, its control", "what was done of it by then", TWICE)
        return rest, CommandFinished(left.line, name)
    if left.is_hopeless:
        why = TWICE
    if why:
        return (CommandRefused(left.line, name, "", f"{name} was given up: {why}."),)
    if not left.has_taken_effect:
        return ()
    if why := CUT_SHORT.get(left.how, ""):
        return (CommandRefused(left.line, name, "", f"{name} was given up: {why}."),)
    gates = GatesChanged(**bench.desk.counts(bench.desk.stand.plan), reason=name.lower()) if left.is_silent else None
    answer = CommandStopped if left.is_given_up else CommandFinished
    return (*((gates,) if gates else ()), answer(left.line, name))


def _deaths(facts: Sequence[Any], line: int, newest: tuple[str, int] | None) -> list[bool | None]:
    """The workers that were replaced while they carried out the command of that line, since it last got further: to a checkpoint,
    or to another bookmark than the one before, but for those that somebody killed. Of each, whether it was killed in a training
    because memory ran out (None: it was killed, and nobody knows). `newest`: arm and step of the bookmark gone on from."""
    deaths, doing, trains, place = [], False, False, None
    for fact in facts:
        match fact:
            case CommandStarted(command=begun):
                doing, trains = begun == line, False
            case TuningStarted():
                trains = True
            case CheckpointSaved() if doing:
                deaths, trains = [], False
            case TrainingResumed(arm=arm, step=step) if doing:
                deaths, place = deaths if place == (arm, step) else deaths[-1:], (arm, step)
            case WorkerRestarted():
                counts = doing and fact.supervised and not fact.outside
                deaths, doing = deaths + ([fact.short if trains else False] if counts else []), False
            case WorkerStarted():
                doing = False
    return deaths[-1:] if newest not in (None, place) else deaths
