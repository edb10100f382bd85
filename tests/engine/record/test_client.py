"""Tests of engine/record/client.py without a worker: attach, post, poll. What wakes and dies is tested with the worker."""

import json

import pytest

from engine.record.claim import take_lock
from engine.record.client import Client, attach, last_run, open_run, start
from engine.record.commands import Evaluate, Pause
from engine.record.errors import BadInput
from engine.record.folder import Tail, Writer
from engine.record.lifecycle import RunFinished, RunStarted, WorkerStarted
from engine.record.lock import is_watched
from engine.record.recipe import Recipe


@pytest.fixture
def client(tmp_path, monkeypatch) -> Client:
    """A viewer of a run that this very process holds, so that no worker is woken."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    client = start(Recipe(seed=3))
    assert take_lock(client.folder)
    return client


def tell(client: Client, *events) -> None:
    """Write events as a worker would."""
    writer = Writer(client.folder / "events.jsonl")
    for event in events:
        writer.append(event)
    writer.close()


def test_a_new_run_has_a_recipe_and_nothing_else(client):
    """No worker begins before something is asked."""
    assert client.recipe == Recipe(seed=3)
    assert client.poll() == [] and not client.is_over()
    state = open_run(client.folder)
    assert state.status == "new" and state.recipe == client.recipe.model_dump(mode="json")


def test_what_is_posted_is_a_line_and_keeps_the_worker_awake(client):
    """The run is held by a living process: none is started."""
    client.post(Pause())
    client.post(Evaluate("baseline"))
    assert [stamped.fact for stamped in Tail(client.folder / "commands.jsonl").read()] == [Pause(), Evaluate("baseline")]
    assert is_watched(client.folder) and client.is_awake()
    assert not (client.folder / "worker.log").exists()


def test_events_come_once_to_each_viewer(client):
    """A viewer that comes late reads all of them."""
    tell(client, RunStarted({}, "1"))
    assert [stamped.fact for stamped in client.poll()] == [RunStarted({}, "1")]
    tell(client, WorkerStarted(1, 2))
    late = attach(client.name)
    assert [stamped.fact for stamped in client.poll()] == [WorkerStarted(1, 2)]
    assert [stamped.fact for stamped in late.poll()] == [RunStarted({}, "1"), WorkerStarted(1, 2)]
    assert client.poll() == late.poll() == []


def test_nothing_can_be_asked_of_a_run_that_is_over(client):
    """The sentence names the run and what to do; nothing is written."""
    tell(client, RunFinished())
    with pytest.raises(BadInput, match=f"run '{client.name}' is over; start a new one"):
        client.post(Pause())
    assert not (client.folder / "commands.jsonl").exists()


def test_a_viewer_that_leaves_is_not_waited_for(client):
    """Leaving twice does no harm."""
    client.watch()
    assert is_watched(client.folder)
    client.leave()
    client.leave()
    assert not is_watched(client.folder)


def test_only_runs_can_be_attached_to(client):
    """By name, and by no path."""
    assert attach(client.name).folder == client.folder
    for name in ("", "..", str(client.folder), "nothing"):
        with pytest.raises(BadInput, match="is not in"):
            attach(name)


def test_a_run_is_shown_where_its_recipe_cannot_be_used_any_more(client):
    """Its model's folder has moved, or a later version calls things otherwise."""
    (client.folder / "recipe.json").write_text(json.dumps({"model": "moved-away", "mood": 1}))
    tell(client, RunStarted({"model": "moved-away"}, "1"))
    assert open_run(client.folder).recipe == {"model": "moved-away"}
    with pytest.raises(BadInput, match="cannot be used here: .*moved-away"):
        attach(client.name)


def test_a_folder_without_a_run_is_refused(tmp_path):
    """In one sentence."""
    with pytest.raises(BadInput, match="holds no run"):
        open_run(tmp_path)


def test_the_last_run_is_the_newest_in_which_something_was_changed(client):
    """A run that only looked is not offered."""
    assert last_run() is None
    (client.folder / "checkpoints" / "step-000001").mkdir(parents=True)
    start(Recipe())
    assert last_run() == client.folder
