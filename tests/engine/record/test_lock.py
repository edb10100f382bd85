"""Tests of engine/record/lock.py: which lock.json names a living process, and whose mark is that of a viewer."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from engine.record.claim import take_lock
from engine.record.lock import STALE, Viewers, is_alive, is_watched, read_lock, stopped_process, watch


def test_a_process_id_that_was_given_away_holds_nothing(tmp_path):
    """The process of that number was born at another time than the holder."""
    assert take_lock(tmp_path)
    claim = read_lock(tmp_path) | {"born": 3600.0 + read_lock(tmp_path)["born"]}
    (tmp_path / "lock.json").write_text(json.dumps(claim))
    assert not is_alive(claim)
    assert take_lock(tmp_path)


def test_a_holder_that_may_not_be_looked_at_holds_the_run(tmp_path, monkeypatch):
    """As where the system hides the processes of others: nobody takes the run from it, and nobody fails."""
    assert take_lock(tmp_path)

    def hidden(process: psutil.Process) -> float:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "create_time", hidden)
    assert is_alive(read_lock(tmp_path)) and not take_lock(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"pid": 1}'])
def test_a_lock_that_cannot_be_read_is_held_by_nobody(tmp_path, text):
    """A machine that lost its power leaves such files."""
    (tmp_path / "lock.json").write_text(text)
    assert not is_alive(read_lock(tmp_path))
    assert take_lock(tmp_path)


WRONG = [
    {"pid": "x"}, {"pid": 1.5e3}, {"pid": True}, {"pid": None}, {"pid": 10**30}, {"pid": -5}, {"born": "a"}, {"born": None},
    {"worker": "x"}, {"worker": [1]}, {"started": "now"}, {"heartbeat": {}},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_lock_that_says_what_no_lock_does_is_nobodys(wrong, tmp_path):
    """Numbers of the wrong kind, or words in their place: the run can be had."""
    assert take_lock(tmp_path)
    (tmp_path / "lock.json").write_text(json.dumps(read_lock(tmp_path) | wrong))
    assert not is_alive(read_lock(tmp_path))
    assert take_lock(tmp_path) and is_alive(read_lock(tmp_path))


@pytest.mark.parametrize("what", ["folder", "deep", "bytes"])
def test_a_lock_that_cannot_be_read_is_nobodys(what, tmp_path):
    """A folder of that name, JSON that has no end, no text."""
    place = tmp_path / "lock.json"
    place.mkdir() if what == "folder" else place.write_bytes({"deep": b"[" * 100_000, "bytes": b"\xff"}[what])
    assert not is_alive(read_lock(tmp_path))
    assert place.exists()


def test_another_process_that_trains_along_and_was_stopped_is_who_a_run_waits_for(tmp_path):
    """Its holder waits for it and says nothing; one that goes on, or has ended, holds nobody up."""
    waits = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(waits) as one, subprocess.Popen(waits) as other:
        claim = take_lock(tmp_path, others=[one.pid, other.pid])
        assert stopped_process(tmp_path) is None
        other.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, other.pid, os.WSTOPPED)
        assert stopped_process(tmp_path) == other.pid
        one.kill()
        one.wait()
        assert stopped_process(tmp_path) == other.pid
        other.kill()
        other.wait()
        assert stopped_process(tmp_path) is None
        claim.release()


def test_a_viewer_is_seen_for_half_a_minute(tmp_path):
    """One mark that is fresh is enough; old ones count no more."""
    assert not is_watched(tmp_path)
    watch(tmp_path, "one")
    watch(tmp_path, "other")
    assert is_watched(tmp_path)
    old = time.time() - STALE - 1
    os.utime(tmp_path / "viewers" / "one", (old, old))
    assert is_watched(tmp_path)
    os.utime(tmp_path / "viewers" / "other", (old, old))
    assert not is_watched(tmp_path)
    watch(tmp_path, "one")
    assert is_watched(tmp_path)


def test_a_run_on_a_disk_that_takes_no_more_can_be_looked_at(tmp_path):
    """There is a file where the marks would be: nobody hears of the viewer, and nothing fails."""
    (tmp_path / "viewers").write_text("")
    watch(tmp_path, "page")
    assert not is_watched(tmp_path)


def test_a_clock_that_is_set_leaves_the_holder_alive(tmp_path, monkeypatch):
    """What the system says of the time of its start moves with the clock, here by a day; the holder is the same process."""
    claim = take_lock(tmp_path)
    real, now = psutil.boot_time(), time.time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: real - 86_400)
    monkeypatch.setattr(psutil, "boot_time", lambda: real - 86_400)
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    assert is_alive(read_lock(tmp_path))
    claim.beat(worker=7)
    assert read_lock(tmp_path)["worker"] == 7 and not take_lock(tmp_path)


def test_a_lock_of_before_the_machine_was_started_again_is_nobodys(tmp_path):
    """A process with the same number may begin as many seconds after the start; a lock without a word of it is an older one's."""
    assert take_lock(tmp_path)
    claim = read_lock(tmp_path)
    assert is_alive(claim) and not is_alive(claim | {"boot": "another"})
    del claim["boot"]
    assert is_alive(claim | {"born": psutil.Process().create_time()}) and not is_alive(claim)


def test_viewers_are_counted_by_a_clock_that_nobody_sets(tmp_path, monkeypatch):
    """The machine sleeps for a night: the page is there still. The clock is set back, and the page is closed: it is gone after
    half a minute, although its mark is from the future."""
    clock, wall = [1000.0], [time.time()]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    viewers = Viewers(tmp_path, clock=lambda: clock[0])
    assert not viewers.any()
    watch(tmp_path, "page")
    assert viewers.any()
    wall[0] += 30_000  # asleep: the other clock stood still
    assert viewers.any()
    clock[0] += STALE - 1
    assert viewers.any()
    clock[0] += 2
    assert not viewers.any()
    os.utime(tmp_path / "viewers" / "page", (wall[0], wall[0]))
    assert viewers.any()
    wall[0] -= 3600
    clock[0] += STALE + 1
    assert not viewers.any()
    assert not is_watched(tmp_path), "nor for who looks for the first time"
    os.utime(tmp_path / "viewers" / "page", (wall[0], wall[0]))
    assert viewers.any()
