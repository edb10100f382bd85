"""Tests of engine/record/lock.py with real processes: one holder, whose death frees the run."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.record.lock import STALE, Viewers, beat, is_alive, is_watched, read_lock, release_lock, take_lock, watch

ROOT = Path(__file__).parents[3]
HOLD = "import sys; from engine.record.lock import take_lock\nprint(take_lock(sys.argv[1]), flush=True); sys.stdin.read()"


def holder(folder: Path) -> subprocess.Popen:
    """Another process that tries for the lock, says whether it got it, and lives until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process


def end(process: subprocess.Popen) -> None:
    """Let it go."""
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def test_a_run_has_one_holder(tmp_path):
    """Whoever comes second is told so, and the first one's claim stands."""
    assert read_lock(tmp_path) is None
    assert take_lock(tmp_path)
    mine = read_lock(tmp_path)
    assert mine["pid"] == os.getpid() and is_alive(mine)
    assert not take_lock(tmp_path)
    second = holder(tmp_path)
    assert second.stdout.readline() == "False\n"
    end(second)
    assert read_lock(tmp_path) == mine
    assert stat.S_IMODE((tmp_path / "lock.json").stat().st_mode) == 0o600


def test_of_many_that_come_at_once_one_gets_a_dead_ones_run(tmp_path):
    """All of them find the same dead claim."""
    (tmp_path / "lock.json").write_text(json.dumps({"pid": 1, "born": 0.0, "worker": None, "started": 0.0, "heartbeat": 0.0}))
    racing = [holder(tmp_path) for _ in range(4)]
    answers = [process.stdout.readline() for process in racing]
    for process in racing:
        end(process)
    assert sorted(answers) == ["False\n"] * 3 + ["True\n"]


def test_the_death_of_the_holder_frees_the_run(tmp_path):
    """Killed, it cannot release; its zombie, which nobody has waited for, holds nothing."""
    process = holder(tmp_path)
    assert process.stdout.readline() == "True\n"
    assert not take_lock(tmp_path)
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not is_alive(read_lock(tmp_path))
    assert take_lock(tmp_path)
    assert read_lock(tmp_path)["pid"] == os.getpid()
    end(process)


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


def test_a_beat_renews_the_holders_claim_and_adds_to_it(tmp_path):
    """The worker's number is known as soon as it is there."""
    take_lock(tmp_path)
    before = read_lock(tmp_path)
    beat(tmp_path, worker=123)
    after = read_lock(tmp_path)
    assert after["heartbeat"] >= before["heartbeat"] and after["worker"] == 123
    assert {**after, "heartbeat": 0, "worker": None} == {**before, "heartbeat": 0}


def test_nobody_beats_or_releases_what_another_one_holds(tmp_path):
    """A supervisor that was given up for dead and comes back finds that it holds nothing."""
    process = holder(tmp_path)
    assert process.stdout.readline() == "True\n"
    theirs = read_lock(tmp_path)
    beat(tmp_path, worker=123)
    release_lock(tmp_path)
    assert read_lock(tmp_path) == theirs
    end(process)


def test_a_released_run_is_free(tmp_path):
    """And releasing it again does nothing."""
    take_lock(tmp_path)
    release_lock(tmp_path)
    release_lock(tmp_path)
    beat(tmp_path)
    assert read_lock(tmp_path) is None


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
    beat(tmp_path)
    release_lock(tmp_path)
    assert place.exists()


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
    assert take_lock(tmp_path)
    real, now = psutil.boot_time(), time.time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: real - 86_400)
    monkeypatch.setattr(psutil, "boot_time", lambda: real - 86_400)
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    assert is_alive(read_lock(tmp_path))
    beat(tmp_path, worker=7)
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
