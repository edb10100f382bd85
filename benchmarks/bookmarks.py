"""What the bookmarks of a recovery take of its time and of the machine's memory, on the CPU.

Time: `gpt2-tiny` trains for a minute and a half, default recipe, with bookmarks at their default pace; the seconds that went into
writing them over all seconds since the first step. Memory: of a GPT-2 of 23 million parameters with random weights that has made
one step, how much more the process holds while a bookmark of 280 MB is written, over the size of its weights; the most of three.
"""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks import Row
from engine.models.load import load
from engine.record.events import Validated
from engine.record.recipe import Recipe, Tuning
from engine.record.resident import forget_peak, give_back, peak, resident
from engine.recovery.bookmarks import Bookmarks
from engine.recovery.loop import arithmetic, train
from engine.recovery.loss import loss_of
from engine.recovery.place import Place, keep
from engine.recovery.stepper import Stepper
from engine.recovery.watch import Watch
from engine.text.corpora import read_corpus
from engine.text.texts import Texts

SECONDS, TIMES = 90.0, 3
OF = {"arm": "tuned"}
CPU = torch.device("cpu")


def measure() -> Iterator[Row]:
    """A row for the time, one for the memory."""
    with tempfile.TemporaryDirectory() as folder:
        yield _time(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield _memory(Path(folder))


def _time(folder: Path) -> Row:
    recipe = Recipe(tuning=Tuning(steps=100_000))
    loaded, tuning = load(recipe.model), recipe.tuning
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    blocks, held_out = texts.blocks("train", tuning.sequence_length), texts.blocks("calibration", tuning.sequence_length, 4096)
    marks = Bookmarks(folder, OF)
    events = train(loaded.model, blocks, held_out, tuning, arm="tuned", seed=0, precision=arithmetic("auto", CPU), marks=marks)
    next(events)  # the validation before the first step
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        next(events)
    whole = time.monotonic() - began
    events.close()
    return Row("bookmarks of a recovery, written", marks.spent, "s", 0.02, whole, "the recovery with them")


def _memory(folder: Path) -> Row:
    torch.manual_seed(0)
    size = GPT2Config(
        vocab_size=8192, n_positions=128, n_embd=512, n_layer=6, n_head=8, bos_token_id=0, eos_token_id=0, loss_type="ForCausalLM"
    )
    model = GPT2LMHeadModel(size)
    weights = sum(one.nbytes for one in model.parameters())
    tuning = Tuning(steps=4, batch_size=1)
    stepper = Stepper(model, partial(loss_of, model), tuning, 0, torch.float32)
    stepper.step(torch.randint(8192, (1, 64)), 0)
    marks, watch = Bookmarks(folder, OF), Watch(stepper.trained, 0, 0.0)
    most = 0
    for step in range(1, TIMES + 1):
        give_back()  # or a copy would lie in what the gradients have left, unseen
        forget_peak()
        before = resident()
        for problem in keep(marks, stepper, watch, Place(step, Validated("tuned", 0, 1.0, 1))):
            raise RuntimeError(problem.why)
        most = max(most, peak() - before)
    stepper.close()
    return Row("memory taken while a bookmark is written", most / 1e6, "MB", 0.1, weights / 1e6, "the weights in it")
