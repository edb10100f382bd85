"""Runs that are one recipe from start to end, as the command line makes them: all that is asked is there at once, and it is all
done or the run ends; imports no torch and carries nothing out.

What makes a run one is in its folder: the last line of what is asked is a `Finish` that is `whole`, and the event that began the
run tells how many lines that are. Whoever carries it out, the process that made it or a worker that takes it up later, has it end
in the same way.
"""

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from engine.record.bookmark_names import release
from engine.record.claim import Claim, take_lock
from engine.record.commands import Command, Finish, Pause, Resume, Step, Stop
from engine.record.disk import telling_full
from engine.record.errors import BadInput, shorten
from engine.record.exclusive import alone
from engine.record.folder import Writer, beginning, create, is_over, post, read_commands
from engine.record.lifecycle import CommandFinished, CommandRefused, CommandStopped, RunFailed, RunFinished, RunStopped
from engine.record.line import Stamped, Unreadable
from engine.record.recipe import Recipe
from engine.record.state import RunState

ANSWERS = (CommandFinished, CommandRefused, CommandStopped)


def begin(recipe: Recipe, folder: Path, commands: Sequence[Command]) -> Claim:
    """Make a run folder in which all of these commands are asked, held by this process; returns its claim.

    The recipe, without which a folder holds no run, comes last: whenever this process dies, all is asked or there is no run.
    Raises `BadInput` for a folder that holds a run already, that another process is just making one in, or that cannot be made.
    """
    taken: list[Claim] = []

    with ExitStack() as undo:

        def ask(folder: Path) -> None:
            # Before anything waits in it, or a page that looks would wake a worker for it.
            if (claim := take_lock(folder, worker=os.getpid())) is None:
                raise BadInput(f"folder {shorten(str(folder))} is held by another process; name another one.")
            taken.append(claim)
            undo.callback(claim.release)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".asking-") as beside:
                for command in commands:
                    post(Path(beside), command)
                os.replace(Path(beside) / "commands.jsonl", folder / "commands.jsonl")

        create(recipe, folder, ask)
        undo.pop_all()
    return taken[0]


def is_whole(folder: Path) -> bool:
    """Whether a run is one recipe."""
    return asked_at_once(folder) is not None


def asked_at_once(folder: Path) -> int | None:
    """How many commands a run has that is one recipe, by its record, else by what is there of them; None for any other run."""
    begun = beginning(folder)
    if begun is not None and begun.fact.asked is not None:
        return begun.fact.asked
    asked = read_commands(folder)
    return next((stamped.seq + 1 for stamped in asked if asks_whole((stamped,))), None)


def check_asked(folder: Path) -> None:
    """Raise `BadInput` where a run that is one recipe has lost commands: carried out without them it would never end, or as
    something else; and for any run whose commands are not in their places, by which the record names them. One that is there
    and damaged is refused in its turn."""
    lines = read_commands(folder)
    astray = next((each.fact for each in lines if isinstance(each.fact, Unreadable) and each.fact.astray), None)
    if astray is not None:
        raise BadInput(f"{astray.reason[:-1]}; start a new run.")
    asked = {stamped.seq: stamped.fact for stamped in lines}
    count = asked_at_once(folder) or 0
    lost = [line for line in range(count) if line not in asked]
    if not lost and count and not isinstance(asked[count - 1], Finish | Unreadable):
        lost = [count - 1]
    if lost:
        raise BadInput(f"line {lost[0] + 1} of commands.jsonl is gone, of {count} that the run began with; start a new run.")


def asks_whole(asked: Iterable[Stamped]) -> bool:
    """Whether that which makes a run one recipe is among what is asked."""
    return any(isinstance(stamped.fact, Finish) and stamped.fact.whole for stamped in asked)


def asks_stop(folder: Path) -> bool:
    """Whether the last thing that is asked of a run is to stop."""
    asked = read_commands(folder)
    return bool(asked) and isinstance(asked[-1].fact, Stop)


def end_of(answer: object) -> RunFailed | RunStopped | None:
    """How a run that is one recipe ends with this answer to one of its commands; None where it goes on."""
    match answer:
        case CommandRefused():
            return RunFailed(answer.reason, answer.field)
        case CommandStopped():
            return RunStopped()
    return None


def known_end(folder: Path, events: Sequence[Stamped]) -> RunFailed | RunStopped | RunFinished | None:
    """How a run ends that is not over and needs nothing to be done for it; None where there is something to do."""
    place = max((place for place, each in enumerate(events) if isinstance(each.fact, ANSWERS)), default=None)
    last, since = (None, ()) if place is None else (events[place].fact, events[place + 1 :])
    whole = is_whole(folder)
    if whole and (end := end_of(last)) is not None:  # all that died wanted to say
        return end
    if _is_end_damaged(folder, last, since):
        return RunFinished()
    try:
        check_asked(folder)
    except BadInput as error:
        return RunFailed(f"The run cannot go on: {error}")
    return None


def _is_end_damaged(folder: Path, last: Any, since: Sequence[Stamped]) -> bool:
    """Whether nothing but the end was left to tell after `last`, the last answer, and a line that was told `since` is damaged."""
    if not any(isinstance(each.fact, Unreadable) and each.fact.damaged for each in since):
        return False
    asked = [each.fact for each in read_commands(folder) if each.seq > last.command]
    left = [fact for fact in asked if not isinstance(fact, Pause | Resume | Step)]
    return bool(left) and isinstance(left[0], Finish) and not any(isinstance(fact, Stop) for fact in left)


def stop_asleep(folder: Path, state: RunState) -> bool:
    """End such a run where no process carries it out, as stopped; False where one does by now. `state` is how it stands: what
    was trained since its last checkpoint goes. Raises `Unwritten` where the disk takes no more, and `BadInput` where a worker has
    not ended."""
    with telling_full("The end of the run"):
        if (claim := take_lock(folder)) is None:
            return False
    try:
        # A worker whose supervisor was killed has a second left to write in.
        with alone(folder / "worker.lock", partial(_refuse, folder)):
            if is_over(folder):
                return True
            with telling_full("The end of the run"), closing(Writer(folder / "events.jsonl")) as log:
                if state.doing_line is not None:
                    log.append(CommandStopped(state.doing_line, state.doing))
                log.append(RunStopped())
        release(folder)
        return True
    finally:
        claim.release()


def _refuse(folder: Path) -> None:
    raise BadInput(f"run {folder.name!r} cannot be ended yet: a worker of it still lives; try it again, or end that one.")
