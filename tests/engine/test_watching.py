"""Tests of engine/watching.py: of a run in this process it is written down what each command held, beside what was expected."""

import pytest

from engine.record.client import open_run
from engine.record.lifecycle import MemorySampled
from engine.record.resident import CLEAR
from engine.session import run


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux tells the most that a process held")
def test_a_run_of_the_command_line_tells_what_its_commands_held(recipe, tmp_path):
    """As a worker does; without a folder there is nobody to tell, and two runs have the same events."""
    list(run(recipe, tmp_path / "run"))
    room = open_run(tmp_path / "run").room
    assert {"Load", "Score", "Prune", "Tune"} <= room.peaks.keys() and room.estimates.keys() >= {"Load", "Score", "Prune", "Tune"}
    assert all(peak > 0 for peak in room.peaks.values())
    assert not [event for event in run(recipe) if isinstance(event, MemorySampled)]
