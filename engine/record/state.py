"""`RunState`, the present of a run, as the fold of its events; keeps what a viewer shows and derives nothing else.

    state = fold(RunState(), tail.read())

A viewer that comes late folds the whole file and has the same state as one that was there from the start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.record.degradations import Otherwise
from engine.record.events import (
    CheckpointSaved,
    CommandFinished,
    CommandRefused,
    CommandStarted,
    CommandStopped,
    CorpusLoaded,
    CriteriaCompared,
    Degraded,
    GatesChanged,
    MemoryEstimated,
    MemorySampled,
    ModelLoaded,
    PlanMade,
    Previewed,
    Progressed,
    RoundRefused,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopped,
    StepTrained,
    Suggested,
    TrainingResumed,
    TuningStarted,
    Undone,
    UnitsScored,
    Validated,
    WorkerRestarted,
    WorkerStarted,
)
from engine.record.line import Stamped, Unreadable
from engine.record.memory_fit import Room
from engine.record.series import Series
from engine.record.standing import Curve, Standing, after, gone_down, recalled

OF_THE_MODEL = (
    *("model", "scores", "scored", "compared", "preview", "suggested", "outdated", "standing"),
    *("checkpoint", "parents", "shelved", "weights", "step", "arm", "refused_round"),
)


@dataclass(frozen=True)
class RunState:
    """A run as it stands. `status`: new (no worker is up yet), idle, busy, paused, finished, stopped or failed. Times are seconds
    since the epoch."""

    status: str = "new"
    doing: str = ""  # the command in hand
    doing_line: int | None = None  # its line in commands.jsonl
    doing_since: float | None = None
    step_since: float | None = None  # when the arm in hand began to train
    progress: Progressed | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    started: float | None = None
    ended: float | None = None
    last: float | None = None  # when the last event was written
    events: int = 0
    model: ModelLoaded | None = None
    corpus: CorpusLoaded | None = None
    scores: UnitsScored | None = None
    compared: CriteriaCompared | None = None
    preview: Previewed | None = None
    suggested: Suggested | None = None
    outdated: tuple[str, ...] = ()  # which of these there were, of weights that the model has no more
    standing: Standing = Standing()
    before: Standing | None = None  # what stood before the change in hand, until that is checkpointed or given up
    replaced: "RunState | None" = None  # the state before a model whose text is still to come
    checkpoint: str | None = None
    parents: Mapping[str, str | None] = field(default_factory=dict)  # checkpoint → the one that an undo goes back to
    shelved: Mapping[str | None, Standing] = field(default_factory=dict)  # what stood at each checkpoint; None: as loaded
    weights: Mapping[str | None, str | None] = field(default_factory=dict)  # checkpoint → the one whose training made its weights
    scored: str | None = None  # of which of those weights the scores are
    arm: str = ""  # the arm that trains: tuned or control
    step: StepTrained | None = None
    memory: tuple[tuple[float, MemorySampled], ...] = ()
    room: Room = Room()
    seconds: Mapping[str, float] = field(default_factory=dict)  # command → seconds spent, summed
    otherwise: Otherwise = Otherwise()
    restarts: tuple[WorkerRestarted, ...] = ()
    lost: Mapping[str, Curve] = field(default_factory=dict)  # arm → the losses of a training that went down with its worker
    refused_round: int = 0  # the round that its guard did not let pass, until the gates are changed again
    resumed: TrainingResumed | None = None  # where training was last taken up from a bookmark, while its command is in hand
    interrupted: str | None = None  # what the worker died of ("": nothing was in hand), until the next command is done
    refused: CommandRefused | None = None  # the last refusal, until something is done again
    refusals: tuple[CommandRefused, ...] = ()  # all of them
    failure: RunFailed | None = None
    worker: int | None = None
    commands_done: int = 0

    @property
    def degraded(self) -> tuple[Degraded, ...]:
        """What was done otherwise than asked."""
        return self.otherwise.told

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return self.checkpoint is not None

    @property
    def scores_stale(self) -> bool:
        """Whether the scores are of other weights than those that stand, after a recovery or an undo."""
        return self.scores is not None and self.scored != self.weights.get(self.checkpoint)

    @property
    def is_over(self) -> bool:
        """Whether the run has had its last event."""
        return self.status in ("finished", "stopped", "failed")


def fold(state: RunState, events: Iterable[Stamped]) -> RunState:
    """The state after some more events. Pure: the given state is not changed."""
    series = Series()
    for stamped in events:
        match stamped.fact:
            case StepTrained() as step:
                series.trained(step)
                state = replace(state, step=step, step_since=state.step_since or stamped.at)
            case Validated() as loss:
                series.validated(loss)
            case MemorySampled() as memory:
                series.memory.append((stamped.at, memory))
            case fact:
                state, series = _after(_settled(state, series), fact, stamped.at), Series()
        state = replace(state, last=stamped.at, events=state.events + 1)
    return _settled(state, series)


def _settled(state: RunState, series: Series) -> RunState:
    if series.training or series.validation:
        state = replace(state, standing=replace(state.standing, curves=series.onto(state.standing.curves)))
    if series.memory:
        room = state.room.seen(state.doing, (sample for _, sample in series.memory))
        state = replace(state, memory=state.memory + tuple(series.memory), room=room)
    return state


def _after(state: RunState, fact: Any, at: float) -> RunState:
    match fact:
        case RunStarted():
            return replace(state, recipe=fact.recipe, version=fact.version, started=at)
        case WorkerStarted():
            return replace(_dropped(state), worker=fact.pid, status="idle")
        case CommandStarted():
            state = _dropped(state) if state.doing else state  # what was in hand is done again, in the same process
            begun = {"doing": fact.name, "doing_line": fact.command, "doing_since": at}
            begun["otherwise"] = state.otherwise.begun(fact.command)
            return replace(state, status="busy", progress=None, refused=None, **begun)
        case CommandFinished():
            return _done(state, at)
        case CommandStopped():
            return _given_up(state, at)
        case CommandRefused():
            return replace(_given_up(state, at), refused=fact, refusals=(*state.refusals, fact))
        case RunPaused():
            return replace(state, status="paused")
        case RunResumed():
            return replace(state, status="busy")
        case RunFinished():
            return replace(state, status="finished", ended=at, doing="", progress=None)
        case RunStopped():
            return replace(state, status="stopped", ended=at, doing="", progress=None)
        case RunFailed():
            return replace(state, status="failed", ended=at, doing="", progress=None, failure=fact)
        case Progressed():
            return replace(state, progress=fact)
        case ModelLoaded():
            bare = dict.fromkeys(("scores", "compared", "preview", "suggested", "step", "checkpoint"))
            replaced = replace(state, replaced=None)
            fresh = {"refused_round": 0, "standing": Standing(), "shelved": {}, "parents": {}, "weights": {}, "scored": None}
            return replace(state, model=fact, arm="", replaced=replaced, outdated=(), **fresh, **bare)
        case CorpusLoaded():
            return replace(state, corpus=fact, replaced=None)
        case UnitsScored(round=1):  # those of later rounds are of what is left of a model that is being pruned
            return replace(state, scores=fact, scored=state.weights.get(state.checkpoint))
        case Suggested():
            return replace(state, suggested=fact)
        case CriteriaCompared():
            return replace(state, compared=fact)
        case Previewed():
            return replace(state, preview=fact)
        case MemoryEstimated():
            return replace(state, room=state.room.foretold(fact))
        case Degraded():
            once = state.interrupted is not None  # it may have been told before the worker went down
            return replace(state, otherwise=state.otherwise.and_also(fact, once))
        case Unreadable(damaged=True):
            left = "those that are there" if fact.astray else "all but one"
            return _after(state, Degraded("every event of the run", left, fact.reason[:-1]), at)
        case WorkerRestarted():
            died_of = state.doing or state.interrupted or ""  # it may die once more before it takes that up again
            return replace(_dropped(state), status="new", restarts=(*state.restarts, fact), interrupted=died_of)
        case CheckpointSaved():
            parents = {**state.parents, fact.checkpoint: fact.parent}
            weights = fact.checkpoint if fact.reason.startswith("tune") else state.weights.get(fact.parent)
            state = replace(state, parents=parents, weights={**state.weights, fact.checkpoint: weights}, before=None)
            return _moved(state, fact.checkpoint)
        case Undone():
            standing = recalled(state.shelved.get(fact.checkpoint, Standing()), state.standing)
            return _moved(replace(state, standing=standing, before=None, step=None, arm=""), fact.checkpoint)
    return _measured(state, fact)


def _measured(state: RunState, fact: Any) -> RunState:
    match fact:
        case PlanMade() if fact.round < fact.rounds and not fact.laid:
            return state  # on the way to the plan that is laid
        case PlanMade():
            state = _shelve(state)
        case GatesChanged(reason="by hand"):
            state = replace(_shelve(state), refused_round=0)
        case TuningStarted():
            state = _shelve(state) if fact.arm == "tuned" else state
            otherwise = state.otherwise.training(fact.arm, fact.first)
            state = replace(state, arm=fact.arm, step=None, step_since=None, otherwise=otherwise)
        case GatesChanged(reason=reason) if reason != "guard":
            state = replace(state, refused_round=0)
        case RoundRefused():
            return replace(state, refused_round=fact.round)
        case TrainingResumed():
            kept = state.lost.get(fact.arm, Curve()).until(fact.step, fact.validated)
            curves = {**state.standing.curves, fact.arm: kept}
            last = kept.training[-1][0] if kept.training else 0
            standing, otherwise = replace(state.standing, curves=curves), state.otherwise.resumed(fact, last)
            return replace(state, resumed=fact, standing=standing, otherwise=otherwise)
    return replace(state, standing=after(state.standing, fact))


def _moved(state: RunState, checkpoint: str | None) -> RunState:
    """The model stands at another checkpoint; what was found out about its units holds while its weights are the same."""
    same = state.weights.get(checkpoint) == state.weights.get(state.checkpoint)
    if same:
        return replace(state, checkpoint=checkpoint)
    kinds = ("preview", "suggested", "compared")
    lost = tuple(kind for kind in kinds if getattr(state, kind) is not None or kind in state.outdated)
    return replace(state, checkpoint=checkpoint, outdated=lost, **dict.fromkeys(kinds))


def _shelve(state: RunState) -> RunState:
    """A change begins: what stands now is what an undo brings back."""
    return replace(state, before=state.standing, shelved={**state.shelved, state.checkpoint: state.standing})


def _taken_back(state: RunState) -> RunState:
    """A change that was given up before its checkpoint has changed nothing, nor has a model that was given up before its text."""
    if state.replaced is not None:
        state = replace(state, replaced=None, **{name: getattr(state.replaced, name) for name in OF_THE_MODEL})
    return state if state.before is None else replace(state, standing=state.before, before=None, step=None, arm="")


def _given_up(state: RunState, at: float) -> RunState:
    """The command in hand was refused or stopped. Losses of a recovery that left no checkpoint stay at hand: asked for again, it
    may go on from a bookmark."""
    left = state.doing == "Tune" and state.arm and state.before is not None
    lost = {"lost": gone_down(state.standing.curves, state.lost)} if left else {}
    return replace(_done(_taken_back(state), at), **lost)


def _dropped(state: RunState) -> RunState:
    """The command in hand went down with the worker."""
    lost = gone_down(state.standing.curves, state.lost) if state.doing and state.arm else state.lost
    return replace(_taken_back(state), doing="", doing_line=None, doing_since=None, progress=None, lost=lost)


def _done(state: RunState, at: float) -> RunState:
    spent = max(0.0, at - state.doing_since) if state.doing_since is not None else 0.0  # a clock may be set back
    seconds = {**state.seconds, state.doing: state.seconds.get(state.doing, 0.0) + spent} if state.doing else state.seconds
    bare = dict.fromkeys(("doing_line", "doing_since", "progress", "refused", "interrupted", "resumed"))
    return replace(
        state,
        status="idle",
        doing="",
        seconds=seconds,
        commands_done=state.commands_done + 1,
        lost={} if state.doing == "Tune" else state.lost,
        **bare,
    )
