"""`RunState`, the present of a run, as the fold of its events; keeps what a viewer shows and derives nothing else.

    state = fold(RunState(), tail.read())

A viewer that comes late folds the whole file and has the same state as one that was there from the start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

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
from engine.record.line import Stamped
from engine.record.room import Room
from engine.record.standing import Curve, Standing, after, recalled

CHANGES = ("Load", "Prune", "Tune", "Undo", "Reset")  # commands after which an earlier warning is about something else
OF_THE_MODEL = (
    *("model", "scores", "scored", "compared", "preview", "suggested", "standing", "checkpoint"),
    *("parents", "shelved", "weights", "step", "arm", "refused_round"),
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
    degraded: tuple[Degraded, ...] = ()
    warned: Degraded | None = None  # the last of them, until another change of the model is asked for
    restarts: tuple[WorkerRestarted, ...] = ()
    lost: Mapping[str, Curve] = field(default_factory=dict)  # arm → the losses of a training that went down with its worker
    refused_round: int = 0  # the round that its guard did not let pass, until the gates are changed again
    resumed: TrainingResumed | None = None  # where training was last taken up from a bookmark, while its command is in hand
    interrupted: str | None = None  # what the worker died of ("": nothing was in hand), until the next command is done
    refused: CommandRefused | None = None  # the last refusal, until something is done again
    failure: RunFailed | None = None
    worker: int | None = None
    commands_done: int = 0

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


@dataclass
class _Draft:
    """The state while a batch of events is folded: long series grow in lists and are frozen once, at the end of the batch."""

    state: RunState
    training: dict[str, list] = field(default_factory=dict)
    validation: dict[str, list] = field(default_factory=dict)
    memory: list = field(default_factory=list)

    def settle(self) -> RunState:
        curves = dict(self.state.standing.curves)
        for arm in {**self.training, **self.validation}:
            curve = curves.get(arm, Curve())
            curves[arm] = replace(
                curve,
                training=curve.training + tuple(self.training.get(arm, ())),
                validation=curve.validation + tuple(self.validation.get(arm, ())),
            )
        if self.training or self.validation:
            self.state = replace(self.state, standing=replace(self.state.standing, curves=curves))
        if self.memory:
            room = self.state.room.seen(self.state.doing, (sample for _, sample in self.memory))
            self.state = replace(self.state, memory=self.state.memory + tuple(self.memory), room=room)
        self.training, self.validation, self.memory = {}, {}, []
        return self.state


def fold(state: RunState, events: Iterable[Stamped]) -> RunState:
    """The state after some more events. Pure: the given state is not changed."""
    draft = _Draft(state)
    for stamped in events:
        match stamped.fact:
            case StepTrained() as step:
                draft.training.setdefault(step.arm, []).append((step.step, step.loss))
                draft.state = replace(draft.state, step=step, step_since=draft.state.step_since or stamped.at)
            case Validated() as loss:
                draft.validation.setdefault(loss.arm, []).append((loss.step, loss.loss))
            case MemorySampled() as memory:
                draft.memory.append((stamped.at, memory))
            case fact:
                draft.state = _after(draft.settle(), fact, stamped.at)
        draft.state = replace(draft.state, last=stamped.at, events=draft.state.events + 1)
    return draft.settle()


def _after(state: RunState, fact: Any, at: float) -> RunState:
    match fact:
        case RunStarted():
            return replace(state, recipe=fact.recipe, version=fact.version, started=at)
        case WorkerStarted():
            return replace(_dropped(state), worker=fact.pid, status="idle")
        case CommandStarted():
            warned = None if fact.name in CHANGES else state.warned
            begun = {"doing": fact.name, "doing_line": fact.command, "doing_since": at, "warned": warned}
            return replace(state, status="busy", progress=None, refused=None, **begun)
        case CommandFinished():
            return _done(state, at)
        case CommandStopped():
            return _done(_taken_back(state), at)
        case CommandRefused():
            return replace(_done(_taken_back(state), at), refused=fact)
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
            return replace(state, model=fact, arm="", replaced=replaced, **fresh, **bare)
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
            again = state.interrupted is not None and fact in state.degraded  # it was told before the worker went down
            return replace(state, degraded=state.degraded if again else (*state.degraded, fact), warned=fact)
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
        case TuningStarted(arm="tuned"):
            state = replace(_shelve(state), arm=fact.arm, step=None, step_since=None)
        case TuningStarted():
            state = replace(state, arm=fact.arm, step=None, step_since=None)
        case GatesChanged(reason=reason) if reason != "guard":
            state = replace(state, refused_round=0)
        case RoundRefused():
            return replace(state, refused_round=fact.round)
        case TrainingResumed():
            kept = state.lost.get(fact.arm, Curve()).until(fact.step, fact.validated)
            curves = {**state.standing.curves, fact.arm: kept}
            return replace(state, resumed=fact, standing=replace(state.standing, curves=curves))
    return replace(state, standing=after(state.standing, fact))


def _moved(state: RunState, checkpoint: str | None) -> RunState:
    """The model stands at another checkpoint; what was found out about its units holds while its weights are the same."""
    same = state.weights.get(checkpoint) == state.weights.get(state.checkpoint)
    found = {} if same else dict.fromkeys(("preview", "suggested", "compared"))
    return replace(state, checkpoint=checkpoint, **found)


def _shelve(state: RunState) -> RunState:
    """A change begins: what stands now is what an undo brings back."""
    return replace(state, before=state.standing, shelved={**state.shelved, state.checkpoint: state.standing})


def _taken_back(state: RunState) -> RunState:
    """A change that was given up before its checkpoint has changed nothing, nor has a model that was given up before its text."""
    if state.replaced is not None:
        state = replace(state, replaced=None, **{name: getattr(state.replaced, name) for name in OF_THE_MODEL})
    return state if state.before is None else replace(state, standing=state.before, before=None, step=None, arm="")


def _dropped(state: RunState) -> RunState:
    """The command in hand went down with the worker."""
    lost = state.standing.curves if state.doing and state.arm else state.lost
    return replace(_taken_back(state), doing="", doing_line=None, doing_since=None, progress=None, lost=lost)


def _done(state: RunState, at: float) -> RunState:
    spent = max(0.0, at - state.doing_since) if state.doing_since is not None else 0.0  # a clock may be set back
    seconds = {**state.seconds, state.doing: state.seconds.get(state.doing, 0.0) + spent} if state.doing else state.seconds
    return replace(
        state,
        status="idle",
        doing="",
        doing_line=None,
        doing_since=None,
        progress=None,
        seconds=seconds,
        commands_done=state.commands_done + 1,
        refused=None,
        interrupted=None,
        lost={},
        resumed=None,
    )
