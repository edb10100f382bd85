"""Tests of engine/record/exclusive.py with real processes: one at a time, and a dead holder holds nothing."""

import subprocess
import sys
import time
from pathlib import Path

from engine.record.exclusive import alone, left_behind

ROOT = Path(__file__).parents[3]
HOLD = (
    "import sys; from pathlib import Path; from engine.record.exclusive import alone\n"
    "with alone(Path(sys.argv[1])) as held: print(held, flush=True); sys.stdin.read()"
)


def holder(path: Path) -> subprocess.Popen:
    """Another process that is alone with a path until its input ends."""
    asked = [sys.executable, "-c", HOLD, str(path)]
    return subprocess.Popen(asked, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_whoever_comes_second_waits(tmp_path):
    """The second process says that it is in only once the first has gone."""
    first = holder(tmp_path / "deep" / "lock")
    assert first.stdout.readline() == "True\n"
    second = holder(tmp_path / "deep" / "lock")
    time.sleep(0.5)
    at = time.monotonic()
    first.communicate("", timeout=60)
    assert second.stdout.readline() == "True\n" and time.monotonic() - at < 10
    second.communicate("", timeout=60)


def test_a_wait_that_takes_long_is_told_once(tmp_path, monkeypatch):
    """And goes on until the first has gone, which it does here when it hears of that."""
    monkeypatch.setattr("engine.record.exclusive.PATIENCE", 0.2)
    first, told = holder(tmp_path / "lock"), []
    assert first.stdout.readline() == "True\n"
    with alone(tmp_path / "lock", lambda: told.append(first.communicate("", timeout=60))) as held:
        assert held and len(told) == 1
    with alone(tmp_path / "lock", lambda: told.append("again")):
        assert len(told) == 1


def test_a_holder_that_was_killed_holds_nothing(tmp_path):
    """The lock belongs to the process, not to the file that it leaves."""
    first = holder(tmp_path / "lock")
    assert first.stdout.readline() == "True\n"
    first.kill()
    first.communicate(timeout=60)
    with alone(tmp_path / "lock") as held:
        assert held


def test_what_its_holder_has_left_behind_is_had_by_one_at_a_time(tmp_path):
    """However it went; what was never held was not left behind."""

    def is_free() -> bool:
        with left_behind(tmp_path / "lock") as ours:
            return ours

    assert not is_free()
    first = holder(tmp_path / "lock")
    assert first.stdout.readline() == "True\n" and not is_free()
    first.kill()
    first.communicate(timeout=60)
    with left_behind(tmp_path / "lock") as ours:
        assert ours and not is_free()
    assert is_free()


def test_where_no_file_can_be_made_nobody_is_kept_out(tmp_path):
    """The place of the folder is taken by a file."""
    (tmp_path / "deep").touch()
    with alone(tmp_path / "deep" / "lock") as held:
        assert not held
