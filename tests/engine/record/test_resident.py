"""Tests of engine/record/resident.py: what is held, at most and given back, on memory that the test itself takes."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.record.resident import CLEAR, forget_peak, peak, resident

ROOT = Path(__file__).parents[3]
MB = 10**6


def written(size: int) -> bytearray:
    """So many bytes with something in every page: as a copy of other bytes it would hold them twice for a moment, and the C
    library may keep the first."""
    block = bytearray(size)
    block[::1024] = b"x" * len(block[::1024])
    return block


def test_what_is_taken_is_held():
    """Fifty megabytes that were written to."""
    before = resident()
    block = written(50 * MB)
    assert 45 * MB < resident() - before < 70 * MB and len(block) == 50 * MB


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux tells the most that a process held")
def test_the_peak_outlasts_what_was_held_and_can_be_forgotten():
    """It is that of the time since it was forgotten."""
    forget_peak()
    before = peak()
    block = written(50 * MB)
    del block
    assert 45 * MB < peak() - before < 70 * MB
    forget_peak()
    assert abs(peak() - resident()) < 20 * MB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only the C library of Linux is known to hold back")
def test_what_was_freed_goes_back_to_the_system():
    """A hundred megabytes in small pieces, freed under one that stays: the C library keeps them until it is told not to."""
    code = (
        "from engine.record.resident import give_back, resident\\n"
        "small = [bytes(600) for _ in range(150_000)]; last = bytes(600); before = resident()\\n"
        "del small; give_back(); print(before - resident())"
    ).replace("\\n", "\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert int(done.stdout) > 60 * MB, done.stderr
