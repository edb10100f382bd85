"""kill -9 on real processes at seeded random moments: the run comes to the same end, bit for bit, and its record has no holes.

A handful of kills by default; ESPALIER_SOAK=50 makes it fifty (`docs/testing.md`).
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from engine.record import commands as ask
from engine.record.client import Client, open_run, start
from engine.record.folder import Tail, read_events
from engine.record.lifecycle import CommandFinished
from engine.record.line import Stamped
from engine.record.lock import is_alive, read_lock
from engine.record.recipe import Recipe
from engine.record.state import RunState
from engine.record.whole_runs import ANSWERS
from engine.recovery.bookmarks import VARIABLE
from engine.session import run

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("ESPALIER_SOAK", "4"))
EACH = 4  # kills in one run
PATIENCE = 240  # seconds for one run, with all its new processes on a busy machine
STEPS, EVERY = 60, 7  # of a training, and from one bookmark to the next
WAYS = {  # of training, one for each series of kills, over and over
    "full": {},
    "lora in rounds": {"tuning": {"method": "lora"}, "rounds": 2, "recover": "rounds"},
    "distil": {"tuning": {"method": "distil"}},
    "lora": {"tuning": {"method": "lora"}},
    "full in rounds": {"rounds": 2, "recover": "rounds"},
    "distil by lora": {"tuning": {"method": "distil", "student": "lora"}},
}


@dataclass(frozen=True)
class Moment:
    """A moment of a run to kill in: so many seconds `after` the events so far first were as `come` says."""

    name: str
    come: Callable[[list[Stamped]], bool]
    after: float


def begun(name: str) -> Callable[[list[Stamped]], bool]:
    """A command of that name has begun."""
    return lambda events: any(getattr(each.fact, "name", "") == name for each in events)


def stepped(arm: str, step: int) -> Callable[[list[Stamped]], bool]:
    """An arm has trained so far."""
    return lambda events: any(
        type(each.fact).__name__ == "StepTrained" and (each.fact.arm, each.fact.step) == (arm, step) for each in events
    )


def moments(draw: random.Random, count: int) -> list[tuple[str, Moment]]:
    """Who is to be killed and when, in the order of the run; also again and again at the same place."""
    soon = draw.random() * 0.05  # in the writing that begins then, which takes some hundredths of a second
    first = draw.randint(2, STEPS - 1)
    come = [
        ("load", begun("Load"), draw.random()),
        ("score", begun("Score"), draw.random() * 0.1),
        ("prune", begun("Prune"), draw.random() * 0.1),
        ("bookmark", stepped("tuned", EVERY * draw.randint(1, 3)), draw.random() * 0.02),
        ("training", stepped("tuned", first), 0.0),
        ("training again, as soon as it is taken up", stepped("tuned", first), draw.random() * 3),
        ("training, soon after", stepped("tuned", min(first + draw.randint(1, 3), STEPS - 1)), 0.0),
        ("checkpoint", stepped("tuned", STEPS), soon),
        ("control", stepped("control", draw.randint(1, STEPS)), 0.0),
        ("cut", begun("Cut"), draw.random() * 0.3),
        ("export", begun("Save"), soon),
    ]
    chosen = sorted(draw.sample(range(len(come)), min(count, len(come))))
    return [(draw.choice(("worker", "supervisor", "both")), Moment(*come[place])) for place in chosen]


@pytest.fixture
def long_recipe(seed: int, model_folder: Path, text_file: Path) -> Recipe:
    """A run that is through all stages in some seconds, and trains in the way that the series of kills has."""
    way = WAYS[list(WAYS)[seed % len(WAYS)]]
    plain = {
        "model": str(model_folder),
        "corpus": f"file:{text_file}",
        "heads": {"level": 0.34},
        "tuning": {"steps": STEPS, "batch_size": 4, "sequence_length": 32, "learning_rate": 1e-3},
        "calibration": {"tokens": 512, "sequence_length": 32},
        "evaluation": {"tokens": 512, "sequence_length": 32},
        "prompt": "The old tree",
        "device": "cpu",
    }
    return Recipe.model_validate(plain | way | {"tuning": plain["tuning"] | way.get("tuning", {})})


@pytest.fixture
def undisturbed(long_recipe: Recipe, tmp_path: Path) -> Path:
    """The folder of the same run, left alone."""
    folder = tmp_path / "undisturbed"
    for _ in run(long_recipe, folder):
        pass
    return folder


@pytest.fixture
def client(long_recipe: Recipe, tmp_path: Path) -> Iterator[Client]:
    """A run that was asked for everything; whoever works on it ends with the test."""
    client = start(long_recipe, tmp_path / "run")
    yield client
    for process in holders(client.folder):
        process.kill()
    while client.is_awake():  # reaps it
        time.sleep(0.05)


def holders(folder: Path) -> list[psutil.Process]:
    """The supervisor and the worker of a run, those that live."""
    holder, found = read_lock(folder), []
    for pid in (holder["pid"], holder["worker"]) if holder is not None and is_alive(holder) else ():
        if pid is not None and psutil.pid_exists(pid):
            found.append(psutil.Process(pid))
    return found


def kill(folder: Path, who: str) -> bool:
    """End the worker, the supervisor or both of them as a fault would; False where that one is not there just now."""
    there = holders(folder)
    if len(there) < 2:
        return False
    for process in {"worker": there[1:], "supervisor": there[:1], "both": there}[who]:
        process.kill()
    return True


def disturb(client: Client, plan: list[tuple[str, Moment]]) -> list[str]:
    """Carry a run out to its end, killing as planned; what was killed when."""
    tail, events, done = Tail(client.folder / "events.jsonl"), [], []
    end, due, watched = time.monotonic() + PATIENCE, None, 0.0
    while not client.is_over():
        now = time.monotonic()
        assert now < end, f"still {open_run(client.folder).doing!r} after {done}: {tail_of(client.folder / 'worker.log')}"
        if now - watched > 0.5:
            client.watch()
            watched = now
        events += tail.read()
        if plan:
            who, moment = plan[0]
            if due is None and moment.come(events):
                due = now + moment.after
            if due is not None and now >= due and kill(client.folder, who):
                done.append(f"{who} in {moment.name}")
                plan, due = plan[1:], None
        time.sleep(0.001)
    return done


def tail_of(log: Path) -> str:
    """The last words of a worker."""
    return log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""


def weights(folder: Path) -> dict[str, bytes]:
    """The files of weights that a run ends with: the smaller model's, the trained model's and its control's."""
    state = open_run(folder)
    last = folder / "checkpoints" / state.checkpoint
    paths = (folder / "model" / "model.safetensors", last / "weights.safetensors", last / "control.safetensors")
    return {path.name: path.read_bytes() for path in paths}


