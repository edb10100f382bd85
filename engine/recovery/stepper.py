"""One optimizer step after another: a batch read in pieces, gradients added up, clipped, applied; knows no text and no rounds.

AdamW, Loshchilov and Hutter 2019, arXiv 1711.05101. Weight decay is for matrices: pulling biases and norms towards zero only
shifts activations. Weights, gradients and moments stay in the model's own dtype (float32); `precision` is that of the arithmetic
(autocast). float16 reaches down to 6e-8 only, so there the loss is scaled up before its gradient is taken, by as much as the
gradients bear: Micikevicius et al. 2018, arXiv 1710.03740.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import LongTensor, Tensor, nn

from engine.record.errors import BadInput
from engine.record.recipe import Tuning
from engine.recovery.faults import Faults
from engine.recovery.ranks import Ranks, ranks
from engine.recovery.schedule import learning_rate

FUSED = ("cpu", "cuda", "mps")  # where torch has all of a step in one kernel


class Diverged(BadInput):
    """A loss or a gradient that is no number any more. It has no `field`: the recipe was possible, the training failed."""


class Stepper:
    """Trains the parameters of `model` that require a gradient, lowering `loss`.

    `piece` is how many sequences are read at once. It may be made smaller between any two steps: the batch, and up to rounding
    the step, stay the same. `pace` is a factor of the schedule's learning rate, which may be changed between any two steps too.
    """

    def __init__(self, model: nn.Module, loss: Callable[[LongTensor], Tensor], tuning: Tuning, seed: int, precision: torch.dtype):
        self.model, self.loss, self.tuning, self.seed, self.precision = model, loss, tuning, seed, precision
        self.device = next(model.parameters()).device
        self.ranks = ranks()
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.piece = -(-tuning.batch_size // tuning.accumulation)
        self.pace, self.faults = 1.0, Faults()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == torch.float16)
        matrices = {"params": [one for one in self.trained if one.ndim > 1], "weight_decay": tuning.weight_decay}
        vectors = {"params": [one for one in self.trained if one.ndim < 2], "weight_decay": 0.0}
        self.optimizer = torch.optim.AdamW(
            [matrices, vectors], lr=tuning.learning_rate, betas=(0.9, 0.95), fused=self.device.type in FUSED
        )

    def step(self, tokens: LongTensor, step: int) -> tuple[float, float]:
        """Take the step of that number on `tokens` `[batch, length]`; its loss, before the step, and its learning rate.

        Dropout is a function of the seed and the number. Raises `Diverged` when the loss or the gradient's norm is not finite;
        the weights are then those before the step. Under float16 a gradient that is too large for it only lowers the scale.
        """
        with _training(self.model, self.seed, step, self.device, self.ranks):
            measured = self._gradients(tokens, step)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.trained, self.tuning.clip).item()
        if not math.isfinite(measured) or not (math.isfinite(norm) or self.scaler.get_scale() > 1):
            self.optimizer.zero_grad()
            self.scaler.update()  # which otherwise takes the next step for this one
            raise Diverged(f"The loss of step {step + 1} is {measured} with a gradient of norm {norm}.")
        tuning = self.tuning
        rate = self.pace * learning_rate(step, tuning.steps, tuning.learning_rate, tuning.warmup, tuning.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return measured, rate

    def _gradients(self, tokens: LongTensor, step: int) -> float:
        """Leave the gradient of the mean loss in the parameters; returns that loss. Pieces are as long as one another, or the
        last is shorter, and count by their sequences; so do the shares of several processes."""
        total, spoilt = 0.0, self.faults.strikes("loss", step)
        for part in self.ranks.share(tokens).split(self.piece):
            part = part.to(self.device)  # [piece, length]
            with torch.autocast(self.device.type, self.precision, enabled=self.precision in (torch.bfloat16, torch.float16)):
                loss = self.loss(part) * math.nan if spoilt else self.loss(part)
            share = len(part) / len(tokens)
            self.scaler.scale(loss * share if share < 1 else loss).backward()
            total += loss.item() * share
        if self.faults.strikes("gradient", step):
            self.trained[0].grad.fill_(math.inf)
        if self.ranks.count > 1:
            together = torch.tensor(total, dtype=torch.float64, device=self.device)
            self.ranks.add_up([one.grad for one in self.trained if one.grad is not None] + [together])
            total = together.item()
        return total


@contextmanager
def _training(model: nn.Module, seed: int, step: int, device: torch.device, ranks: Ranks) -> Iterator[None]:
    """Training mode and a random state that depends on seed, step and process alone, for the time of one step; then as before."""
    before = model.training
    accelerators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(accelerators):
        torch.manual_seed(seed * 1_000_003 + step + (ranks.number << 50))
        model.train()
        try:
            yield
        finally:
            model.train(before)
