"""Tests of engine/record/by_name.py: what `runs` lists can be stopped, gone on with and deleted, whichever it is."""

import io
import json
import sys

import pytest

from engine.__main__ import main
from engine.record.by_name import folder_of
from engine.record.claim import is_held
from engine.record.detached import start_apart
from engine.record.errors import BadInput
from engine.record.live import live_sweeps
from engine.record.running_sweeps import reaped
from engine.record.sweep import Sweep
from engine.record.sweep_folder import begin
from tests.engine.record.test_running_sweeps import until

ASKED = Sweep({}, {"neurons.level": [0, 0.3]})
HOLDS = "import sys, time; from engine.record.claim import take_lock; claim = take_lock(sys.argv[1]); time.sleep(60)"


@pytest.mark.parametrize("by", ["name", "folder"])
@pytest.mark.parametrize("where", ["alone", "experiment/sweep"])
def test_a_sweep_that_is_listed_is_stopped_and_deleted(home, capsys, monkeypatch, where, by):
    """By the name in the list, that of an experiment's sweep too, and by its folder; not deleted while a process has it."""
    folder = begin(ASKED, home / "runs" / where)
    (told,) = live_sweeps()
    assert told.name == where
    name = getattr(told, by)
    process = reaped(start_apart(["-c", HOLDS, str(folder)], folder / "worker.log", "The log"))
    until(lambda: is_held(folder))
    assert main(["runs", "--resume", name]) == 2 and "goes on already" in capsys.readouterr().err
    assert main(["runs", "--discard", name, "--yes"]) == 2 and "is held by a process" in capsys.readouterr().err
    assert main(["runs", "--stop", name, "--json"]) == 0 and process.wait(30)
    assert "was told to stop" in json.loads(capsys.readouterr().out)["said"]
    assert main(["runs", "--stop", name]) == 2 and "is doing nothing" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["runs", "--discard", name]) == 0 and not folder.exists()


def test_a_name_that_is_neither_is_refused(home):
    """Also one that goes up, and none at all."""
    for name in ("nowhere", "../elsewhere", ""):
        with pytest.raises(BadInput, match="is not in"):
            folder_of(name)
