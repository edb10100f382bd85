"""Tests of engine/inbox.py: which hold is for what, and what is left of holds that another process may have heard."""

import pytest

from engine.inbox import Inbox
from engine.record import commands as ask
from engine.record.folder import post

UNDO = ask.Undo()
PAUSE, RESUME, STEP, STOP = ask.Pause(), ask.Resume(), ask.Step(), ask.Stop()


def inbox(folder, *commands: ask.Command, **how) -> Inbox:
    """One that has looked at what was posted."""
    for command in commands:
        post(folder, command)
    box = Inbox(folder=folder, **how)
    box.look()
    return box


def holds(box: Inbox, line: int) -> list[ask.Command]:
    """Those that are for the command of that line."""
    return list(iter(lambda: box.hold(line), None))


def test_a_hold_is_for_the_command_that_was_posted_before_it(tmp_path):
    """One that was posted earlier was meant for something else."""
    assert holds(inbox(tmp_path, UNDO, PAUSE, UNDO, STEP, RESUME), 2) == [STEP, RESUME]


def test_a_stop_drops_what_waited_when_it_was_posted(tmp_path):
    """What is posted after it is begun."""
    box = inbox(tmp_path, UNDO, UNDO, STOP, UNDO)
    assert [stamped.seq for stamped in box.dropped] == [0, 1] and box.next().seq == 3 and box.next() is None


@pytest.mark.parametrize(
    ("posted", "left"),
    [
        ((PAUSE,), [PAUSE]),
        ((PAUSE, RESUME), []),
        ((PAUSE, STEP, STEP), [PAUSE]),
        ((PAUSE, STEP, RESUME, PAUSE), [PAUSE]),
        ((PAUSE, RESUME, RESUME, STEP), []),
        ((PAUSE, STOP), [STOP]),
        ((STOP, PAUSE, PAUSE), [STOP, PAUSE]),
    ],
)
def test_who_takes_a_command_up_again_hears_what_the_holds_came_to(posted, left, tmp_path):
    """The process before may have told of each, and made the steps; a run that was held is held again, to be gone on with."""
    assert holds(inbox(tmp_path, UNDO, *posted, begun={0}), 0) == left


def test_holds_that_are_posted_later_are_all_heard(tmp_path):
    """Only what was there when it took the command up may have been heard before."""
    box = inbox(tmp_path, UNDO, PAUSE, STEP, begun={0})
    for command in (STEP, RESUME):
        post(tmp_path, command)
    box.look()
    assert holds(box, 0) == [PAUSE, STEP, RESUME]


def test_a_stop_leaves_what_was_begun_to_be_stopped_in_order(tmp_path):
    """A recovery has steps to keep; what was not begun is dropped, and what is answered is not there any more."""
    box = inbox(tmp_path, UNDO, UNDO, UNDO, STOP, done=1, begun={0, 1})
    assert [stamped.seq for stamped in box.dropped] == [2]
    assert box.next().seq == 1 and box.is_taken_up(1) and holds(box, 1) == [STOP] and box.next() is None


def test_a_pause_lasts_until_it_is_ended_for_all_that_was_asked_before_it(tmp_path):
    """One command after another is stepped through; what is asked after the pause begins by itself."""
    box = inbox(tmp_path, UNDO, UNDO, PAUSE, STEP, UNDO)
    assert holds(box, 0) == [PAUSE, STEP]
    assert box.is_held(1) and not box.is_held(4)
    post(tmp_path, RESUME)
    box.look()
    assert holds(box, 1) == [RESUME] and not box.is_held(1)
