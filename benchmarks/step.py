"""What a training step costs with everything on, as in a worker: gates, events, commands looked for, every line written to the
run folder, memory sampled once a second.

`gpt2-tiny`, half of its units closed, batches of 8 × 128 tokens. The reference is a bare loop over a copy of the same model with
the same batches, optimizer and precision. They take turns, 40 steps each time in a process of its own; the medians over all
steps are compared, in seconds of processor time, which other programs on the machine change little.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from torch import nn

from benchmarks import Row
from benchmarks._turns import medians, seconds
from engine.inbox import Inbox
from engine.journal import Journal
from engine.models.load import load
from engine.record import commands as ask
from engine.record.events import StepTrained
from engine.record.folder import post
from engine.record.lifecycle import CommandStarted
from engine.record.memory import hold_steady
from engine.record.recipe import Recipe, Schedule, Tuning
from engine.recovery.loop import arithmetic
from engine.recovery.schedule import batch, learning_rate
from engine.session import serve
from engine.text.corpora import read_corpus
from engine.text.texts import Texts
from engine.watching import suit
from engine.workbench import Workbench
from engine.worker import Sampler

WHOLE = 100_000
RECIPE = Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.5), tuning=Tuning(steps=WHOLE, control=False))


def measure() -> Iterator[Row]:
    """One row: the engine's step over the bare loop's."""
    full, bare = medians("benchmarks.step", tuple(SIDES))
    yield Row("training step with gates, events and folder", full, "s", 1.03, bare, "a bare loop")


def _full() -> list[float]:
    hold_steady()  # as the supervisor starts a worker
    with tempfile.TemporaryDirectory() as scratch, closing(_engine(RECIPE, Path(scratch))) as steps:
        return seconds(steps)


def _bare() -> list[float]:
    return seconds(_bare_loop(RECIPE))


def _engine(recipe: Recipe, folder: Path) -> Iterator[None]:
    """Yields after every step of a recovery that is driven as a worker drives it."""
    for command in ask.commands_of(recipe):
        post(folder, command)
    bench, log = Workbench(folder, recipe), Journal(folder)
    try:
        with Sampler(log, os.getppid()) as sampler:
            sampler.busy = True
            for event in serve(bench, Inbox(folder=folder), lambda: False):
                if isinstance(event, CommandStarted):
                    suit(event)
                log.append(event)
                if isinstance(event, StepTrained):
                    yield
    finally:
        log.close()
        bench.close()


def _bare_loop(recipe: Recipe) -> Iterator[None]:
    """Yields after every step of the shortest loop that trains the same model on the same batches."""
    loaded, tuning = load(recipe.model), recipe.tuning
    texts = Texts(read_corpus(recipe.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
    blocks, model = texts.blocks("train", tuning.sequence_length), loaded.model
    precision = arithmetic("auto", torch.device("cpu"))
    groups = [
        {"params": [one for one in model.parameters() if one.ndim > 1], "weight_decay": tuning.weight_decay},
        {"params": [one for one in model.parameters() if one.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=tuning.learning_rate, betas=(0.9, 0.95), fused=True)
    model.train()
    for step in range(WHOLE):
        tokens = batch(blocks, step, tuning.batch_size, recipe.seed)  # [batch, length]
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            logits = model(input_ids=tokens, use_cache=False).logits  # [batch, length, vocabulary]
            loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), tuning.clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, tuning.steps, tuning.learning_rate, tuning.warmup)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        yield


SIDES = {"full": _full, "bare": _bare}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]]()))
