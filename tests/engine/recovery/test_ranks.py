"""Tests of engine/recovery/ranks.py: two processes train the model that one would, and one alone shares nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine import open_run, run
from engine.record.errors import BadInput
from engine.record.events import ENDS, CheckpointSaved, Evaluated, StepTrained
from engine.record.folder import read_events
from engine.record.recipe import Recipe
from engine.record.run_list import listed
from engine.recovery.ranks import GO, Ranks, left_alone, ranks

ROOT = Path(__file__).parents[3]


def test_alone_nothing_is_shared():
    """The batch is whole, what is said is heard, and nobody is asked."""
    alone, tokens = ranks(), torch.arange(12).view(4, 3)
    assert alone == Ranks(0, 1)
    assert torch.equal(alone.share(tokens), tokens) and alone.hear(GO, torch.device("cpu")) == GO


def test_the_shares_of_a_batch_are_the_batch():
    """Each sequence once, however many there are; fewer than one each are refused."""
    tokens = torch.arange(7)[:, None]
    shares = [Ranks(number, 3).share(tokens) for number in range(3)]
    assert sorted(torch.cat(shares).flatten().tolist()) == list(range(7))
    with pytest.raises(BadInput, match="tuning.batch_size 2 gives 3 processes less than a sequence each"):
        Ranks(0, 3).share(tokens[:2])


def test_one_process_that_was_to_be_several_says_so(recipe, monkeypatch):
    """As `accelerate launch` leaves it on a machine without GPUs; started by hand it says nothing."""
    for name in ("WORLD_SIZE", "MASTER_PORT", "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    assert left_alone() is None
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert left_alone() is None
    monkeypatch.setenv("MASTER_PORT", "29500")
    events = run(recipe)
    assert [next(events), next(events)][1] == left_alone()
    events.close()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert left_alone() is None


# The second process dies once the first one has told of two steps.
DIES = """
import os, signal, threading, time
from pathlib import Path
def die(events):
    while not events.exists() or events.read_text().count("StepTrained") < 2:
        time.sleep(0.01)
    Path("seen.json").write_text(Path("run/lock.json").read_text())
    Path("second").write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)
if os.environ["RANK"] == "1":
    threading.Thread(target=die, args=[Path("run/events.jsonl")], daemon=True).start()
"""


def launched(folder: Path, recipe: Recipe, faults: str, more: str = "") -> subprocess.CompletedProcess:
    """Two processes carry a recipe out in `folder` by `accelerate launch` on CPUs, with faults for the second one alone; both
    begin with the code in `more`."""
    (folder / "recipe.json").write_text(recipe.model_dump_json())
    script = folder / "second.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from engine.__main__ import main\n"
        f"os.environ['ESPALIER_FAULTS'] = {faults!r} if os.environ['RANK'] == '1' else ''\n"
        f"{more}\n"
        "sys.exit(main())\n"
    )
    # With --cpu accelerate starts one process, whatever number is asked for; this is how it starts two where there is no GPU.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0", str(script)]
    own = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(
        [sys.executable, *launch, "run", str(folder / "recipe.json"), "--folder", str(folder / "run")],
        cwd=folder, env=os.environ | own, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_two_processes_train_as_one(recipe, tmp_path):
    """The losses of both arms and the perplexities, up to rounding, also where memory runs out in the second process, which both
    spare then; one folder, written once."""
    uneven = recipe.tuning.model_copy(update={"batch_size": 5, "steps": 3})
    recipe = recipe.model_copy(update={"tuning": uneven, "precision": "float32"})
    done = launched(tmp_path, recipe, "memory@2")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [str(tmp_path / "run")]
    alone = list(run(recipe))
    together = [stamped.fact for stamped in read_events(tmp_path / "run")]
    for kind, value in ((StepTrained, "loss"), (Evaluated, "nll")):
        found, wanted = ([getattr(one, value) for one in told if isinstance(one, kind)] for told in (together, alone))
        assert len(wanted) >= 5 and found == pytest.approx(wanted, rel=1e-5)
    state = open_run(tmp_path / "run")
    assert state.status == "finished"
    assert [(each.asked, each.why) for each in state.degraded] == [
        (f"3 sequences at once in step 2 of the {arm}", "memory ran out in another process") for arm in ("recovery", "control")
    ]
    assert json.loads((tmp_path / "run" / "model" / "pruning.json").read_text())["history"][-1]["trained_steps"] == 3


def test_a_process_that_is_lost_costs_the_training_and_not_the_run(recipe, tmp_path):
    """Nothing of it is kept as though it had failed: the run is interrupted, and one process can go on with it to its end. Who
    looked until then was told of both."""
    long = recipe.model_copy(update={"tuning": recipe.tuning.model_copy(update={"steps": 3000, "control": False})})
    done = launched(tmp_path, long, "", DIES)
    facts = [stamped.fact for stamped in read_events(tmp_path / "run")]
    assert done.returncode == 1 and f"--resume {tmp_path / 'run'}" in done.stderr
    assert json.loads((tmp_path / "seen.json").read_text())["others"] == [int((tmp_path / "second").read_text())]
    assert listed(tmp_path / "run").state.startswith("interrupted in Tune")
    assert [fact.reason for fact in facts if isinstance(fact, CheckpointSaved)] == ["prune"]
    assert not any(isinstance(fact, ENDS) for fact in facts)


def test_memory_that_one_process_has_no_more_of_ends_both_in_one_sentence(recipe, tmp_path):
    """None waits for the other; the first has written why, and kept what was learnt."""
    done = launched(tmp_path, recipe, "memory@2x9")
    state = open_run(tmp_path / "run")
    tried = "one sequence at a time and with activations computed again"
    why = f"Memory ran out in another process in step 2 of the recovery, also with {tried}"
    assert done.returncode == 1 and state.status == "failed" and state.failure.reason.startswith(why)
    assert done.stderr.count(state.failure.reason) == 1
    assert [step for step, _ in state.standing.curves["tuned"].training] == [1] and state.standing.perplexity["tuned"]
