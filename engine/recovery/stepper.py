"""One optimizer step after another: a batch read in pieces, gradients added up, clipped, applied; knows no text and no rounds.

AdamW, Loshchilov and Hutter 2019, arXiv 1711.05101. Weight decay is for matrices: pulling biases and norms towards zero only
shifts activations. Weights, gradients and moments stay in the model's own dtype (float32); `precision` is that of the arithmetic
(autocast). float16 reaches down to 6e-8 only, so there the loss is scaled up before its gradient is taken, by as much as the
gradients bear: Micikevicius et al. 2018, arXiv 1710.03740. Recomputed activations: Chen et al. 2016, arXiv 1604.06174.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import LongTensor, Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from engine.failures import Shortage, telling_shortage
from engine.models.modes import training
from engine.record.errors import BadInput
from engine.record.faults import Faults
from engine.record.recipe import Tuning
from engine.recovery.ranks import Ranks, ranks
from engine.recovery.schedule import learning_rate

FUSED = ("cpu", "cuda", "mps")  # where torch has all of a step in one kernel
TOO_MUCH = 2**60  # bytes that no machine has, so that a fault that is asked for ends in the device's own error


class Diverged(BadInput):
    """A loss or a gradient that is no number any more. It has no `field`: the recipe was possible, the training failed."""


class HalfMade(Shortage):
    """Memory that ran out while the optimizer was changing the weights: the step can be neither made again nor taken back."""


class Stepper:
    """Trains the parameters of `model` that require a gradient, lowering `loss`; `beside` are the other models that `loss` asks.

    `piece` is how many sequences are read at once. It may be made smaller between any two steps: the batch stays the same, and
    the step up to rounding and to which units dropout takes. So they do with `recompute` and `move`. `pace` is a factor of the
    schedule's learning rate, which may be changed between any two steps too. After `close` the model is where it was.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[LongTensor], Tensor],
        tuning: Tuning,
        seed: int,
        precision: torch.dtype,
        beside: Sequence[nn.Module] = (),
    ):
        self.model, self.loss, self.tuning, self.seed, self.precision = model, loss, tuning, seed, precision
        self.models = (model, *(one for one in beside if one is not model))
        self.home = self.device = next(model.parameters()).device
        self.ranks = ranks()
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.piece = -(-tuning.batch_size // tuning.accumulation)
        self.spared = False  # whether memory ran out once
        self.owed = 0  # how often it ran out in a way that was not told to this process, which was not there yet
        self.pace, self.faults = 1.0, Faults()
        self._recomputed: list[nn.Module] = []
        self.scaler, self.optimizer = self._scaler(), self._adamw()

    @property
    def recomputes(self) -> bool:
        """Whether activations are computed again on the way back."""
        return bool(self._recomputed)

    @property
    def can_recompute(self) -> bool:
        """Whether there are layers that keep what a second forward pass could find again."""
        return not self.recomputes and any(isinstance(one, GradientCheckpointingLayer) for one in self.model.modules())

    def recompute(self) -> None:
        """From now on keep only what comes into a layer, and compute the rest again on the way back: about a third more time."""
        self._recomputed = [one for one in self.model.modules() if isinstance(one, GradientCheckpointingLayer)]
        for layer in self._recomputed:  # by hand: transformers' own switch leaves hooks on the embeddings behind
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)

    def move(self, device: torch.device) -> None:
        """Go on on another device, with the moments as they are."""
        moments, scale = self.optimizer.state_dict(), self.scaler.state_dict()
        for one in self.models:
            one.to(device)
        self.device = device
        self.scaler, self.optimizer = self._scaler(), self._adamw()
        self.optimizer.load_state_dict(moments)
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(scale)

    def state(self) -> dict[str, Any]:
        """How it steps by now, in plain numbers and words."""
        told = {"piece": self.piece, "spared": self.spared, "pace": self.pace, "recomputes": self.recomputes}
        return told | {"moved": self.device != self.home, "scaler": self.scaler.state_dict()}

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What a step changes, by kind and by the parameter's name: the tensors themselves."""
        moments = [self.optimizer.state[one] for one in self.trained]
        return {
            "weights": dict(zip(self.names, self.trained, strict=True)),
            "first": {name: one["exp_avg"] for name, one in zip(self.names, moments, strict=True)},
            "second": {name: one["exp_avg_sq"] for name, one in zip(self.names, moments, strict=True)},
            "counts": {name: one["step"] for name, one in zip(self.names, moments, strict=True)},
        }

    def put(self, step: int, state: Mapping[str, Any], tensors: Callable[[str], Iterable[tuple[str, Tensor]]]) -> None:
        """Go on where another one was after so many steps; `tensors` gives those of a kind with their names."""
        if state["moved"] and self.device.type != "cpu":
            self.move(torch.device("cpu"))
        if state["recomputes"]:
            self.recompute()
        self.piece, self.spared, self.pace = state["piece"], state["spared"], state["pace"]
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self._make_moments()
        with torch.no_grad():
            for kind, mine in self.tensors().items():
                for name, tensor in tensors(kind):
                    mine[name].copy_(tensor)
        self.faults.past(step)

    def close(self) -> None:
        """Put the models back where they were, and let them keep their activations again; harmless a second time."""
        for layer in self._recomputed:
            del layer.forward
        self._recomputed = []
        if self.device != self.home:
            self.optimizer.state.clear()
            for one in self.models:
                one.to(self.home)
            self.device = self.home

    def step(self, tokens: LongTensor, step: int) -> tuple[float, float]:
        """Take the step of that number on `tokens` `[batch, length]`; its loss, before the step, and its learning rate.

        Dropout is a function of the seed and the number. Raises `Diverged` when the loss or the gradient's norm is not finite,
        and `Shortage` where memory runs out; the weights are then those before the step, but after `HalfMade`. Under float16 a
        gradient that is too large for it halves the scale, and the step is made again, until there is no scale left: what returns
        is a step that was made.
        """
        while True:
            measured, norm = self._tried(tokens, step)
            if math.isfinite(measured) and math.isfinite(norm):
                break
            scaled_too_much = math.isfinite(measured) and self.scaler.get_scale() > 1
            self.optimizer.zero_grad()
            self.scaler.update()  # which otherwise takes the next try for this one
            if not scaled_too_much:
                raise Diverged(f"The loss of step {step + 1} is {_said(measured)}, the norm of its gradient {_said(norm)}.")
        tuning = self.tuning
        rate = self.pace * learning_rate(step, tuning.steps, tuning.learning_rate, tuning.warmup, tuning.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._apply(step)
        return measured, rate

    def _tried(self, tokens: LongTensor, step: int) -> tuple[float, float]:
        """Leave the gradient of a step, clipped, in the parameters; the loss and the norm that the gradient had."""
        try:
            with telling_shortage(f"step {step + 1}"), _training(self.model, self.seed, step, self.device, self.ranks):
                with self.ranks.alike(self.device):
                    self._make_moments()
                    measured = self._gradients(tokens, step)
                measured = self._together(measured)
                with self.ranks.alike(self.device):
                    self.scaler.unscale_(self.optimizer)
                    norm = nn.utils.clip_grad_norm_(self.trained, self.tuning.clip).item()
        except BaseException:
            self._let_go()
            raise
        return measured, norm

    def _apply(self, step: int) -> None:
        """Have the optimizer change the weights. Where memory runs out before the first of them has changed, the step can be made
        again; after that it cannot, since none can be put back: `HalfMade`."""
        before = self._made()
        try:
            with telling_shortage(f"step {step + 1}"), self.ranks.alike(self.device):
                self.scaler.step(self.optimizer)
        except BaseException as error:
            self._let_go()
            if isinstance(error, Shortage) and (self.ranks.count > 1 or self._made() != before):
                raise HalfMade(error.why, f"the middle of step {step + 1}, when a part of the weights had changed") from error
            raise
        self.scaler.update()
        self.optimizer.zero_grad()

    def _made(self) -> float:
        """The steps that the optimizer has made, summed over all parameters: it counts one before it changes any of a group."""
        return torch.stack([one["step"] for one in self.optimizer.state.values()]).sum().item()

    def _let_go(self) -> None:
        """Forget what a step that was not made has left: gradients, and that their scale was taken off."""
        self.optimizer.zero_grad()
        scale, self.scaler = self.scaler.state_dict(), self._scaler()
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(scale)

    def _adamw(self) -> torch.optim.AdamW:
        tuning = self.tuning
        matrices = {"params": [one for one in self.trained if one.ndim > 1], "weight_decay": tuning.weight_decay}
        vectors = {"params": [one for one in self.trained if one.ndim < 2], "weight_decay": 0.0}
        fused = self.device.type in FUSED
        return torch.optim.AdamW([matrices, vectors], lr=tuning.learning_rate, betas=(0.9, 0.95), fused=fused)

    def _scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == torch.float16)

    def _make_moments(self) -> None:
        """Have the optimizer's memory before its first step: it would take it between two groups of weights, of which the first
        is changed by then."""
        if self.optimizer.state:
            return
        fused = self.device.type in FUSED
        made = {}
        for one in self.trained:
            count = torch.zeros((), device=self.device if fused else "cpu")
            made[one] = {"step": count, "exp_avg": torch.zeros_like(one), "exp_avg_sq": torch.zeros_like(one)}
        self.optimizer.state.update(made)

    def _gradients(self, tokens: LongTensor, step: int) -> float:
        """Leave the gradient of the mean loss in the parameters, or this process's share of it; returns that loss, or its share.
        Pieces are as long as one another, or the last is shorter, and count by their sequences; so do the shares of processes."""
        if self.faults.strikes("memory", step):
            torch.empty(TOO_MUCH, dtype=torch.uint8, device=self.device)
        if self.faults.strikes("device", step):
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")
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
        return total

    def _together(self, share: float) -> float:
        """Add up the gradients and the losses of all processes; returns the sum of these."""
        if self.ranks.count == 1:
            return share
        total = torch.tensor(share, dtype=torch.float64, device=self.device)
        self.ranks.add_up([one.grad for one in self.trained if one.grad is not None] + [total])
        return total.item()


@contextmanager
def _training(model: nn.Module, seed: int, step: int, device: torch.device, ranks: Ranks) -> Iterator[None]:
    """Training mode and a random state that depends on seed, step and process alone, for the time of one step; then as before."""
    accelerators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(accelerators), training(model):
        torch.manual_seed(seed * 1_000_003 + step + (ranks.number << 50))
        yield


def _said(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not a number" if math.isnan(value) else "infinite"
