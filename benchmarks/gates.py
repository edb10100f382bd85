"""What closed gates cost a forward pass: a GPT-2-shaped model of 124 million random weights, 2 × 256 tokens, half of its heads
and neurons gated, in turn with the same model without gates; medians of 15 passes each."""

import statistics
import time
from collections.abc import Iterator

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks import Row
from engine import Gates, Plan, dissect

PASSES = 15


def measure() -> Iterator[Row]:
    """One row: gated over dense."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config()).eval()
    tokens = torch.randint(0, 50257, (2, 256))  # [batch, length]
    layers = dissect(model).layers
    half = Plan(
        ((layer.index, head) for layer in layers for head in range(0, layer.heads, 2)),
        ((layer.index, neuron) for layer in layers for neuron in range(0, layer.neurons, 2)),
    )
    dense, gated = [], []
    for _ in range(PASSES + 1):
        dense.append(_seconds(model, tokens))
        with Gates(model) as gates:
            gates.set(half)
            gated.append(_seconds(model, tokens))
    yield Row(
        "forward pass with half of the units gated",
        statistics.median(gated[1:]),
        "s",
        1.03,
        statistics.median(dense[1:]),
        "the same pass without gates",
    )


def _seconds(model: torch.nn.Module, tokens: torch.LongTensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        model(input_ids=tokens, use_cache=False)
    return time.perf_counter() - start
