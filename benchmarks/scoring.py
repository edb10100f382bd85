"""What scoring costs, on random weights and blocks of 256 tokens; passes take turns, and medians are compared.

One pass that gathers moments, covariances and gate gradients of a GPT-2, against a plain forward and backward pass with the
gradients of all weights. The loss without each head, against the loop that runs the whole model for each: a GPT-2 medium and a
GPT-2, each at a quarter of its width and vocabulary, so that layers and language-model head weigh in it what they weigh in the
original. What is shared are layers; the head is not. Of L layers 2/3 + (L - 1) / 2 are left to run on average, for the attention
without a head is not run again, and the language-model head is worth V / 12 d layers, 4.1 in GPT-2 medium and 5.5 in GPT-2: by
the count 0.58 of the loop is left of the one and 0.67 of the other, and no order of exact work takes less, so that 12 layers
miss the goal of 0.6.
The most memory that either takes beside the model, read every few milliseconds in a process of its own, for GPT-2. Memory that
is given up goes back to the system there as it does in a run's worker: with the C library's own thresholds a third more is held.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import psutil
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks import Row
from engine import Gates, Plan, dissect, evaluate
from engine.pruning.ablate import ablating
from engine.pruning.calibration import calibrate, memory_needed
from engine.record.memory import THRESHOLDS

PASS = ("rms", "mean", "covariance", "gradients")
TURNS, BLOCKS, LENGTH = 3, 4, 256
DEPTHS = {
    "24 layers": {"n_layer": 24, "n_embd": 256, "n_head": 4},
    "12 layers": {"n_layer": 12, "n_embd": 192, "n_head": 3},
}


def measure() -> Iterator[Row]:
    """Five rows: the pass, the losses without heads, and what memory each takes over the model's own."""
    model, blocks = _model(), _blocks(50257)
    gathered, plain = _in_turns(lambda: calibrate(model, blocks, PASS), lambda: _forward_and_backward(model, blocks))
    yield Row("one pass of moments, covariances, gate gradients", gathered, "s", 1.3, plain, "one forward and backward pass")
    for name, shape in DEPTHS.items():
        deep, short = _model(**shape, vocab_size=12564, bos_token_id=0, eos_token_id=0), _blocks(12564)[:2]
        shared, naive = _in_turns(partial(_shared, deep, short), partial(_one_by_one, deep, short))
        yield Row(f"losses without each head, prefixes shared, {name}", shared, "s", 0.6, naive, "the whole model for each head")
    own = sum(parameter.nbytes for parameter in model.parameters()) / 1e6
    for name, needs in (("the pass", PASS), ("losses without heads", ("losses",))):
        command = [sys.executable, "-m", "benchmarks.scoring", *needs]
        as_a_worker = {**os.environ, **THRESHOLDS}
        most = int(subprocess.run(command, capture_output=True, text=True, check=True, env=as_a_worker).stdout) / 1e6
        said = memory_needed(dissect(model), needs, length=LENGTH) / 1e6
        yield Row(f"most memory of {name} ({said:,.0f} MB were announced)", most, "MB", 4.0, own, "the model's weights")


def _model(**options: int) -> nn.Module:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(**options)).eval()


def _blocks(vocabulary: int) -> torch.LongTensor:
    return torch.randint(0, vocabulary, (BLOCKS, LENGTH), generator=torch.Generator().manual_seed(0))  # [blocks, length]


def _in_turns(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS + 1):
        for run, of_run in zip((one, other), times, strict=True):
            start = time.perf_counter()
            run()
            of_run.append(time.perf_counter() - start)
    return tuple(statistics.median(of_run[1:]) for of_run in times)


def _forward_and_backward(model: nn.Module, blocks: torch.LongTensor) -> None:
    for batch in blocks.split(2):
        logits = model(input_ids=batch, use_cache=False).logits  # [batch, length, vocabulary]
        nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten()).backward()
        model.zero_grad()


def _shared(model: nn.Module, blocks: torch.LongTensor) -> None:
    for _ in ablating(model, dissect(model), blocks):
        pass


def _one_by_one(model: nn.Module, blocks: torch.LongTensor) -> None:
    with Gates(model) as gates:
        evaluate(model, blocks)
        for layer in dissect(model).layers:
            for head in range(layer.heads):
                gates.set(Plan(heads={(layer.index, head)}))
                evaluate(model, blocks)


def _most_memory(needs: list[str]) -> int:
    """Bytes that a calibration takes beyond what the process had before it."""
    model, blocks = _model(n_head=2) if needs == ["losses"] else _model(), _blocks(50257)
    with torch.no_grad():
        model(input_ids=blocks[:1, :8])  # whatever torch sets up for its first pass
    process, over = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def look() -> None:
        nonlocal most
        while not over.wait(0.003):
            most = max(most, process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    calibrate(model, blocks[:2] if needs == ["losses"] else blocks, needs)
    over.set()
    looking.join()
    return most - before


if __name__ == "__main__":
    print(_most_memory(sys.argv[1:]))
