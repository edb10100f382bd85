"""What a recovery costs beside what the work itself takes: time beside transformers' Trainer, memory beside the sum of its parts.

`gpt2-tiny`, half of its units closed, batches of 8 × 128 tokens in float32 on the CPU. Trainer runs with its defaults on the
same model with the same gates and the same text. They take turns, each time in a process of its own, ours set up as a worker is,
and the medians over all steps are compared, in seconds of processor time, which other programs on the machine change little;
Trainer's from the end of one step to the end of the next. Memory is what torch hands out, weights included, in a whole Tune of
three steps without a control, its validation, evaluation, sample and checkpoint too. The reference is the weights, as much for
gradients, twice as much for AdamW's moments, and what a forward pass with transformers' own loss keeps for the backward pass,
measured.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from benchmarks import Row
from benchmarks._turns import FIRST, STEPS, medians, seconds
from engine.evaluation.memory import peak
from engine.record import commands as ask
from engine.record.events import StepTrained
from engine.record.lifecycle import CommandStarted
from engine.record.memory import hold_steady
from engine.record.recipe import Recipe, Schedule, Tuning
from engine.report import size_of
from engine.watching import suit
from engine.workbench import Workbench

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
    ours, theirs = medians("benchmarks.training", tuple(SIDES))
    return Row("step of a recovery", ours, "s", 1.0, theirs, "Trainer with its defaults")


def _ours() -> list[float]:
    """Seconds of each step of a recovery, but the first ones."""
    hold_steady()  # as the supervisor starts a worker
    bench = _pruned()
    suit(CommandStarted(0, "Tune"))
    tuning = RECIPE.tuning.model_copy(update={"steps": 100_000})
    steps = (event for event in bench.handle(ask.Tune(tuning)) if isinstance(event, StepTrained))
    found = seconds(steps)
    steps.close()
    bench.close()
    return found


def _trainer() -> list[float]:
    """Seconds of each of Trainer's steps, but the first ones."""
    bench, clock = _pruned(), _Clock()
    blocks = bench.desk.texts.blocks("train", RECIPE.tuning.sequence_length)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, max_steps=FIRST + STEPS, use_cpu=True, disable_tqdm=True, save_strategy="no")
        rows = [{"input_ids": row, "labels": row} for row in blocks[: (FIRST + STEPS) * 8]]
        trainer = Trainer(bench.desk.model, arguments, train_dataset=rows, callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    bench.close()
    return [after - before for before, after in zip(clock.ends, clock.ends[1:], strict=False)][FIRST - 1 :]


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


SIDES = {"ours": _ours, "theirs": _trainer}

if __name__ == "__main__":
    print(json.dumps(SIDES[sys.argv[1]]()))
