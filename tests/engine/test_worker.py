"""Tests of engine/worker.py on real processes: what is asked is done, what dies is replaced, what nobody needs ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.inbox import Inbox
from engine.record import commands as ask
from engine.record.client import Client, open_run, start
from engine.record.errors import BadInput
from engine.record.events import StepTrained, TextSampled, TrainingResumed, WentBack
from engine.record.folder import create, post, read_events
from engine.record.lifecycle import CommandRefused, CommandStarted, Degraded, RunPaused, WorkerRestarted, WorkerStarted
from engine.record.live import live_runs, resume, stop
from engine.record.lock import STALE, read_lock, stopped_process
from engine.record.state import RunState
from engine.recovery.bookmarks import VARIABLE
from engine.session import serve
from engine.summary import in_words, summary
from engine.supervising import DEVICE_FAILED, SHELTER, supervise
from engine.text.cache import path_of
from engine.workbench import Workbench
from engine.worker import read_ahead, sweep

pytestmark = pytest.mark.slow
PATIENCE = 120  # seconds: a process that imports torch on a busy machine takes some


def wait(client: Client, holds: Callable[[RunState], bool]) -> RunState:
    """The state of a run once `holds` says so; its viewer keeps leaving word meanwhile."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        state = open_run(client.folder)
        if holds(state):
            return state
        client.watch()
        time.sleep(0.1)
    log = (client.folder / "worker.log").read_text(encoding="utf-8")[-2000:]
    raise AssertionError(f"still {state.status}, doing {state.doing!r}, after {PATIENCE} s; the worker's log ends: {log}")


