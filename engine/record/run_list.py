"""The runs of a folder, each with what it is doing, for a list of them; changes nothing and imports no torch.

A run of the page is served by a worker of its own, one of the command line by the process that was started; both hold the run's
lock while they live, and a run that nobody holds is asleep.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.record import folder as files
from engine.record.claim import is_held
from engine.record.commands import HOLDS, Command, Preview, Sample
from engine.record.errors import BadInput
from engine.record.folder import Tail
from engine.record.lifecycle import RunStarted
from engine.record.lock import is_watched, read_lock, stopped_process
from engine.record.state import RunState, fold
from engine.record.whole_runs import ANSWERS, asks_whole

RECENT = 20  # runs that a roll follows, the newest
PASSING = (*HOLDS, Preview, Sample)  # commands that leave a model as it was, and its recipe
AT_ONCE = 200_000  # bytes of events that one look reads at most: some 20 ms on a processor of today


@dataclass(frozen=True)
class LiveRun:
    """One run: its `state` in words and its `status` as `RunState` has it ("unreadable" for neither), when it began (UTC, None:
    it has not), whether a process is there that carries it out and which, and its folder.

    `doing` is the command in hand, or that it was left in; `step` and `steps` of a recovery, None for anything else. `waiting`:
    something was asked that is not answered. `watched`: a page looks at it, or did half a minute ago. `stopped`: that process of
    those that carry it out that was stopped (SIGSTOP), so that nothing goes on.
    """

    name: str
    state: str
    status: str
    model: str | None
    since: str | None
    awake: bool
    worker: int | None
    folder: str
    doing: str = ""
    step: int | None = None
    steps: int | None = None
    waiting: bool = False
    watched: bool = False
    stopped: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run has had its last event."""
        return self.status in ("finished", "stopped", "failed")

    @property
    def is_busy(self) -> bool:
        """Whether it has something to stop, or to go on with."""
        return self.status in ("busy", "paused") or (self.waiting and not self.is_over)


class Followed:
    """One run that is read on: only what has come since the last time, so that looking often costs little.

    `asked` has the last command of each kind that changes or measures the model, by its class.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.is_read = False  # whether the end of the events was reached
        self._events, self._commands = Tail(folder / "events.jsonl"), Tail(folder / "commands.jsonl")
        self._state: RunState | None = None
        self.asked: dict[type, Command] = {}
        self._asked = self._answered = -1
        self._is_whole = False

    @property
    def state(self) -> RunState | None:
        """The run's state as far as it was read; None before that."""
        return self._state

    def read(self, most: int | None = None) -> int:
        """Read on, about `most` bytes of events (None: all); how many were read. Raises `BadInput` where they cannot be."""
        if self._state is None:
            self._state = RunState(recipe=files.plain_recipe(self.folder))
        before = self._events.offset
        try:
            came, asked = self._events.read(most), self._commands.read()
        except OSError as error:
            raise BadInput(f"its events cannot be read: {error.strerror}.") from error
        self._state = fold(self._state, came)
        self._answered = max((each.fact.command for each in came if isinstance(each.fact, ANSWERS)), default=self._answered)
        self._is_whole |= asks_whole(asked) or any(isinstance(each.fact, RunStarted) and each.fact.asked for each in came)
        self._asked = max((each.seq for each in asked if not isinstance(each.fact, HOLDS)), default=self._asked)
        self.asked |= {type(each.fact): each.fact for each in asked if not isinstance(each.fact, PASSING)}
        self.is_read = most is None or self._events.offset - before < most // 2
        return self._events.offset - before

    def told(self) -> LiveRun:
        """The run as far as it was read."""
        state, awake = self._state, is_held(self.folder)
        if state is None:
            return _unreadable(self.folder, "not read yet")
        waiting = self._asked > self._answered or (self._is_whole and not state.is_over)  # for its end, at the least
        worker = (read_lock(self.folder) or {}).get("worker") if awake else None
        since = None if state.started is None else f"{datetime.fromtimestamp(state.started, UTC):%Y-%m-%dT%H:%M:%SZ}"
        doing = state.doing or (state.interrupted or "" if not state.is_over else "")
        trains = doing == "Tune" and state.step is not None
        step, steps = (state.step.step, state.step.steps) if trains else (None, None)
        more = {"doing": doing, "step": step, "steps": steps, "waiting": waiting, "watched": is_watched(self.folder)}
        more["stopped"] = None if state.is_over else stopped_process(self.folder, state.worker)
        said = _in_words(state, awake, waiting) + (f"; process {more['stopped']} is stopped" if more["stopped"] else "")
        model, where = state.recipe.get("model"), str(self.folder)
        return LiveRun(self.folder.name, said, state.status, model, since, awake, worker, where, **more)


class RunList:
    """The newest runs under `where` (None: `home()`), read on at every look, a little at a time."""

    def __init__(self, where: Path | None = None):
        self._where = where
        self._followed: dict[str, Followed] = {}

    def look(self, besides: str = "") -> tuple[LiveRun, ...]:
        """The runs as they stand, newest first, but for the one named `besides`; some of them perhaps not read to the end yet."""
        folders = [folder for folder in files.list_runs(self._where)[: RECENT + 1] if folder.name != besides][:RECENT]
        self._followed = {folder.name: self._followed.get(folder.name) or Followed(folder) for folder in folders}
        left, found = AT_ONCE, []
        for one in self._followed.values():
            try:
                left -= one.read(left) if left > 0 else 0
                found.append(one.told())
            except BadInput as error:
                found.append(_unreadable(one.folder, str(error)))
                one.is_read = True
        return tuple(found)

    @property
    def followed(self) -> tuple[Followed, ...]:
        """The runs of the last look, each as far as it was read."""
        return tuple(self._followed.values())

    @property
    def is_read(self) -> bool:
        """Whether every run was read to the end at the last look."""
        return all(one.is_read for one in self._followed.values())


def listed(folder: Path) -> LiveRun:
    """One run, read to the end."""
    one = Followed(folder)
    try:
        one.read()
    except BadInput as error:
        return _unreadable(folder, str(error))
    return one.told()


def _unreadable(folder: Path, why: str) -> LiveRun:
    awake = is_held(folder)
    worker = (read_lock(folder) or {}).get("worker") if awake else None
    watched = is_watched(folder)
    return LiveRun(folder.name, why, "unreadable", None, None, awake, worker, str(folder), watched=watched)


def _in_words(state: RunState, awake: bool, waiting: bool) -> str:
    doing = state.doing
    if doing == "Tune" and state.step is not None:
        doing += f", step {state.step.step} of {state.step.steps}"
    match state.status:
        case "failed":
            return f"failed: {state.failure.reason}" if state.failure else "failed"
        case "finished" | "stopped":
            return state.status
        case "busy" if awake:
            return f"doing {doing}"
        case "paused" if awake:
            return f"paused in {doing}"
        case "busy" | "paused":
            return f"interrupted in {doing}"
    if waiting:
        return "about to begin" if awake else "left before it was done"
    return "nothing to do"
