"""Tests of engine/record/resident.py: what is held, at most and given back, on memory that a process takes for the purpose."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.record.resident import CLEAR

ROOT = Path(__file__).parents[3]
MB = 10**6


def told(*lines: str) -> list[int]:
    """The numbers that a fresh process prints: in one that has run for long, memory that was freed hides what is taken.

    `take(n)` gives so many bytes with something in every page. As a copy of other bytes they would be held twice for a moment.
    """
    code = (
        "from engine.record.resident import forget_peak, give_back, peak, resident",
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