def until(holds: Callable[[], bool], patience: float = 30) -> bool:
    """Whether something comes to hold within so many seconds."""
    end = time.monotonic() + patience
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def faults(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the worker of this test; to be named before `client`."""
    monkeypatch.setenv("ESPALIER_FAULTS", request.param)


@pytest.fixture
def client(recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A run with a worker, loaded; whatever processes are left at the end are ended."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    client = start(recipe, tmp_path / "run")
    for command in ask.commands_of(recipe)[:1]:
        client.post(command)
    try:
        wait(client, lambda state: state.model is not None and state.status == "idle")
        yield client
    finally:
        asked = set()

        def ended() -> bool:
            """Whether it has, each supervisor that holds the run, be it one that was only about to, being asked to once."""
            holder = read_lock(client.folder)
            if holder is not None and holder["pid"] not in asked and not gone(holder["pid"]):
                asked.add(holder["pid"])
                psutil.Process(holder["pid"]).terminate()
            return not client.is_awake()

        assert until(ended)


def prune(client: Client) -> ask.Prune:
    """A prune as the client's recipe has it."""
    recipe = client.recipe
    return ask.prune_of(recipe)


def tune(client: Client, steps: int) -> ask.Tune:
    """A recovery of so many steps, without a control."""
    tuning = client.recipe.tuning.model_copy(update={"steps": steps, "control": False})
    return ask.Tune(tuning, client.recipe.evaluation, client.recipe.prompt)


def test_a_worker_does_what_is_posted_and_ends_when_the_run_is_finished(client):
    """Prune and evaluate from another process, then finish: one terminal event, nothing after it, no process left."""
    client.post(prune(client))
    client.post(ask.Evaluate("pruned", client.recipe.evaluation))
    state = wait(client, lambda state: "pruned" in state.standing.perplexity)
    supervisor, worker = (read_lock(client.folder)[key] for key in ("pid", "worker"))
    client.post(ask.Finish())
    state = wait(client, lambda state: state.is_over)
    assert state.status == "finished"
    assert until(lambda: gone(supervisor) and gone(worker))
    assert type(read_events(client.folder)[-1].fact).__name__ == "RunFinished"
    assert read_lock(client.folder) is None


def test_pause_step_and_stop_answer_a_training_in_another_process(client):
    """What is pressed on a page reaches the loop between two steps."""
    client.post(tune(client, 100_000))
    wait(client, lambda state: state.step is not None and state.step.step >= 2)
    client.post(ask.Pause())
    held = wait(client, lambda state: state.status == "paused").step.step
    time.sleep(0.5)
    assert open_run(client.folder).step.step == held
    client.post(ask.Step())
    assert wait(client, lambda state: state.step.step > held).step.step == held + 1
    client.post(ask.Stop())
    state = wait(client, lambda state: state.status == "idle")
    assert "tuned" in state.standing.perplexity
    assert state.checkpoint is not None


def test_a_run_whose_process_was_stopped_is_not_told_as_one_that_goes_on(client):
    """The worker under a living supervisor, then that one once its worker is dead: the list, `show`, resume and stop name the
    process and what to do, and stop waits for nobody; continued, it does what was asked meanwhile."""
    client.post(tune(client, 100_000))
    wait(client, lambda state: state.step is not None)
    holder, name = read_lock(client.folder), client.folder.name
    supervisor, worker = holder["pid"], holder["worker"]

    def held_by(pid: int) -> str:
        """That it is told who was stopped; in words."""
        assert until(lambda: stopped_process(client.folder) == pid)
        (listed,) = live_runs(client.folder.parent)
        assert listed.stopped == pid and listed.awake and listed.state.endswith(f"; process {pid} is stopped")
        told = in_words(open_run(client.folder), stopped=pid)
        assert f"process {pid}, which carries it out, is stopped; continue it, or end it" in told
        help = f"process {pid}, which carries it out, is stopped; continue it (kill -CONT {pid}), or end it (kill -9 {pid})."
        with pytest.raises(BadInput) as caught:
            resume(client.folder)
        assert str(caught.value) == f"run {name!r} cannot go on: {help}"
        return help

    os.kill(worker, signal.SIGSTOP)
    held_by(worker)
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(worker, signal.SIGCONT)
    assert until(lambda: stopped_process(client.folder) is None), "the worker goes on"
    assert live_runs(client.folder.parent)[0].stopped is None
    os.kill(worker, signal.SIGKILL)
    help, began = held_by(supervisor), time.monotonic()
    assert stop(client.folder) == f"{name} was asked to stop, which it cannot: {help}"
    assert time.monotonic() - began < 5
    os.kill(supervisor, signal.SIGCONT)
    assert wait(client, lambda state: state.status == "idle" and state.restarts).refused is None


def test_a_worker_that_was_stopped_and_that_nobody_watches_over_holds_its_run_and_is_told(client):
    """The next one waits for its end, since it may go on at any time, and says for whom; then it does what is left."""
    client.post(tune(client, 100_000))
    wait(client, lambda state: state.step is not None and state.step.step >= 2)
    supervisor, worker = (read_lock(client.folder)[key] for key in ("pid", "worker"))
    os.kill(worker, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    assert until(lambda: gone(supervisor))
    why = f"the worker before, process {worker}, is stopped; continue it, or end it"
    assert wait(client, lambda state: bool(state.degraded)).degraded == (Degraded("going on at once", "a wait", why),)
    (listed,) = live_runs(client.folder.parent)  # while another worker waits
    assert listed.awake and listed.stopped == worker and listed.state.endswith(f"; process {worker} is stopped")
    os.kill(worker, signal.SIGCONT)
    wait(client, lambda state: state.worker != worker and state.step is not None and state.step.step >= 2)
    client.post(ask.Stop())
    wait(client, lambda state: state.status == "idle")
    lines = (client.folder / "events.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))


def test_a_killed_worker_is_replaced_and_does_the_interrupted_command_again(client):
    """kill -9 in the middle of a recovery: the event says so, the new worker starts from the checkpoint before it."""
    client.post(prune(client))
    checkpoint = wait(client, lambda state: state.checkpoint is not None and state.status == "idle").checkpoint
    client.post(tune(client, 400))
    wait(client, lambda state: state.step is not None and state.step.step >= 2)
    os.kill(read_lock(client.folder)["worker"], signal.SIGKILL)
    state = wait(client, lambda state: bool(state.restarts) and state.status == "idle" and "tuned" in state.standing.perplexity)
    assert state.restarts[0].checkpoint == checkpoint
    assert "-9" in state.restarts[0].why and "Tune" in state.restarts[0].why
    steps = [step for step, _ in state.standing.curves["tuned"].training]
    assert steps == list(range(1, 401)), "the curve of the second try stands alone, from its first step"
    begun = [stamped.fact for stamped in read_events(client.folder) if isinstance(stamped.fact, CommandStarted)]
    assert [fact.name for fact in begun].count("Tune") == 2


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(client):
    """A bit flips in what a recovery began from, and the worker is killed: the next one stands where the checkpoint before stood,
    with what was measured there, gives the recovery up, and says both."""
    client.post(prune(client))
    client.post(ask.Evaluate("pruned", client.recipe.evaluation))
    first = wait(client, lambda state: "pruned" in state.standing.perplexity and state.status == "idle")
    client.post(replace(prune(client), criterion="magnitude"))
    second = wait(client, lambda state: state.checkpoint != first.checkpoint and state.status == "idle").checkpoint
    client.post(tune(client, 100_000))
    wait(client, lambda state: state.step is not None)
    fitted = client.folder / "checkpoints" / second / "fitted.safetensors"
    data = bytearray(fitted.read_bytes())
    data[-3] ^= 4
    fitted.write_bytes(data)
    os.kill(read_lock(client.folder)["worker"], signal.SIGKILL)
    state = wait(client, lambda state: state.refused is not None)
    why = "its fitted.safetensors is not as it was written"
    assert state.degraded == (Degraded(f"checkpoint {second}", f"checkpoint {first.checkpoint}", why),)
    assert f"instead of checkpoint {second}: checkpoint {first.checkpoint}, because {why}" in in_words(state)
    assert state.refused.reason == "Tune was given up: the checkpoint that it began from is damaged."
    assert state.checkpoint == first.checkpoint and state.standing.gates.heads == first.standing.gates.heads
    assert state.standing.perplexity["pruned"] == first.standing.perplexity["pruned"]
    client.post(ask.Evaluate("cut", client.recipe.evaluation))
    after = wait(client, lambda state: "cut" in state.standing.perplexity).standing.perplexity["cut"]
    assert after.nll == pytest.approx(first.standing.perplexity["pruned"].nll, rel=1e-12)


def test_a_command_that_kills_the_worker_twice_is_refused_not_tried_for_ever(client):
    """The second death gives the command up, in words, and the run goes on."""
    client.post(tune(client, 1_000_000))
    for death in (1, 2):
        wait(client, lambda state, n=death: len(state.restarts) == n - 1 and state.step is not None and state.status == "busy")
        os.kill(read_lock(client.folder)["worker"], signal.SIGSEGV)
        wait(client, lambda state, n=death: len(state.restarts) == n)
    state = wait(client, lambda state: state.refused is not None)
    assert state.refused.reason == "Tune was given up: the worker ended twice while doing it."
    client.post(ask.Evaluate("baseline", client.recipe.evaluation))
    assert "baseline" in wait(client, lambda state: "baseline" in state.standing.perplexity).standing.perplexity


def test_a_command_whose_workers_somebody_kills_is_never_given_up(client):
    """Nor is the run, though it gets no further in between: `kill -9` comes from outside, wherever the training is."""
    client.post(tune(client, 1_000_000))
    for death in range(3):
        wait(client, lambda state, n=death: len(state.restarts) == n and state.step is not None and state.status == "busy")
        os.kill(read_lock(client.folder)["worker"], signal.SIGKILL)
    state = wait(client, lambda state: len(state.restarts) == 3 and state.step is not None and state.status == "busy")
    assert state.refused is None and all(each.outside for each in state.restarts)
    client.post(ask.Stop())
    assert wait(client, lambda state: state.status == "idle").checkpoint is not None


def test_a_model_that_a_killed_save_had_just_moved_is_put_back(tmp_path):
    """By the next worker, before it removes what was left; what has no lock, as older versions left it, is removed alone."""
    for name in (".model-aaaaaaaa/new", ".model-aaaaaaaa/old", ".model-b/new"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".model-aaaaaaaa" / "lock").touch()
    (tmp_path / ".model-aaaaaaaa" / "old" / "config.json").write_text("{}")
    sweep(tmp_path)
    assert (tmp_path / "model" / "config.json").read_text() == "{}" and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_worker_that_nobody_watches_ends_and_the_next_command_wakes_another_where_it_stood(client, monkeypatch):
    """Closing the page leaves no process; posting again finds gates and weights as they were."""
    client.post(prune(client))
    client.post(ask.Evaluate("pruned", client.recipe.evaluation))
    before = wait(client, lambda state: "pruned" in state.standing.perplexity).standing.perplexity["pruned"]
    holder = read_lock(client.folder)
    client.leave()
    assert until(lambda: gone(holder["pid"]) and gone(holder["worker"]))
    client.post(ask.Evaluate("cut", client.recipe.evaluation))
    after = wait(client, lambda state: "cut" in state.standing.perplexity).standing.perplexity["cut"]
    assert after.nll == pytest.approx(before.nll, rel=1e-12)


@pytest.mark.parametrize("faults", ["loss@3, gradient@5, loss@12x9"], indirect=True)
def test_losses_that_are_no_numbers_are_got_over_and_at_last_given_up_with_the_best_kept(faults, client):
    """Two steps are made again at half the rate each; of the third there are too many, and what was learnt is checkpointed."""
    client.post(prune(client))
    pruned = wait(client, lambda state: state.checkpoint is not None and state.status == "idle").checkpoint
    client.post(tune(client, 20))
    state = wait(client, lambda state: state.refused is not None)
    assert "the rate was halved 4 times; lower the learning rate." in state.refused.reason
    facts = [stamped.fact for stamped in read_events(client.folder)]
    assert [fact.step for fact in facts if isinstance(fact, StepTrained)] == list(range(1, 12))
    assert [each.asked for each in state.degraded] == [f"step {step} of the recovery" for step in (3, 5, 12, 12)]
    assert in_words(state).count("of the learning rate from there on, because the loss of step") == 4
    (back,) = (fact for fact in facts if isinstance(fact, WentBack))
    assert back.made == 11 and back.step > 0
    assert state.checkpoint != pruned and "tuned" in state.standing.perplexity and not state.restarts
    client.post(ask.Undo())
    assert wait(client, lambda state: state.checkpoint == pruned).status != "failed"


@pytest.mark.parametrize("faults", ["memory@2, memory@3x2, memory@7"], indirect=True)
def test_a_recovery_makes_do_with_less_memory_and_at_last_keeps_what_it_has(faults, client):
    """Smaller pieces, then activations computed again, and the losses stay; then there is nothing left on the CPU: one sentence,
    the steps so far checkpointed and measured, and the worker is the same one."""
    client.post(tune(client, 10))
    state = wait(client, lambda state: state.refused is not None)
    at_once, where = " sequences at once in step ", "step 3 of the recovery"
    assert [each.asked for each in state.degraded] == [
        f"4{at_once}2 of the recovery",
        f"2{at_once}{where[5:]}",
        f"keeping the activations of {where}",
    ]
    assert summary(state)["degradations"][2]["did"] == "computed again on the way back from there on"
    assert (
        state.refused.reason.startswith("Memory ran out (") and "in step 7 of the recovery, also with one" in state.refused.reason
    )
    assert state.checkpoint is not None and "tuned" in state.standing.perplexity and not state.restarts
    commands = (ask.commands_of(client.recipe)[0], tune(client, 10))
    with pytest.MonkeyPatch.context() as patch, closing(Workbench(None, client.recipe)) as bench:
        patch.delenv("ESPALIER_FAULTS")
        whole = list(serve(bench, Inbox(commands), lambda: False))
    losses = [event.loss for event in whole if isinstance(event, StepTrained)][:6]
    facts = [stamped.fact for stamped in read_events(client.folder)]
    assert [fact.loss for fact in facts if isinstance(fact, StepTrained)] == pytest.approx(
        losses, rel=0.01
    )  # bfloat16, where it is


@pytest.fixture
def bookmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after each step of a training; to be named before `client`."""
    monkeypatch.setenv(VARIABLE, "1")


@pytest.mark.parametrize("faults", ["device@3"], indirect=True)
def test_a_worker_whose_accelerator_fails_is_replaced_by_one_on_the_cpu(faults, bookmarks, client):
    """It says what failed and ends at once; the next one goes on with the recovery from its last bookmark, and says so."""
    client.post(prune(client))
    checkpoint = wait(client, lambda state: state.checkpoint is not None and state.status == "idle").checkpoint
    first = read_lock(client.folder)["worker"]
    client.post(tune(client, 6))
    state = wait(client, lambda state: state.status == "idle" and "tuned" in state.standing.perplexity)
    why = "the accelerator failed (CUDA error: device-side assert triggered)"
    assert state.degraded == (Degraded("cpu", SHELTER, why),)  # a real one is "cuda"
    (restart,) = state.restarts
    assert restart.checkpoint == checkpoint and restart.why == f"the worker ended with status {DEVICE_FAILED} while doing Tune"
    assert psutil.Process(read_lock(client.folder)["worker"]).cmdline()[-1] == "--cpu" and gone(first)
    assert [step for step, _ in state.standing.curves["tuned"].training] == list(range(1, 7))
    told = [stamped.fact for stamped in read_events(client.folder) if isinstance(stamped.fact, StepTrained | TrainingResumed)]
    assert told[2] == TrainingResumed("tuned", 2, 2) and [fact.step for fact in told] == [1, 2, 2, 3, 4, 5, 6]
    assert f"instead of cpu: {SHELTER}, because {why}" in in_words(state)


@pytest.mark.parametrize("faults", ["checkpoint@2, log@36x4"], indirect=True)
def test_a_full_disk_refuses_what_cannot_be_kept_and_holds_what_cannot_be_told(faults, client):
    """A checkpoint that finds no room, one that is larger than files may be for a while, and a line of the record: the worker
    lives through all of it, the checkpoint before stays, nothing half written does, and no line is missing or there twice."""
    client.post(prune(client))
    first = wait(client, lambda state: state.checkpoint is not None and state.status == "idle")
    client.post(replace(prune(client), criterion="magnitude"))
    state = wait(client, lambda state: state.refused is not None)
    why = "The checkpoint could not be written to disk (No space left on device); make room there and ask again."
    assert state.refused.reason == why and state.checkpoint == first.checkpoint and state.standing.gates == first.standing.gates
    worker = psutil.Process(read_lock(client.folder)["worker"])
    worker.rlimit(psutil.RLIMIT_FSIZE, (2**16, psutil.RLIM_INFINITY))  # less than the weights take, more than the record
    client.post(tune(client, 4))
    state = wait(client, lambda state: state.refused is not None and state.refused.name == "Tune")
    too_large = why.replace("No space left on device", "File too large")
    assert state.refused.reason == too_large.replace("make room there", "see that it can be written there")
    worker.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    assert [path.name for path in (client.folder / "checkpoints").iterdir()] == [first.checkpoint]
    client.post(tune(client, 4))
    state = wait(client, lambda state: state.status == "idle" and "tuned" in state.standing.perplexity)
    assert state.checkpoint != first.checkpoint and not state.restarts
    (held,) = state.degraded
    assert held.asked == "going on" and held.did.startswith("a wait of ") and "No space left on device" in held.why
    lines = (client.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))


def test_a_run_of_another_version_goes_on_with_what_can_be_read_of_it(client):
    """Events and fields that are not known, some that are missing, and a command that is none: a new worker stands where the run
    stood, and answers that command in one sentence. Two pages then ask at once, and later for a run that is over."""
    client.post(prune(client))
    client.post(ask.Evaluate("pruned", client.recipe.evaluation))
    before = wait(client, lambda state: "pruned" in state.standing.perplexity and state.status == "idle")
    holder = read_lock(client.folder)
    os.kill(holder["pid"], signal.SIGKILL)
    assert until(lambda: gone(holder["worker"]))
    recipe = json.loads((client.folder / "recipe.json").read_text(encoding="utf-8"))
    del recipe["ridge"], recipe["tuning"]["clip"]
    (client.folder / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    events = client.folder / "events.jsonl"
    lines = [json.loads(line) | {"mood": "calm"} for line in events.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["check"]  # a version without, and that of a newer one ends the line
    lines += [{"seq": 0, "at": 1.0, "event": "Dreamt"}, {"seq": 0, "at": 2.0, "event": "Degraded", "asked": "less"}]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with open(client.folder / "commands.jsonl", "a", encoding="utf-8") as file:
        file.write('{"seq": 9, "at": 1.0, "command": "Distort", "by": 3}\n')
    pages = [Client(client.folder), Client(client.folder)]
    asking = [threading.Thread(target=page.post, args=[ask.Sample("pruned", "The", 1, seed)]) for seed, page in enumerate(pages)]
    for each in asking:
        each.start()
    for each, page in zip(asking, pages, strict=True):
        each.join()
        page.let_go()  # one of them has started a supervisor, or both, of which one has found the other
        page.leave()
    client.post(ask.Evaluate("cut", client.recipe.evaluation))
    state = wait(client, lambda state: state.status == "idle" and state.commands_done == 7)
    facts = [stamped.fact for stamped in read_events(client.folder)]
    (refused,) = (fact for fact in facts if isinstance(fact, CommandRefused))
    assert refused.reason.startswith("'Distort' is no command of this version of Espalier")
    assert state.standing.perplexity["cut"].nll == pytest.approx(before.standing.perplexity["pruned"].nll, rel=1e-12)
    assert {fact.seed for fact in facts if isinstance(fact, TextSampled)} == {0, 1}
    client.post(ask.Finish())
    state = wait(client, lambda state: state.is_over)
    with pytest.raises(BadInput, match=r"^run 'run' is over; start a new one to go on\.$"):
        client.post(ask.Sample("pruned", "The"))
    post(client.folder, ask.Sample("pruned", "The"))  # as a page does that has not seen the end yet
    client.watch()
    assert open_run(client.folder) == state and until(lambda: not client.is_awake())


def test_a_worker_whose_supervisor_was_killed_ends_and_resume_wakes_another(client, monkeypatch):
    """Also while it is paused and nothing happens in it; the list of live runs says what became of it, and stop ends it."""
    client.post(tune(client, 100_000))
    wait(client, lambda state: state.step is not None)
    client.post(ask.Pause())
    wait(client, lambda state: state.status == "paused")
    holder = read_lock(client.folder)
    (listed,) = live_runs(client.folder.parent)
    assert listed.state.startswith("paused in Tune, step ") and listed.awake and listed.worker == holder["worker"]
    os.kill(holder["pid"], signal.SIGKILL)
    assert until(lambda: gone(holder["worker"]))
    (listed,) = live_runs(client.folder.parent)
    assert listed.state.startswith("interrupted in Tune, step ") and not listed.awake and listed.worker is None
    before = client.folder.joinpath("events.jsonl").read_bytes().count(b"StepTrained")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert resume(client.folder) == "run goes on."
    wait(client, lambda _: client.folder.joinpath("events.jsonl").read_bytes().count(b"StepTrained") > before)
    facts = [stamped.fact for stamped in read_events(client.folder)]
    assert [fact.threads for fact in facts if isinstance(fact, WorkerStarted)] == [1, 1]  # of a training, to the bit the same
    assert sum(isinstance(fact, RunPaused) for fact in facts) == 1  # by the first
    (told,) = [fact for fact in facts if isinstance(fact, WorkerRestarted)]
    assert told.why == "all that worked on the run ended while doing Tune" and not told.supervised
    assert live_runs(client.folder.parent)[0].state.startswith("doing Tune")
    said = stop(client.folder)
    assert said in ("run has stopped what it was doing.", "run was asked to stop, which it does after the step in hand.")
    assert wait(client, lambda state: state.status == "idle").checkpoint is not None


def test_what_died_with_its_supervisor_is_told_by_the_next_worker(client):
    """Before it has read its libraries, so that a page need not go on with the pace of a run that has none."""
    client.post(tune(client, 100_000))
    wait(client, lambda state: state.step is not None)
    holder = read_lock(client.folder)
    os.kill(holder["pid"], signal.SIGKILL)
    assert until(lambda: gone(holder["worker"]))
    assert wait(client, lambda state: not state.restarts).status == "busy"
    client.wake()
    told = wait(client, lambda state: state.restarts)
    assert told.interrupted == "Tune" and "ended while doing Tune" in told.restarts[0].why
    wait(client, lambda state: state.status == "busy" and state.step is not None)
    client.post(ask.Stop())
    wait(client, lambda state: state.status == "idle")


@pytest.mark.parametrize("faults", ["measuring@2"], indirect=True)
def test_a_measurement_that_memory_runs_out_for_is_refused_and_the_run_goes_on(faults, client):
    """In one sentence; the model and what was measured before stay, and the same worker measures it when it is asked again."""
    measuring = client.recipe.evaluation
    for command in (ask.Evaluate("baseline", measuring), prune(client), ask.Evaluate("pruned", measuring)):
        client.post(command)
    state = wait(client, lambda state: state.refused is not None)
    assert state.refused.name == "Evaluate" and state.refused.reason.startswith("Memory ran out (")
    assert set(state.standing.perplexity) == {"baseline"} and state.checkpoint is not None
    client.post(ask.Evaluate("pruned", measuring))
    assert not wait(client, lambda state: "pruned" in state.standing.perplexity).restarts


def test_a_page_that_was_closed_for_an_hour_finds_its_run_at_its_end(client):
    """Nobody has left word in all that time, here by setting the mark's time back: what was asked for is done, and then no
    process is left."""
    for command in (prune(client), tune(client, 40), ask.Finish()):
        client.post(command)
    wait(client, lambda state: state.step is not None)
    for mark in (client.folder / "viewers").iterdir():
        os.utime(mark, (time.time() - 3600, time.time() - 3600))
    assert until(lambda: open_run(client.folder).is_over and not client.is_awake(), patience=90)
    state = open_run(client.folder)
    assert state.status == "finished" and "tuned" in state.standing.perplexity
    assert [step for step, _ in state.standing.curves["tuned"].training] == list(range(1, 41))


def test_a_worker_whose_page_was_killed_ends(client):
    """The page said no goodbye: its mark grows old, here by setting the mark's time back, and nobody is waited for any more."""
    code = "import sys, time; from engine.record.client import Client; client = Client(sys.argv[1])\n"
    code += "while not print(client.watch(), flush=True): time.sleep(0.2)"
    page = subprocess.Popen([sys.executable, "-c", code, str(client.folder)], stdout=subprocess.PIPE)
    page.stdout.readline()
    client.leave()
    page.kill()
    page.wait()
    page.stdout.close()
    holder = read_lock(client.folder)
    marks = list((client.folder / "viewers").iterdir())
    assert marks and not gone(holder["worker"])
    for mark in marks:
        os.utime(mark, (time.time() - STALE, time.time() - STALE))
    assert until(lambda: gone(holder["pid"]) and gone(holder["worker"]))
    assert read_lock(client.folder) is None and live_runs(client.folder.parent)[0].state == "nothing to do"


def test_a_second_supervisor_leaves_a_held_run_alone(client):
    """Two pages that wake the same run at once end with one worker."""
    assert supervise(client.folder) == 0
    assert read_lock(client.folder)["pid"] != os.getpid()


@pytest.mark.parametrize("serve", [False, True], ids=["supervisor", "worker"])
def test_a_record_that_cannot_be_read_ends_its_process_in_one_sentence(serve, recipe, tmp_path):
    """A folder in its place; the run is left as it is."""
    folder = create(recipe, tmp_path / "run")
    (folder / "events.jsonl").mkdir()
    line = [sys.executable, "-m", "engine.worker", str(folder), *(("--serve", str(os.getpid())) if serve else ())]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.endswith("holds a run whose events cannot be read: Is a directory.\n") and read_lock(folder) is None


def test_a_text_that_is_slow_to_read_is_read_by_another_process_once():
    """So that the first page on a machine need not wait for it; no other text is."""
    before = set(sys.modules)  # an earlier test may have parsed a text in this process
    first = read_ahead("wikipedia-sample")
    first.join(PATIENCE)
    assert path_of("wikipedia-sample").is_file() and "gensim" not in set(sys.modules) - before
    assert read_ahead("wikipedia-sample") is None
    others = ("file:/nowhere", "wikitext-2", {"train": "a", "calibration": "b", "evaluation": "c"})
    assert [read_ahead(corpus) for corpus in others] == [None] * 3
