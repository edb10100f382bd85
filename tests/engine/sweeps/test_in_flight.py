"""Tests of engine/sweeps/in_flight.py: every task comes back once, with as many on their way as there are processes."""

import threading
import time
from collections import deque

import pytest
from distributed import Client, LocalCluster

from engine.sweeps import in_flight
from engine.sweeps.cluster import joined
from engine.sweeps.in_flight import Gone, Task, outcomes


@pytest.fixture
def client():
    """A cluster of two workers in this process, one of which offers an accelerator to no task."""
    with LocalCluster(n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        with Client(cluster, set_as_default=False) as client:
            yield client


def line(*arguments, **wanted) -> deque[Task]:
    """A task for each argument."""
    return deque(Task((argument,), wanted) for argument in arguments)


def test_each_task_comes_back_once_and_an_error_is_the_tasks_own(client):
    """What is put into the line meanwhile is done as well."""
    waiting, found = line("4", "1 / 0", "9"), {}
    for outcome in outcomes(client, eval, waiting):
        found[outcome.task.arguments[0]] = outcome
        if outcome.result == 4:
            waiting.extend(line("16"))
    assert {asked: outcome.result for asked, outcome in found.items()} == {"4": 4, "1 / 0": None, "9": 9, "16": 16}
    assert isinstance(found["1 / 0"].error, ZeroDivisionError) and not found["1 / 0"].has_killed


def test_no_more_are_on_their_way_than_there_are_processes(client):
    """However many threads those have: a death counts against all tasks that a process was given."""
    timed = "[__import__('time').monotonic(), __import__('time').sleep(0.05), __import__('time').monotonic()]"
    spans = [outcome.result for outcome in outcomes(client, eval, line(*[timed] * 12))]
    most = max(sum(start <= begun < end for start, _, end in spans) for begun, _, _ in spans)
    assert len(spans) == 12 and most == 2


def test_where_no_process_can_do_what_waits_any_more_it_is_said(client, monkeypatch):
    """After a while: those that have died may be on their way back."""
    monkeypatch.setattr(in_flight, "LOOK", 0.1)
    monkeypatch.setattr(in_flight, "LOST", 0.5)
    with pytest.raises(Gone, match=r"has had no process for what waits for 0\.5 s"):
        list(outcomes(client, eval, line("1", accelerator=1)))
    client.retire_workers()
    with pytest.raises(Gone, match="has had no process"):
        list(outcomes(client, eval, line("1")))


@pytest.mark.slow
def test_processes_that_die_again_and_again_cost_no_task(processes):
    """Those that have only begun to start among them; once there is peace everything is done, and nothing is left behind."""
    with joined("local:2") as client:

        def kill():
            for _ in range(20):
                time.sleep(0.25)
                for process in processes():
                    process.kill()

        killing = threading.Thread(target=kill)
        killing.start()
        found = [
            outcome.result
            for outcome in outcomes(client, eval, line(*(f"[__import__('time').sleep(0.2), {n}]" for n in range(12))))
        ]
        killing.join()
    assert sorted(number for _, number in found) == [*range(12)] and not processes()


@pytest.mark.slow
def test_a_task_that_kills_is_told_and_takes_no_other_with_it():
    """It was given to four processes, each of which has died."""
    with joined("local:1") as client:
        found = list(outcomes(client, eval, line("1", "__import__('os')._exit(1)", "3", "4")))
    assert [outcome.has_killed for outcome in sorted(found, key=lambda one: one.task.arguments)] == [False, False, False, True]
    assert {outcome.result for outcome in found} == {1, 3, 4, None}
