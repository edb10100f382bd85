"""The command in hand when a process died, as the record of its run tells of it; reads nothing but that, and does nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.record import commands as ask
from engine.record.bookmark_names import folder_of, reached
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
from engine.record.folder import read_commands
from engine.record.lifecycle import CommandStarted, WorkerRestarted, WorkerStarted
from engine.record.line import Stamped
from engine.record.whole_runs import ANSWERS

CUT_SHORT = {  # how the reason of a checkpoint ends that a recovery left before its end: why it did
    "stopped": "",
    "diverged": "its training diverged; lower the learning rate",
    "out of memory": "memory ran out in its training",
    "failed": "its training failed",
}
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
