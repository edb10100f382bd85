"""Tests of engine/sweeps/sweeping.py: a sweep is written down, stops where it is told to, and goes on where it was left."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine import Sweep, open_sweep, sweep
from engine.__main__ import main
from engine.record.cells import SweepCellDone, SweepStarted
from engine.record.errors import BadInput
from engine.record.folder import create, read_events
from engine.record.lifecycle import RunFailed, RunFinished, RunStopped
from engine.record.sweep_folder import is_sweep

ROOT = Path(__file__).parents[3]


@pytest.fixture
def asked(recipe) -> Sweep:
    """Nine cells on the tiny model."""
    plain = recipe.model_dump(mode="json", exclude_unset=True) | {"heads": {"level": 0}}
    return Sweep(plain, {"neurons.blocks.0": [0, 0.25, 0.5], "neurons.blocks.2": [0, 0.5, 1]})


@pytest.fixture
def terminated():
    """What sends this process SIGTERM once something is so; afterwards the signal means what it meant."""
    meant, threads = signal.getsignal(signal.SIGTERM), []

    def wait(until):
        def watch():
            while not until():
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)

        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    yield wait
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGTERM, meant)


def cells(events) -> list[SweepCellDone]:
    """What came of the cells, in the order in which they were done."""
    return [event for event in events if isinstance(event, SweepCellDone)]


def numbers(folder) -> list[int]:
    """The cells of which the folder tells, as often as it does."""
    return [cell.number for cell in cells(stamped.fact for stamped in read_events(folder))]


def test_a_sweep_tells_of_every_cell_and_the_folder_has_it_all(asked, tmp_path, capsys):
    """The same numbers with a folder and without; `show` prints them for programs and for people."""
    events = list(sweep(asked, tmp_path / "sweep", memory=10**7))
    assert isinstance(events[0], SweepStarted) and (events[0].cells, events[0].memory) == (9, 10**7)
    assert isinstance(events[-1], RunFinished) and sorted(cell.number for cell in cells(events)) == list(range(9))
    assert all(cell.kept <= 10**7 for cell in cells(events))
    assert [cell.perplexity for cell in cells(sweep(asked))] == [cell.perplexity for cell in cells(events)]
    assert main(["show", str(tmp_path / "sweep"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "finished" and told["axes"] == asked.axes
    by_number = {cell.number: cell for cell in cells(events)}
    for number, cell in enumerate(told["cells"]):
        assert set(cell) >= {"set", "seed", "status", "perplexity", "parameters", "seconds", "error"}
        assert (cell["set"], cell["seed"], cell["status"]) == (dict(asked.cells[number].set), 0, "done")
        assert cell["perplexity"] == by_number[number].perplexity and cell["error"] is None
    assert main(["show", str(tmp_path / "sweep")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "finished: 9 of 9 cells, mode measure" and len(lines) == 2 + 9


def test_a_sweep_that_was_stopped_goes_on_with_what_is_left(asked, tmp_path):
    """No cell is measured twice; whoever asks again when all is done gets no work done."""
    whole = {cell.number: cell.perplexity for cell in cells(sweep(asked))}
    folder, seen = tmp_path / "sweep", 0
    events = sweep(asked, folder)
    for event in events:
        seen += isinstance(event, SweepCellDone)
        if seen == 4:
            break
    events.close()
    assert isinstance(read_events(folder)[-1].fact, RunStopped)
    state = open_sweep(folder)
    assert state.status == "stopped" and len(state.done) == 4 and len(state.waiting) == 5
    list(sweep(asked, folder))
    state = open_sweep(folder)
    assert state.status == "finished" and sorted(numbers(folder)) == list(range(9))
    assert {number: cell.perplexity for number, cell in state.done.items()} == pytest.approx(whole, rel=1e-6)
    assert cells(sweep(asked, folder)) == []


def test_a_killed_sweep_goes_on_and_one_that_is_stopped_ends_with_status_1(asked, tmp_path, capsys, terminated):
    """SIGKILL leaves a claim on the folder that counts for nothing; SIGTERM ends in an event that says so."""
    path, folder = tmp_path / "sweep.json", tmp_path / "sweep"
    long = Sweep(asked.recipe, {"neurons.level": {"from": 0, "to": 1, "steps": 400}})
    path.write_text(json.dumps(long.plain()))
    command = ["sweep", str(path), "--folder", str(folder)]
    process = subprocess.Popen([sys.executable, "-m", "engine", *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and (not is_sweep(folder) or len(numbers(folder)) < 2):
        time.sleep(0.1)
    with pytest.raises(BadInput, match=f"in use by process {process.pid}"):
        sweep(long, folder)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL and open_sweep(folder).status == "interrupted"
    before = len(numbers(folder))
    terminated(lambda: len(numbers(folder)) >= before + 2)
    assert main(command) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("espalier: Stopped; what was done so far is in ")
    assert open_sweep(folder).status == "stopped" and before + 2 <= len(numbers(folder)) == len(set(numbers(folder)))


def test_failed_cells_are_tried_again_and_a_sweep_of_nothing_else_fails(asked, recipe, tmp_path, capsys):
    """The text was not there, and then it is."""
    file = tmp_path / "late.txt"
    late = Sweep(asked.recipe | {"corpus": f"file:{file}"}, {"neurons.level": [0.2, 0.4]})
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(late.plain()))
    assert main(["sweep", str(path), "--folder", str(tmp_path / "sweep")]) == 1
    assert "None of the 2 cells could be done: " in capsys.readouterr().err.splitlines()[-1]
    assert isinstance(read_events(tmp_path / "sweep")[-1].fact, RunFailed)
    file.write_bytes(Path(recipe.corpus.removeprefix("file:")).read_bytes())
    assert main(["sweep", str(path), "--folder", str(tmp_path / "sweep")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'sweep'}\n"
    state = open_sweep(tmp_path / "sweep")
    assert state.status == "finished" and all(cell.status == "done" for cell in state.done.values())


def test_a_sweep_with_some_cells_that_failed_ends_with_their_number_and_the_first_reason(asked, tmp_path, capsys):
    """Of its last process, and with status 0: the others are done."""
    folder, path = tmp_path / "sweep", tmp_path / "sweep.json"
    some = Sweep(asked.recipe, {"neurons.level": [0.2, 0.4], "corpus": [asked.recipe["corpus"], "file:/nowhere.txt"]})
    path.write_text(json.dumps(some.plain()))
    assert main(["sweep", str(path), "--folder", str(folder)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{folder}\n" and told.err.splitlines()[-1].startswith("2 of 4 cells failed: ")
    assert "/nowhere.txt" in told.err.splitlines()[-1]
    path.write_text(json.dumps(asked.plain()))
    assert main(["sweep", str(path), "--folder", str(tmp_path / "whole")]) == 0 and "failed" not in capsys.readouterr().err


def test_a_folder_of_something_else_and_a_bad_sweep_are_refused(asked, recipe, tmp_path, capsys):
    """With status 2 and one sentence."""
    create(recipe, tmp_path / "run")
    with pytest.raises(BadInput, match="holds a run already"):
        sweep(asked, tmp_path / "run")
    sweep(asked, tmp_path / "sweep").close()
    with pytest.raises(BadInput, match="holds another sweep already"):
        sweep(Sweep(asked.recipe, {"neurons.level": [0.1]}), tmp_path / "sweep")
    bad = tmp_path / "bad.json"
    bad.write_text('{"axes": {"neurons.levl": [1]}}')
    assert main(["sweep", str(bad)]) == 2
    assert "did you mean 'neurons.level'?" in capsys.readouterr().err
    assert main(["sweep", str(tmp_path / "none.json")]) == 2
    assert "sweep file" in capsys.readouterr().err
