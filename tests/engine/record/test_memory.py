"""Tests of engine/record/memory.py: what is held, at most and given back, on memory that a process takes for the purpose."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.record.memory import CLEAR, Bound, available, bound, kills

ROOT = Path(__file__).parents[3]
MB = 10**6


def told(*lines: str) -> list[int]:
    """The numbers that a fresh process prints: in one that has run for long, memory that was freed hides what is taken.

    `take(n)` gives so many bytes with something in every page. As a copy of other bytes they would be held twice for a moment.
    """
    code = (
        "from engine.record.memory import forget_peak, give_back, peak, resident",
        "def take(size):",
        "    block = bytearray(size)",
        "    block[::1024] = b'x' * len(block[::1024])",
        "    return block",
        *lines,
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [int(each) for each in done.stdout.split()]


def test_what_is_taken_is_held():
    """Fifty megabytes that were written to."""
    (held,) = told("before = resident()", f"block = take({50 * MB})", "print(resident() - before)")
    assert 45 * MB < held < 70 * MB


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux tells the most that a process held")
def test_the_peak_outlasts_what_was_held_and_can_be_forgotten():
    """It is that of the time since it was forgotten."""
    taken = (f"block = take({50 * MB})", "del block")
    most, left = told(
        "forget_peak()", "before = peak()", *taken, "print(peak() - before)", "forget_peak()", "print(peak() - resident())"
    )
    assert 45 * MB < most < 70 * MB
    assert abs(left) < 20 * MB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only the C library of Linux is known to hold back")
def test_what_was_freed_goes_back_to_the_system():
    """A hundred megabytes in small pieces, freed under one that stays: the C library keeps them until it is told not to."""
    (given,) = told(
        "small = [bytes(600) for _ in range(150_000)]; last = bytes(600); before = resident()",
        "del small; give_back(); print(before - resident())",
    )
    assert given > 60 * MB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only the C library of Linux is told how to hold what is freed")
def test_what_is_freed_again_and_again_has_its_pages_anew_or_keeps_them():
    """Twenty times four megabytes: held steady each time has a thousand new pages, and kept they are there."""
    again = (
        "import resource",
        f"take({4 * MB})",
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt",
        "for _ in range(20):",
        f"    take({4 * MB})",
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)",
    )
    (anew,) = told("from engine.record.memory import hold_steady; hold_steady()", *again)
    (kept,) = told("from engine.record.memory import keep_freed; keep_freed()", *again)
    (again_anew,) = told("from engine.record.memory import hold_steady, keep_freed; keep_freed(); hold_steady()", *again)
    assert anew > 15_000 and kept < 2_000 and again_anew > 15_000


COUNTED = "low 0\noom 5\noom_kill {}\n"


@pytest.mark.parametrize(
    ("groups", "files", "count"),
    [
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.events": 3, "sys/fs/cgroup/a/memory.events": 4, "proc/vmstat": 9}, 3),
        ("0::/a/b\n", {"sys/fs/cgroup/a/memory.events": 4, "proc/vmstat": 9}, 4),  # the one above counts for it
        ("9:cpu:/a\n4:memory:/b\n0::/\n", {"sys/fs/cgroup/memory/b/memory.oom_control": 2, "proc/vmstat": 9}, 2),
        ("4:memory:/docker/x\n", {"sys/fs/cgroup/memory/memory.oom_control": 1}, 1),  # its own is mounted as the top
        ("0::/\n", {"proc/vmstat": 9}, 9),
        (None, {"proc/vmstat": 9}, 9),
        ("0::/\n", {}, None),
    ],
)
def test_what_the_system_killed_for_memory_is_counted_where_it_counts(groups, files, count, tmp_path):
    """In the process's own control group, of either version, or the nearest above it; else on the whole machine."""
    told = {name: COUNTED.format(number) for name, number in files.items()} | ({"proc/self/cgroup": groups} if groups else {})
    for name, text in told.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert kills(tmp_path) == count


STATS = {True: "total_active_file 20\ntotal_inactive_file 10\nactive_file 0\n", False: "active_file 20\ninactive_file 10\n"}


@pytest.mark.parametrize(
    ("groups", "limits", "found"),
    [
        ("0::/a/b\n", {"sys/fs/cgroup/a/b": ("1000", "430")}, Bound(400, 1000, True)),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b": ("1000", "430"), "sys/fs/cgroup/a": ("700", "630")}, Bound(600, 700, True)),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b": ("max", "430"), "sys/fs/cgroup/a": ("800", "830")}, Bound(800, 800, True)),
        ("0::/\n", {"sys/fs/cgroup": ("1000", "10")}, Bound(0, 1000, True)),  # a container has its own group as the top
        ("0::/a/b\n", {"sys/fs/cgroup/a/b": ("max", "430")}, None),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b": (str(10**18), "430")}, None),  # more than there is bounds nothing
        ("4:memory:/docker/x\n0::/\n", {"sys/fs/cgroup/memory": ("1000", "430")}, Bound(400, 1000, True)),
        ("4:memory:/b\n", {"sys/fs/cgroup/memory/b": ("9223372036854771712", "430")}, None),
        (None, {}, None),
    ],
)
def test_the_nearest_limit_bounds_what_may_be_taken(groups, limits, found, tmp_path):
    """That of the control group or one above it, in either version, or what the machine has left; files at hand do not count."""
    told = {"proc/self/cgroup": groups} if groups else {}
    for folder, (most, now) in limits.items():
        first = "memory" in folder
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if first else ("memory.max", "memory.current")
        told |= {f"{folder}/{names[0]}": most, f"{folder}/{names[1]}": now, f"{folder}/memory.stat": STATS[first]}
    for name, text in told.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    bounds = bound(tmp_path)
    if found is None:
        assert not bounds.grouped and bounds.total == psutil.virtual_memory().total
    else:
        assert bounds == found and bounds.left == found.total - found.used


def test_what_may_be_taken_is_no_more_than_the_machine_has():
    """Of this very system: something, whichever bounds it."""
    assert 0 < available() <= psutil.virtual_memory().total and bound().used > 0


@pytest.mark.skipif(not Path("/proc/vmstat").exists(), reason="only Linux counts them")
def test_this_system_counts():
    """A number that never falls."""
    assert 0 <= kills() <= kills()
