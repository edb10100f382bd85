"""What a process that died left behind: where its run stands, and what of the command in hand is still to be done; reads the
record of the run, drives the workbench to where it stood, and carries out nothing.

A change of the model has taken effect once the record says so: its checkpoint, or that it was undone, was told. What died before
that is done again from where it began; what died after it is not done twice, only told to its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engine.record import commands as ask
from engine.record.errors import BadInput
from engine.record.events import (
    CheckpointSaved,
    CorpusLoaded,
    Evaluated,
    GatesChanged,
    ModelSaved,
    TextSampled,
    TrainingResumed,
    Undone,
)
from engine.record.folder import Tail
from engine.record.lifecycle import (
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.line import Stamped, Unreadable
from engine.record.marks import folder_of, reached
from engine.record.state import RunState, fold

DONE = (CommandFinished, CommandRefused, CommandStopped)
CUT_SHORT = ("stopped", "diverged", "out of memory")  # how the reason of a checkpoint ends that a recovery left before its end
TRIES = 2  # deaths in one command, without a checkpoint or a bookmark between them, after which it is given up


@dataclass(frozen=True)
class Interrupted:
    """The command in hand when the process died: its line and itself, what was told of it since it was begun last, and how many
    processes have ended unasked while doing it since it last got further."""

    line: int
    command: ask.Command
    since: tuple[Any, ...]
    deaths: int

    @property
    def recovery(self) -> Literal["", "begun", "trained"]:
        """How far a recovery has come that is to be gone on with."""
        if not isinstance(self.command, ask.Tune) or self.has_taken_effect or self.is_hopeless:
            return ""
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
        reasons = [fact.reason for fact in self.since if isinstance(fact, CheckpointSaved)]
        return isinstance(self.command, ask.Tune) and bool(reasons) and reasons[-1].endswith(CUT_SHORT)

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
    begun = [place for place, fact in enumerate(facts) if isinstance(fact, CommandStarted)]
    if not begun or any(isinstance(fact, DONE) and fact.command == facts[begun[-1]].command for fact in facts):
        return None
    line = facts[begun[-1]].command
    since = [fact for fact in facts[begun[-1] + 1 :] if not isinstance(fact, WorkerRestarted | WorkerStarted)]
    command = next((each.fact for each in Tail(folder / "commands.jsonl").read() if each.seq == line), None)
    if command is None:
        return None  # the line is gone, and with it whoever could be answered
    deaths = _deaths(facts, line, reached(folder_of(folder / "checkpoints")))
    return Interrupted(line, command, tuple(since), deaths)


def first_line(events: Sequence[Stamped], left: Interrupted | None) -> int:
    """The line of the first command that is still to be seen to."""
    if left is not None:
        return left.line
    return 1 + max((stamped.fact.command for stamped in events if isinstance(stamped.fact, DONE)), default=-1)


def catch_up(folder: Path, bench, state: RunState, events: Sequence[Stamped], left: Interrupted | None) -> tuple[object, ...]:
    """Bring a new workbench to where the run stood: the last model that was loaded, at the last checkpoint. Returns what there is
    to say: which checkpoint before that one stands instead, where it is damaged. `left` is the command in hand."""
    line, loaded = None, None
    for stamped in events:
        match stamped.fact:
            case CommandStarted():
                line = stamped.fact.command
            case CorpusLoaded():  # the last thing that a Load says: whether it was stopped after that or not, it is done
                loaded = line
    if loaded is None:
        return ()
    asked = {stamped.seq: stamped.fact for stamped in Tail(folder / "commands.jsonl").read()}.get(loaded)
    if not isinstance(asked, ask.Load):
        why = asked.reason if isinstance(asked, Unreadable) else f"line {loaded + 1} of commands.jsonl is another."
        raise BadInput(f"what loaded its model cannot be read any more: {why}")
    told = bench.catch_up(asked, state, left.recovery if left is not None else "")
    if told:
        state = fold(
            replace(state, standing=state.before or state.standing, before=None), [Stamped(-1, 0.0, fact) for fact in told]
        )
        bench.measured.recall(state.standing)
    return told


def see_to(left: Interrupted, bench, fell_back: bool) -> tuple[object, ...]:
    """What there is to say of the command that was interrupted: why it is given up, or that it is done; nothing where it is to be
    carried out (again). `fell_back`: the checkpoint that it began from is damaged."""
    name = type(left.command).__name__
    why = "the checkpoint that it began from is damaged" if fell_back else ""
    if left.is_hopeless:
        why = "the worker ended twice while doing it"
    if why:
        return (CommandRefused(left.line, name, "", f"{name} was given up: {why}."),)
    if not left.has_taken_effect:
        return ()
    gates = GatesChanged(**bench.desk.counts(bench.desk.stand.plan), reason=name.lower()) if left.is_silent else None
    answer = CommandStopped if left.is_given_up else CommandFinished
    return (*((gates,) if gates else ()), answer(left.line, name))


def _deaths(facts: Sequence[Any], line: int, newest: tuple[str, int] | None) -> int:
    """How many workers were replaced while they carried out the command of that line, since it last got further: to a checkpoint,
    or to another bookmark than the one before. `newest` is the arm and the step of the one from which the next worker goes on."""
    deaths, doing, place = 0, False, None
    for fact in facts:
        match fact:
            case CommandStarted(command=begun):
                doing = begun == line
            case CheckpointSaved() if doing:
                deaths = 0
            case TrainingResumed(arm=arm, step=step) if doing:
                deaths, place = deaths if place == (arm, step) else min(deaths, 1), (arm, step)
            case WorkerRestarted():
                deaths, doing = deaths + doing, False
            case WorkerStarted():
                doing = False
    return min(deaths, 1) if newest not in (None, place) else deaths
