"""Tests of engine/sweeps/dispatching.py: a cluster gives the numbers of one process, whatever dies in it."""

import json
import os
import signal
import subprocess
import sys
from itertools import groupby

import pytest

from engine import Sweep, open_sweep, sweep
from engine.__main__ import main
from engine.record.cells import SweepCellDone
from engine.record.errors import BadInput
from engine.record.faults import VARIABLE as FAULTS
from engine.record.lifecycle import RunFailed, RunFinished
from engine.sweeps.dispatching import CELLS, TASKS, check_scheduler, tasks, wanted_by


@pytest.fixture
def asked(recipe) -> Sweep:
    """Nine cells on the tiny model, in three stages, for two seeds."""
    plain = recipe.model_dump(mode="json", exclude_unset=True) | {"heads": {"level": 0}, "criterion": "random"}
    return Sweep(plain, {"neurons.blocks.0": [0, 0.25, 0.5], "neurons.blocks.2": [0, 0.5, 1]}, seeds=[0, 1])


def table(events) -> dict[int, tuple]:
    """What came of each cell: its status, its parameters and its perplexity."""
    done = [event for event in events if isinstance(event, SweepCellDone)]
    assert len({cell.number for cell in done}) == len(done), "a cell was told of twice"
    return {cell.number: (cell.status, cell.parameters, cell.perplexity) for cell in done}


def test_every_cell_is_in_one_task_and_the_coarse_picture_comes_first(asked):
    """Portions are of one stage and one seed's neighbours, and small enough that a process which dies takes few cells with it."""
    portions = tasks(asked.cells, "measure", 2)
    assert sorted(cell.number for portion in portions for cell in portion) == [cell.number for cell in asked.cells]
    stages = [{cell.stage for cell in portion} for portion in portions]
    assert all(len(stage) == 1 for stage in stages) and [*stages] == sorted(stages, key=min)
    many = Sweep(asked.recipe, {"neurons.level": {"from": 0, "to": 1, "steps": 500}}).cells
    assert max(len(portion) for portion in tasks(many, "measure", 2)) <= CELLS
    for _, group in groupby(tasks(asked.cells, "measure", 1), key=lambda portion: portion[0].stage):
        assert len(list(group)) <= TASKS
    assert all(len(portion) == 1 for portion in tasks(asked.cells, "recover", 1))


def test_cells_that_begin_alike_stand_side_by_side(asked):
    """Shares of the back block change fastest, whichever axis was named first, since they leave the most layers as they are."""
    turned = Sweep(asked.recipe, dict(reversed(asked.axes.items())))
    last = [cell for portion in tasks(turned.cells, "measure", 1) for cell in portion if cell.stage == turned.cells[0].stage]
    fronts = [cell.set["neurons.blocks.0"] for cell in last]
    assert fronts == sorted(fronts) and len(set(fronts)) > 1


def test_a_task_asks_for_what_somebody_has_declared_and_for_nothing_else(recipe):
    """For what nobody has declared it would wait for ever."""
    dense = 4 * 2 * 1_000_000
    wish = recipe.model_copy(update={"model": "gpt2-tiny", "device": "cuda"})
    assert wanted_by(wish, "measure", 10, [{}]) == {}
    asked = wanted_by(wish, "measure", 10, [{}, {"memory": 1e9, "accelerator": 1}])
    assert asked["accelerator"] == 1 and asked["memory"] > dense
    assert wanted_by(wish, "recover", 10, [{"memory": 1e9}])["memory"] > 2 * asked["memory"]  # gradients, moments, a control
    assert wanted_by(recipe.model_copy(update={"device": "cpu"}), "measure", 10, [{"accelerator": 1}]) == {}


@pytest.mark.parametrize(
    ("scheduler", "mode", "why"),
    [
        ("local", "measure", "scheduler 'local' is none; give local:N"),
        ("local:0", "measure", "scheduler 'local:0' is none"),
        ("10.0.0.1:8786", "recover", "such as tcp://10.0.0.1:8786"),
        ("local:2", "search", "a search decides by one cell which is next"),
    ],
)
def test_what_is_no_scheduler_is_refused_in_one_sentence(scheduler, mode, why):
    """Before anything is loaded."""
    with pytest.raises(BadInput) as refused:
        check_scheduler(scheduler, mode)
    assert why in str(refused.value)


def test_where_dask_is_missing_it_is_said_how_to_get_it(monkeypatch):
    """It is an extra, which nobody needs for one machine."""
    monkeypatch.setattr("engine.sweeps.cluster.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'espalier\[cluster\]'"):
        check_scheduler("local:2", "measure")


