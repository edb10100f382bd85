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
from engine.record.events import Evaluated, StepTrained
from engine.record.folder import read_events
from engine.recovery.ranks import GO, Ranks, ranks

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


def test_two_processes_train_as_one(recipe, tmp_path):
    """By `accelerate launch` on CPUs: the losses of both arms and the perplexities, up to rounding; one folder, written once."""
    uneven = recipe.tuning.model_copy(update={"batch_size": 5, "steps": 3})
    recipe = recipe.model_copy(update={"tuning": uneven, "precision": "float32"})
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--main_process_port", "0"]
    asked = ["-m", "engine", "run", str(tmp_path / "recipe.json"), "--folder", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, *launch, *asked], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [str(tmp_path / "run")]
    alone = list(run(recipe))
    together = [stamped.fact for stamped in read_events(tmp_path / "run")]
    for kind, value in ((StepTrained, "loss"), (Evaluated, "nll")):
        found, wanted = ([getattr(one, value) for one in told if isinstance(one, kind)] for told in (together, alone))
        assert len(wanted) >= 5 and found == pytest.approx(wanted, rel=1e-5)
    assert open_run(tmp_path / "run").status == "finished"
    assert json.loads((tmp_path / "run" / "model" / "pruning.json").read_text())["history"][-1]["trained_steps"] == 3
