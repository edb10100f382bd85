"""What a training step costs with everything on: gates, events, commands looked for, every line written to the run folder.

`gpt2-tiny`, half of its units closed, batches of 8 × 128 tokens. The reference is a bare loop over a copy of the same model with
the same batches, optimizer and precision. They take turns, 20 steps each; the medians of the turns are compared.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from benchmarks import Row
from engine.models.load import load
from engine.record import commands as ask
from engine.record.events import StepTrained
from engine.record.folder import Writer, post
from engine.record.recipe import Recipe, Schedule, Tuning
from engine.recovery.loop import arithmetic
from engine.recovery.schedule import batch, learning_rate
from engine.session import Inbox, serve
from engine.text.corpora import read_corpus
from engine.text.texts import Texts
from engine.workbench import Workbench

TURNS, STEPS, WHOLE = 12, 20, 100_000


def measure() -> Iterator[Row]:
    """One row: the engine's step over the bare loop's."""
    recipe = Recipe(heads=Schedule(level=0.5), neurons=Schedule(level=0.5), tuning=Tuning(steps=WHOLE, control=False))
    with tempfile.TemporaryDirectory() as scratch:
        full, bare = _engine(recipe, Path(scratch)), _bare_loop(recipe)
        times: dict[str, list[float]] = {"full": [], "bare": []}
        for _ in range(TURNS + 1):
            for name, steps in (("full", full), ("bare", bare)):
                start = time.perf_counter()
                for _ in range(STEPS):
                    next(steps)
                times[name].append((time.perf_counter() - start) / STEPS)
        full.close()
    medians = {name: statistics.median(found[1:]) for name, found in times.items()}
    yield Row("training step with gates, events and folder", medians["full"], "s", 1.03, medians["bare"], "a bare loop")


def _engine(recipe: Recipe, folder: Path) -> Iterator[None]:
    """Yields after every step of a recovery that is driven as a worker drives it."""
    for command in ask.commands_of(recipe):
        post(folder, command)
    bench, writer = Workbench(folder, recipe), Writer(folder / "events.jsonl")
    try:
        for event in serve(bench, Inbox(folder=folder), lambda: False):
            writer.append(event)
            if isinstance(event, StepTrained):
                yield
    finally:
        writer.close()
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
