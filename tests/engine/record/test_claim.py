"""Tests of engine/record/claim.py with real processes: one holder, whose death frees the run, whatever becomes of lock.json."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.record import claim as claims
from engine.record.claim import claimed, is_held, take_lock
from engine.record.errors import BadInput
from engine.record.lock import is_alive, read_lock

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from engine.record.claim import take_lock
claim = take_lock(sys.argv[1])
print(claim is not None, flush=True)
for _ in sys.stdin:
    print(claim.beat(), flush=True)
"""
ASK = """
import sys
from engine.record.claim import _is_locked
print(flush=True)
while True:
    _is_locked(sys.argv[1])
"""


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


def test_a_beat_renews_the_holders_claim_and_adds_to_it(tmp_path):
    """The worker's number is known as soon as it is there."""
    claim = take_lock(tmp_path)
    before = read_lock(tmp_path)
    claim.beat(worker=123)
    after = read_lock(tmp_path)
    assert after["heartbeat"] >= before["heartbeat"] and after["worker"] == 123
    assert {**after, "heartbeat": 0, "worker": None} == {**before, "heartbeat": 0}


def test_a_released_run_is_free(tmp_path):
    """And releasing it again does nothing."""
    claim = take_lock(tmp_path)
    assert is_held(tmp_path)
    claim.release()
    claim.release()
    claim.beat(worker=123)
    assert read_lock(tmp_path) is None and not is_held(tmp_path) and take_lock(tmp_path)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda lock: lock.write_text("garbage")], ids=["deleted", "garbage"])
def test_a_run_stays_its_holders_whatever_becomes_of_lock_json(tmp_path, spoil):
    """Nobody else comes in, whoever asks hears that it is held, and the holder's next beat writes the file anew."""
    process = holder(tmp_path)
    assert process.stdout.readline() == "True\n"
    before = read_lock(tmp_path)
    spoil(tmp_path / "lock.json")
    assert is_held(tmp_path) and not take_lock(tmp_path)
    time.sleep(claims.BEAT)
    process.stdin.write("beat\n")
    process.stdin.flush()
    assert process.stdout.readline() == "None\n"
    assert {**read_lock(tmp_path), "heartbeat": 0} == {**before, "heartbeat": 0}
    end(process)
    assert not is_held(tmp_path)


def test_a_claim_that_nobody_keeps_still_has_its_name_until_its_process_ends(tmp_path):
    """Another program may hold no lock on the folder, such as an older version: that it lives is enough."""
    assert take_lock(tmp_path)
    assert is_held(tmp_path) and not take_lock(tmp_path)
    (tmp_path / "lock.json").unlink()
    assert not is_held(tmp_path)


def test_on_a_file_system_without_locks_lock_json_alone_tells(tmp_path, monkeypatch):
    """And a holder whose file another one has by now leaves that alone."""

    def none(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", none)
    claim = take_lock(tmp_path)
    assert claim and is_held(tmp_path) and not take_lock(tmp_path)
    theirs = read_lock(tmp_path) | {"pid": os.getppid()}
    (tmp_path / "lock.json").write_text(json.dumps(theirs))
    claim.beat(worker=123)
    claim.release()
    assert read_lock(tmp_path) == theirs


def test_whoever_asks_at_the_same_moment_is_in_nobodys_way(tmp_path):
    """A question takes the lock for a moment: who wants to hold the run waits for that."""
    asking = [subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    for each in asking:
        each.stdout.readline()
    for _ in range(200):
        claim = take_lock(tmp_path)
        assert claim
        claim.release()
    for each in asking:
        each.kill()
        each.communicate()


def test_a_folder_is_claimed_while_something_lasts(tmp_path):
    """Another one is told who has it; one that cannot be made is refused."""
    with claimed(tmp_path / "deep" / "down"), pytest.raises(BadInput, match=f"in use by process {os.getpid()}; wait"):
        with claimed(tmp_path / "deep" / "down"):
            pass
    assert not is_held(tmp_path / "deep" / "down")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be made"), claimed(tmp_path / "file" / "in"):
        pass
