"""The training loop, plain: next-token loss, AdamW, warm-up and decay, clipping; knows nothing of gates, stages or files.

It is a generator. Whoever drives it pauses by not asking for the next step and stops by closing it; between two steps the
model is in the mode in which it came.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import LongTensor, Tensor, nn
from torch.nn import functional

from engine.evaluation.perplexity import evaluate
from engine.record.errors import BadInput
from engine.record.events import StepTrained, Validated
from engine.record.recipe import Tuning
from engine.recovery.schedule import batch, learning_rate

VALIDATIONS = 10  # points on the validation curve, besides the one before the first step


class Diverged(BadInput):
    """A loss or a gradient that is no number any more. It has no `field`: the recipe was possible, the training failed."""


def train(
    model: nn.Module, blocks: LongTensor, held_out: LongTensor, tuning: Tuning, *, arm: str, seed: int, precision: torch.dtype
) -> Iterator[StepTrained | Validated]:
    """Train every parameter of `model` on `blocks` `[n, length]`; yield each step, and the loss on `held_out` now and then.

    Weights, gradients and AdamW's moments stay in the model's own dtype (float32); `precision` is that of the arithmetic
    (autocast). Batches, dropout and the learning rate are functions of `seed` and the step alone. Weight decay is for
    matrices: pulling biases and norms towards zero only shifts activations. Loshchilov and Hutter 2019, arXiv 1711.05101.

    Raises `Diverged` when a loss or a gradient's norm is not finite; the weights are then those of the last step.
    """
    device = next(model.parameters()).device
    optimizer = _optimizer(model, tuning)
    every = max(1, tuning.steps // VALIDATIONS)
    yield _validated(model, held_out, arm, 0)
    for step in range(tuning.steps):
        rate = learning_rate(step, tuning.steps, tuning.learning_rate, tuning.warmup)
        tokens = batch(blocks, step, tuning.batch_size, seed).to(device)  # [batch, length]
        with _training(model, seed, step, device):
            loss = _step(model, optimizer, tokens, rate, tuning.clip, precision, step)
        yield StepTrained(arm, step + 1, tuning.steps, loss, rate)
        if (step + 1) % every == 0 or step + 1 == tuning.steps:
            yield _validated(model, held_out, arm, step + 1)


def loss_of(model: nn.Module, tokens: LongTensor) -> Tensor:
    """The mean of −log p over every predicted token of `tokens` `[batch, length]`, in nats; a scalar with its gradient."""
    logits = model(input_ids=tokens, use_cache=False).logits  # [batch, length, vocabulary]
    predictions = logits[:, :-1].flatten(0, 1)  # [batch · (length − 1), vocabulary]
    exact = predictions if predictions.dtype == torch.float64 else predictions.float()
    return functional.cross_entropy(exact, tokens[:, 1:].flatten())


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """The dtype that training computes in: as asked, or for "auto" bfloat16 where the hardware multiplies in it.

    Elsewhere bfloat16 is emulated and slower than float32. On two cores of a CPU with AVX-512 BF16 a step of a 2-million
    parameter GPT-2 took 0.6 of its float32 time.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == "cpu":
        able = torch.cpu.get_capabilities()
        fast = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tokens: LongTensor,
    rate: float,
    clip: float,
    precision: torch.dtype,
    step: int,
) -> float:
    with torch.autocast(tokens.device.type, precision, enabled=precision != torch.float32):
        loss = loss_of(model, tokens)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    measured = loss.item()
    if not (math.isfinite(measured) and math.isfinite(norm.item())):
        optimizer.zero_grad()
        raise Diverged(
            f"The loss of step {step + 1} is {measured} with a gradient of norm {norm.item()}; lower the learning rate."
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return measured


def _optimizer(model: nn.Module, tuning: Tuning) -> torch.optim.AdamW:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = {"params": [one for one in trained if one.ndim > 1], "weight_decay": tuning.weight_decay}
    vectors = {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0}
    return torch.optim.AdamW([matrices, vectors], lr=tuning.learning_rate, betas=(0.9, 0.95), fused=True)


def _validated(model: nn.Module, held_out: LongTensor, arm: str, step: int) -> Validated:
    found = evaluate(model, held_out)
    if not math.isfinite(found.nll):
        raise Diverged(f"The validation loss after step {step} is {found.nll / found.tokens}; lower the learning rate.")
    return Validated(arm, step, found.nll / found.tokens, found.tokens)


@contextmanager
def _training(model: nn.Module, seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Training mode and a random state that depends on seed and step alone, for the time of one step; then as before."""
    before = model.training
    accelerators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(accelerators):
        torch.manual_seed(seed * 1_000_003 + step)
        model.train()
        try:
            yield
        finally:
            model.train(before)