def told(state: RunState) -> dict[str, object]:
    """All that a page shows of how a run ended, but for names of checkpoints, times and speeds."""
    standing = state.standing
    return {
        "status": state.status, "perplexity": standing.perplexity, "curves": standing.curves, "samples": standing.samples,
        "gates": standing.gates, "scores": state.scores, "degraded": state.degraded,
        "size": standing.cut and (standing.cut.parameters_before, standing.cut.parameters_after),
        "saved": standing.saved is not None,
    }  # fmt: skip


def check_record(folder: Path) -> None:
    """Every line is numbered by its place, every command answered once, as done, and nothing half written is left."""
    lines = folder.joinpath("events.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))
    answers = [each.fact for each in read_events(folder) if isinstance(each.fact, ANSWERS)]
    asked = Tail(folder / "commands.jsonl").read()
    assert [answer.command for answer in answers] == list(range(len(asked) - 1))  # the last is Finish, which ends the run
    assert all(isinstance(answer, CommandFinished) for answer in answers)
    assert not (folder / "checkpoints" / "bookmarks").exists()
    left = [path.name for pattern in (".*", "*/.*", "*/*/.*") for path in folder.glob(pattern)]
    assert left == []


@pytest.mark.parametrize("seed", range(-(-KILLS // EACH)))
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(seed, client, undisturbed, monkeypatch):
    """In training, in the writing of a checkpoint, in an export: weights, numbers and record are those of the run left alone."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(VARIABLE, str(EVERY))
    plan = moments(random.Random(seed), min(EACH, KILLS - seed * EACH))
    client.wake()
    for command in (*ask.commands_of(client.recipe), ask.Finish()):
        client.post(command)
    done = disturb(client, plan)
    print(list(WAYS)[seed % len(WAYS)], *done, sep="; ")
    # On a quiet machine a short command is over before the moment that was drawn for its killing, and so is what comes after it.
    assert len(done) >= len(plan) // 2, f"of {plan} only {done} came about"
    check_record(client.folder)
    assert told(open_run(client.folder)) == told(open_run(undisturbed))
    assert weights(client.folder) == weights(undisturbed)
