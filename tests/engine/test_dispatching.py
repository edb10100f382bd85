"""Tests of engine/dispatching.py: a cluster gives the numbers of one process, whatever dies in it."""

import json
import os
import signal
from itertools import groupby

import psutil
import pytest

from engine import Sweep, open_sweep, sweep
from engine.__main__ import main
from engine.dispatching import CELLS, TASKS, check_scheduler, tasks, wanted_by
from engine.record.cells import SweepCellDone
from engine.record.errors import BadInput
from engine.record.lifecycle import RunFinished


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


def processes() -> list[psutil.Process]:
    """Those of a cluster that this one has started."""
    return [child for child in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]


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
    assert wanted_by(wish, 10, [{}]) == {}
    asked = wanted_by(wish, 10, [{}, {"memory": 1e9, "accelerator": 1}])
    assert asked["accelerator"] == 1 and asked["memory"] > dense
    assert wanted_by(recipe.model_copy(update={"device": "cpu"}), 10, [{"accelerator": 1}]) == {}


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
    monkeypatch.setattr("engine.cluster.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'espalier\[cluster\]'"):
        check_scheduler("local:2", "measure")


def test_a_scheduler_that_does_not_answer_is_told_and_costs_no_cell(asked, tmp_path, monkeypatch, capsys):
    """The sweep can be gone on with elsewhere."""
    monkeypatch.setattr("engine.cluster.PATIENCE", 1)
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(asked.plain()))
    assert main(["sweep", str(path), "--folder", str(tmp_path / "sweep"), "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "scheduler tcp://127.0.0.1:9 cannot be reached" in capsys.readouterr().err.splitlines()[-1]
    state = open_sweep(tmp_path / "sweep")
    assert state.status == "failed" and not state.done


@pytest.mark.slow
def test_processes_of_this_machine_give_the_table_of_one_and_one_that_is_killed_costs_nothing(asked, tmp_path):
    """Bit for bit; the cells of the process that was killed are done again in another."""
    alone, killed, events = table(sweep(asked)), [], []
    for event in sweep(asked, tmp_path / "sweep", scheduler="local:2"):
        events.append(event)
        if isinstance(event, SweepCellDone) and not killed:
            killed = processes()[:1]
            os.kill(killed[0].pid, signal.SIGKILL)
    assert killed and isinstance(events[-1], RunFinished)
    assert table(events) == alone
    assert open_sweep(tmp_path / "sweep").status == "finished"
    assert not processes()


@pytest.mark.slow
def test_a_cluster_that_runs_elsewhere_recovers_each_cell_and_tells_of_those_that_fail(recipe, tmp_path):
    """Its workers have several threads, of which one works at a time; one cell is impossible, and the others go on."""
    from distributed import LocalCluster

    plain = recipe.model_dump(mode="json", exclude_unset=True)
    trained = Sweep(plain, {"neurons.level": [0.2, 0.5], "tuning.sequence_length": [16, 4096]}, "recover")
    alone = table(sweep(trained))
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp") as cluster:
        assert table(sweep(trained, scheduler=cluster.scheduler_address)) == alone
    assert {status for status, _, _ in alone.values()} == {"done", "failed"}
