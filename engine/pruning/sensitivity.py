"""How the loss answers to errors in what each output projection writes: moments of its gradient; knows no unit and no score.

Let g be the gradient of a text's loss (the sum over its tokens, in nats) by what a projection writes at one place, and F the
mean of g gᵀ over the text, the empirical Fisher information of that output. An error there with second moments Σ that has nothing
to do with g raises the loss by about ½ tr(F Σ) nats for each token: the second-order term, with F in the place of the second
derivatives. Kronecker-factored pruning goes by the same two factors: LLM Surgeon, van der Ouderaa et al. 2023 (arXiv 2312.17244).
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy
from engine.models.modes import evaluating, frozen
from engine.pruning.gradients import blocks_at_once, token_losses
from engine.pruning.running_sums import workable
from engine.record.errors import BadInput
from engine.record.lifecycle import Progressed

TOKENS = 8192  # of the calibration text: F is a mean of squares, which settles sooner than a covariance is told apart
BATCH = 8  # blocks


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """F of every output projection, [out, out] in float64 on the CPU, one for each layer; None for one that has no inputs."""

    attention: tuple[Tensor | None, ...]
    mlp: tuple[Tensor | None, ...]


def sensing(model: nn.Module, anatomy: Anatomy, blocks: LongTensor) -> Generator[Progressed, None, Sensitivity]:
    """Read the first `TOKENS` tokens of `blocks` [n, length], forward and back, with the weights frozen.

    Gates and compensation that lie over the model count. Takes 8 · out² bytes for every projection. Raises `BadInput` where a
    gradient is not finite.
    """
    device = next(model.parameters()).device
    blocks = blocks[: max(1, TOKENS // blocks.shape[1])]  # [n, length]
    batch_size = blocks_at_once(anatomy, blocks.shape[1], BATCH)
    sums: dict[str, Tensor] = {}
    for start in range(0, len(blocks), batch_size):
        batch = blocks[start : start + batch_size].to(device)  # [batch, length]
        for path, gradients in _gradients(model, anatomy, batch).items():
            product = (gradients.T @ gradients).double().cpu()  # [out, out]
            if not bool(product.isfinite().all()):
                raise BadInput(
                    f"The gradients at the output of {path} are not finite on the calibration text; the precision is too low for "
                    "this model: load it in float32 or bfloat16."
                )
            sums[path] = sums[path].add_(product) if path in sums else product
        yield Progressed("sensitivity", (start + len(batch)) * blocks.shape[1], blocks.numel(), "tokens")
    predicted = blocks.numel() - len(blocks)

    def mean(path: str) -> Tensor | None:
        return sums[path] / predicted if path in sums else None  # [out, out]

    return Sensitivity(
        attention=tuple(mean(layer.attention_output) for layer in anatomy.layers),
        mlp=tuple(mean(layer.mlp_output) for layer in anatomy.layers),
    )


def _gradients(model: nn.Module, anatomy: Anatomy, batch: LongTensor) -> dict[str, Tensor]:
    """The gradient [tokens, out] of a batch's loss by the output of every projection that has inputs, by its path."""
    paths = [layer.attention_output for layer in anatomy.layers if layer.heads]
    paths += [layer.mlp_output for layer in anatomy.layers if layer.neurons]
    probes: dict[str, Tensor] = {}
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.enter_context(frozen(model))
        stack.enter_context(torch.enable_grad())
        for path in paths:
            stack.callback(model.get_submodule(path).register_forward_hook(_probe(path, probes)).remove)
        logits = model(input_ids=batch, use_cache=False).logits  # [batch, length, vocabulary]
        token_losses(logits, batch, None).sum().backward() if probes else None
    return {path: workable(probe.grad).flatten(0, -2) for path, probe in probes.items()}


def _probe(path: str, probes: dict[str, Tensor]) -> Callable[[nn.Module, tuple, Tensor], Tensor]:
    """A hook that adds zeros to an output, at which the backward pass leaves the output's gradient: the weights are frozen."""

    def add(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        probes[path] = torch.zeros_like(output).requires_grad_()  # [..., out]
        return output + probes[path]

    return add
