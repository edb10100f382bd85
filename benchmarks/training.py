"""What a recovery costs beside what the work itself takes: time beside transformers' Trainer, memory beside the sum of its parts.

`gpt2-tiny`, half of its units closed, batches of 8 × 128 tokens in float32 on the CPU. Trainer runs with its defaults on the
same model with the same gates and the same text. Both take turns of 20 steps, and the medians over all steps are compared, in
seconds of processor time, which other programs on the machine change little; Trainer's from the end of one step to the end of
the next. Memory is what torch hands out, weights included, in a whole Tune of three steps without a control, its validation,
evaluation, sample and checkpoint too. The reference is the weights, as much for gradients, twice as much for AdamW's moments,
and what a forward pass with transformers' own loss keeps for the backward pass, measured.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator

import torch
from torch import LongTensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from benchmarks import Row
from engine.evaluation.memory import peak
from engine.record import commands as ask
from engine.record.events import StepTrained
from engine.record.recipe import Recipe, Schedule, Tuning
from engine.report import size_of
from engine.workbench import Workbench

TURNS, STEPS = 5, 20
HALF = Schedule(level=0.5)
RECIPE = Recipe(heads=HALF, neurons=HALF, precision="float32", device="cpu", tuning=Tuning(control=False))
WAYS = {
    "full": {},
    "full, batch in four pieces": {"accumulation": 4},
    "lora": {"method": "lora"},
    "distil": {"method": "distil"},
    "distil by lora": {"method": "distil", "student": "lora"},
}


def measure() -> Iterator[Row]:
    """A row for the time of a step, and one for the memory of each way to recover."""
    yield _time()
    for way, choices in WAYS.items():
        yield _memory(way, Tuning(**(choices | {"steps": 3, "control": False})))


def _time() -> Row:
    bench = _pruned()
    desk = bench.desk
    blocks = desk.texts.blocks("train", RECIPE.tuning.sequence_length)
    ours: list[float] = []
    theirs: list[float] = []
    tuning = RECIPE.tuning.model_copy(update={"steps": 100_000})
    steps = (event for event in bench.handle(ask.Tune(tuning)) if isinstance(event, StepTrained))
    for turn in range(TURNS + 1):
        found = []
        for _ in range(STEPS):
            start = time.process_time()
            next(steps)
            found.append(time.process_time() - start)
        before, after = found[1:], _trainer(desk.model, blocks)
        if turn:
            ours += before
            theirs += after
    steps.close()
    bench.close()
    return Row("step of a recovery", statistics.median(ours), "s", 1.0, statistics.median(theirs), "Trainer with its defaults")


def _trainer(model: nn.Module, blocks: LongTensor) -> list[float]:
    """Seconds of each of Trainer's steps but the first."""
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, max_steps=STEPS, use_cpu=True, disable_tqdm=True, save_strategy="no")
        rows = [{"input_ids": row, "labels": row} for row in blocks[: STEPS * 8]]
        trainer = Trainer(model, arguments, train_dataset=rows, callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.eval()
    return [after - before for before, after in zip(clock.ends, clock.ends[1:], strict=False)]


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.ends.append(time.process_time())


def _memory(way: str, tuning: Tuning) -> Row:
    bench = _pruned()
    weights, model = size_of(bench.desk.model)[1], bench.desk.model
    tokens = bench.desk.texts.blocks("train", tuning.sequence_length)[: tuning.batch_size]  # [batch, length]
    kept: list[torch.Tensor] = []
    model.train()  # with what dropout keeps
    activations = peak(lambda: kept.append(model(input_ids=tokens, labels=tokens, use_cache=False).loss), torch.device("cpu"))
    kept.clear()
    model.eval()
    taken = peak(lambda: list(bench.handle(ask.Tune(tuning, RECIPE.evaluation))), torch.device("cpu"))
    bench.close()
    goal = 1.1 if way == "full" else None
    against = "weights, gradients, moments and activations of a full one"
    return Row(f"memory of a recovery, {way}", (weights + taken) / 1e6, "MB", goal, (4 * weights + activations) / 1e6, against)


def _pruned() -> Workbench:
    bench = Workbench(None, RECIPE)
    for command in ask.commands_of(RECIPE)[:1] + (ask.prune_of(RECIPE),):
        for _ in bench.handle(command):
            pass
    return bench