def test_a_scheduler_that_does_not_answer_is_told_and_costs_no_cell(asked, tmp_path, monkeypatch, capsys):
    """The sweep can be gone on with elsewhere."""
    monkeypatch.setattr("engine.sweeps.cluster.PATIENCE", 1)
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(asked.plain()))
    assert main(["sweep", str(path), "--folder", str(tmp_path / "sweep"), "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "scheduler tcp://127.0.0.1:9 cannot be reached" in capsys.readouterr().err.splitlines()[-1]
    state = open_sweep(tmp_path / "sweep")
    assert state.status == "failed" and not state.done and state.scheduler == "tcp://127.0.0.1:9"


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_of_this_machine_give_the_table_of_one_and_one_that_is_killed_costs_nothing(count, asked, tmp_path, processes):
    """Bit for bit; the cells of the process that was killed are done again in another, were it killed as well."""
    alone, killed, events = table(sweep(asked)), [], []
    for event in sweep(asked, tmp_path / "sweep", scheduler=f"local:{count}"):
        events.append(event)
        if isinstance(event, SweepCellDone) and len(killed) < 2:
            killed += processes()[-1:]
            killed[-1].kill()
    assert len(killed) == 2 and isinstance(events[-1], RunFinished)
    assert table(events) == alone
    assert open_sweep(tmp_path / "sweep").status == "finished"
    assert not processes()


@pytest.mark.slow
def test_a_cluster_that_runs_elsewhere_recovers_each_cell_and_tells_of_those_that_fail(recipe, monkeypatch):
    """Its workers have several threads, of which one works at a time; one cell is impossible, and the others go on. That it is
    not let go of in order changes nothing of what came of them."""
    from distributed import Client, LocalCluster

    def gone(*_):
        raise OSError("the worker is not there any more")

    monkeypatch.setattr(Client, "unregister_worker_plugin", gone)

    plain = recipe.model_dump(mode="json", exclude_unset=True)
    trained = Sweep(plain, {"neurons.level": [0.2, 0.5], "tuning.sequence_length": [16, 4096]}, "recover")
    alone = table(sweep(trained))
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp") as cluster:
        assert table(sweep(trained, scheduler=cluster.scheduler_address)) == alone
    assert {status for status, _, _ in alone.values()} == {"done", "failed"}


@pytest.mark.slow
def test_a_cell_that_kills_its_process_fails_alone(recipe, monkeypatch):
    """As one does that its accelerator breaks on; every process that it is given to dies, and those beside it are done."""
    monkeypatch.setenv(FAULTS, "device@3x9")
    plain = recipe.model_dump(mode="json", exclude_unset=True)
    trained = Sweep(plain, {"tuning.steps": [1, 2, 4]}, "recover")
    done = [event for event in sweep(trained, scheduler="local:1") if isinstance(event, SweepCellDone)]
    cells = {event.set["tuning.steps"]: event for event in done}
    assert [cells[steps].status for steps in (1, 2, 4)] == ["done", "done", "failed"]
    assert cells[4].error == "Every process that it was given to has died."


@pytest.mark.slow
def test_a_scheduler_that_dies_is_told_in_a_sentence_and_the_cells_that_are_done_stay(asked, tmp_path):
    """Begun again in the same folder, here in this process, the sweep goes on from there."""
    program = "from distributed import LocalCluster; import time\nif __name__ == '__main__':\n"
    program += "    with LocalCluster(n_workers=1, processes=False, dashboard_address=None, protocol='tcp') as cluster:\n"
    program += "        print(cluster.scheduler_address, flush=True); time.sleep(600)\n"
    (tmp_path / "cluster.py").write_text(program)
    many = Sweep(asked.recipe, {"neurons.level": {"from": 0, "to": 0.9, "steps": 24}})
    with subprocess.Popen([sys.executable, tmp_path / "cluster.py"], stdout=subprocess.PIPE, text=True) as process:
        address, last = process.stdout.readline().strip(), None
        for last in sweep(many, tmp_path / "sweep", scheduler=address):
            if isinstance(last, SweepCellDone):
                process.kill()
    said = "begun again in the same folder, the sweep goes on from the cells that are done"
    assert last == RunFailed(f"The scheduler {address} was lost; {said}.")
    done = len(open_sweep(tmp_path / "sweep").done)
    again = table(sweep(many, tmp_path / "sweep"))
    assert 0 < done < 24 and len(again) == 24 - done and {status for status, _, _ in again.values()} == {"done"}


@pytest.mark.slow
def test_a_signal_to_all_processes_at_once_stops_the_sweep_in_order(asked, tmp_path):
    """As `timeout` or a batch system send it, and Ctrl-C in a terminal another: written down as stopped, with no traceback."""
    path, folder = tmp_path / "sweep.json", tmp_path / "sweep"
    many = Sweep(asked.recipe, {"neurons.level": {"from": 0, "to": 0.9, "steps": 300}})
    path.write_text(json.dumps(many.plain()))
    arguments = [sys.executable, "-m", "engine", "sweep", str(path), "--folder", str(folder), "--scheduler", "local:1"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        told = [next(line for line in process.stderr if "perplexity" in line)]
        os.killpg(process.pid, signal.SIGTERM)
        told += process.stderr.readlines()
    state = open_sweep(folder)
    assert process.returncode == 1 and state.status == "stopped" and 0 < len(state.done) < 300
    assert told[-1].startswith("espalier: Stopped; ") and not any("Traceback" in line for line in told)
