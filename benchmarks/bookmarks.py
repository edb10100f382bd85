"""What the bookmarks of a recovery take of its time and of the machine's memory, on the CPU.

Time: `gpt2-tiny` trains for a minute and a half, default recipe, with bookmarks at their default pace; the seconds that went into
writing them over all seconds since the first step. A large one: of a model of SmolLM2-135M's shape with random weights that has
made one step, how much more the process holds while a bookmark of 1.6 GB is written, over the size of its weights, and how long
that takes over what is foretold of it, by which the first one waits its turn; the most of three.
"""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import Row
from engine.models.load import load
from engine.record.events import Validated
from engine.record.memory import forget_peak, give_back, peak, resident
from engine.record.recipe import Recipe, Tuning
from engine.recovery.bookmarks import PACE, Bookmarks
from engine.recovery.loop import arithmetic, train
from engine.recovery.loss import loss_of
from engine.recovery.stepper import Stepper
from engine.recovery.training_state import Place, keep
from engine.recovery.watch import Watch
from engine.text.corpora import read_corpus
from engine.text.texts import Texts

SECONDS, TIMES = 90.0, 3
OF = {"arm": "tuned"}
CPU = torch.device("cpu")


def measure() -> Iterator[Row]:
    """A row for the time, two for a large one."""
    with tempfile.TemporaryDirectory() as folder:
        yield _time(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield from _large(Path(folder))


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


def _large(folder: Path) -> Iterator[Row]:
    torch.manual_seed(0)
    shape = {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3}
    model = LlamaForCausalLM(LlamaConfig(**shape, intermediate_size=1536, vocab_size=49152, tie_word_embeddings=True))
    weights = sum(one.nbytes for one in model.parameters())
    stepper = Stepper(model, partial(loss_of, model), Tuning(steps=4, batch_size=1), 0, torch.float32)
    stepper.step(torch.randint(49152, (1, 64)), 0)
    marks, watch = Bookmarks(folder, OF), Watch(stepper.trained, 0, 0.0)
    most, took = 0, []
    for step in range(1, TIMES + 1):
        give_back()  # or a copy would lie in what the gradients have left, unseen
        forget_peak()
        before, spent = resident(), marks.spent
        for problem in keep(marks, stepper, watch, Place(step, Validated("tuned", 0, 1.0, 1))):
            raise RuntimeError(problem.why)
        most = max(most, peak() - before)
        took.append(marks.spent - spent)
    stepper.close()
    yield Row("memory taken while a large bookmark is written", most / 1e6, "MB", 0.1, weights / 1e6, "the weights in it")
    yield Row("a large bookmark, written", max(took), "s", None, 3 * weights / PACE, "what is foretold of it")
