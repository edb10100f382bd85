"""Tests of engine/watching.py: of a run in this process it is written down what each command held, beside what was expected."""

import psutil
import pytest
import torch

from engine.record.client import open_run
from engine.record.lifecycle import MemorySampled
from engine.record.memory import CLEAR, available
from engine.session import run
from engine.watching import free_on, in_use


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux tells the most that a process held")
def test_a_run_of_the_command_line_tells_what_its_commands_held(recipe, tmp_path):
    """As a worker does; without a folder there is nobody to tell, and two runs have the same events."""
    list(run(recipe, tmp_path / "run"))
    room = open_run(tmp_path / "run").room
    assert {"Load", "Score", "Prune", "Tune"} <= room.peaks.keys() and room.estimates.keys() >= {"Load", "Score", "Prune", "Tune"}
    assert all(peak > 0 for peak in room.peaks.values())
    assert not [event for event in run(recipe) if isinstance(event, MemorySampled)]


def test_a_sample_tells_the_nearest_limit():
    """Which is the machine's total or less, and is not in use as a whole; without an accelerator there is none in it."""
    sample = in_use()
    assert 0 < sample.process < sample.system < sample.system_total <= psutil.virtual_memory().total
    assert (sample.accelerator, sample.accelerator_total) == (None, None)


def test_what_is_free_on_the_cpu_is_what_the_process_may_take():
    """Of an accelerator other than those of CUDA the machine's memory is all that is known."""
    for device in ("cpu", "meta"):
        assert free_on(torch.device(device)) == pytest.approx(available(), rel=0.1)
