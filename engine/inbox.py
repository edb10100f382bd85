"""What has been asked of a run and not begun, holds apart from the commands that wait their turn; carries nothing out.

A hold is a pause, its end, a step or a stop: it is for what is being done when it is posted.
"""

from collections import deque
from collections.abc import Collection, Iterable
from pathlib import Path

from engine.record import commands as ask
from engine.record.folder import Tail
from engine.record.line import Stamped
from engine.record.whole_runs import asks_whole, is_whole


class Inbox:
    """What has been asked and not begun: holds (pause, resume, step, stop) apart from the commands that wait their turn.

    `whole` says that the run is one recipe, `lasts` that it can be gone on with by another process. Where an earlier process has
    seen to the first lines, `done` of them, and has `begun` the commands of some, it may have heard what was posted since.
    """

    def __init__(
        self,
        commands: Iterable[ask.Command] = (),
        folder: Path | None = None,
        done: int = 0,
        begun: Collection[int] = (),
    ):
        self._tail = Tail(folder / "commands.jsonl") if folder else None
        self._done, self._begun, self._again = done, frozenset(begun), bool(begun)
        self._paused: int | None = None  # the line of the pause that was heard last and that nothing has ended
        self.waiting: deque[Stamped] = deque(Stamped(line, 0.0, command) for line, command in enumerate(commands))
        self.holds: deque[Stamped] = deque()
        self.dropped: deque[Stamped] = deque()
        self.whole, self.lasts = is_whole(folder) if folder else asks_whole(self.waiting), folder is not None
        self.in_hand: ask.Command | None = None  # what was begun last

    def look(self) -> None:
        """Take in what has been posted since the last look. A Stop drops all that waited when it was posted, but for what an
        earlier process had begun: that is stopped in order, with what was learnt in it."""
        asked = self._tail.read() if self._tail else ()
        self.whole = self.whole or asks_whole(asked)
        for stamped in asked:
            if stamped.seq < self._done:
                continue
            if isinstance(stamped.fact, ask.Stop):
                self.dropped.extend(each for each in self.waiting if not self.is_taken_up(each.seq))
                self.waiting = deque(each for each in self.waiting if self.is_taken_up(each.seq))
            (self.holds if isinstance(stamped.fact, ask.HOLDS) else self.waiting).append(stamped)
        if self._again:
            self._again, self.holds = False, _settled(self.holds)

    def next(self) -> Stamped | None:
        """The next command to begin; of previews in a row only the last, since nobody waits for the others any more."""
        self.look()
        while len(self.waiting) > 1 and all(isinstance(self.waiting[place].fact, ask.Preview) for place in (0, 1)):
            self.waiting.popleft()
        return self.waiting.popleft() if self.waiting else None

    def hold(self, line: int) -> ask.Command | None:
        """The next hold that was posted after the command of `line`; older ones were meant for something else."""
        while self.holds:
            stamped = self.holds.popleft()
            if stamped.seq > line:
                if not isinstance(stamped.fact, ask.Step):
                    self._paused = stamped.seq if isinstance(stamped.fact, ask.Pause) else None
                return stamped.fact
        return None

    def is_held(self, line: int) -> bool:
        """Whether the command of `line` is to begin held: it was asked for before a pause that nothing has ended, and that a
        command before it was stepped through."""
        return self._paused is not None and self._paused > line

    def is_taken_up(self, line: int) -> bool:
        """Whether an earlier process has begun the command of that line."""
        return line in self._begun


def _settled(holds: Iterable[Stamped]) -> deque[Stamped]:
    """What holds come to: stops, and a pause that nothing has ended. Steps are none to be made again."""
    left: deque[Stamped] = deque()
    for stamped in holds:
        if not isinstance(stamped.fact, ask.Step) and left and isinstance(left[-1].fact, ask.Pause):
            left.pop()
        if isinstance(stamped.fact, ask.Pause | ask.Stop):
            left.append(stamped)
    return left
