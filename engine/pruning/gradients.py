"""How the loss answers to each gate: multipliers of 1 at the inputs of the output projections, and their gradients; knows no
score.

A multiplier stands for each block and unit, the same for all tokens of a block. Its gradient is Σ x · ∂L/∂x over the tokens of
the block and the channels of the unit, L the loss of that block alone: no token sees another block.
"""

import torch
from torch import BoolTensor, LongTensor, Tensor
from torch.nn import functional

from engine.models.anatomy import Anatomy
from engine.record.errors import BadInput

IGNORED = -100  # a target that is none
AT_ONCE = 2**30  # bytes that the graph of a batch may take, unless a single block takes more


class GateGradients:
    """The gradients of the gates of one kind of unit in one layer, batch after batch; sums of them only."""

    def __init__(self, name: str, units: int):
        self.name = name
        self.units = units
        self.sizes = torch.zeros(units, dtype=torch.float64)  # [units]
        self.squares = torch.zeros(units, dtype=torch.float64)  # [units]
        self._gates: Tensor | None = None

    def multiply(self, inputs: Tensor, blocks: int) -> Tensor:
        """The inputs of an output projection of `blocks` blocks, [..., units · width], times gates of 1 that have gradients."""
        if not self.units:
            return inputs
        self._gates = torch.ones(blocks, self.units, dtype=inputs.dtype, device=inputs.device, requires_grad=True)
        parts = inputs.view(blocks, -1, self.units, inputs.shape[-1] // self.units)  # [blocks, length, units, width]
        return (parts * self._gates[:, None, :, None]).view(inputs.shape)  # [..., units · width]

    def add(self) -> None:
        """Take in what the backward pass left at the gates. Raises `BadInput` where that is not finite."""
        if self._gates is None:
            return
        found, self._gates = self._gates.grad.cpu().double(), None  # [blocks, units]
        if not bool(found.isfinite().all()):
            raise BadInput(
                f"The gradients at the input of {self.name} are not finite on the calibration text; the precision is too low for "
                "this model: load it in float32 or bfloat16."
            )
        self.sizes += found.abs().sum(0)  # [units]
        self.squares += found.square().sum(0)  # [units]


def token_losses(logits: Tensor, blocks: LongTensor, real: BoolTensor | None) -> Tensor:
    """−log p of every token that is predicted, in nats, [blocks, length] at the place that predicts it; 0 where that is none.

    The last token of a block predicts nothing, and neither does one that padding follows, which is False in `real`
    [blocks, length]. `logits` is [blocks, length, vocabulary].
    """
    targets = torch.full_like(blocks, IGNORED)  # [blocks, length]
    targets[:, :-1] = blocks[:, 1:] if real is None else blocks[:, 1:].masked_fill(~real[:, 1:], IGNORED)
    exact = logits if logits.dtype == torch.float64 else logits.float()
    losses = functional.cross_entropy(exact.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view(blocks.shape)  # [blocks, length]


def graph_bytes(anatomy: Anatomy, length: int, itemsize: int = 4) -> int:
    """About how many bytes the graph of one block of `length` tokens takes until its backward pass is done.

    Counted for every token: logits, their float32 copy, probabilities and gradients; of every layer two norms, three residual
    streams, queries, keys, values, attention and its output, and the neurons six times, as GPT-2's GELU keeps them.
    """
    layers = sum(10 * layer.heads * layer.head_width + 6 * layer.neurons for layer in anatomy.layers)
    return length * itemsize * (4 * anatomy.vocabulary + layers)


def blocks_at_once(anatomy: Anatomy, length: int, most: int) -> int:
    """How many blocks of `length` tokens to read at once, at most `most`, so that the graph stays within `AT_ONCE`."""
    return max(1, min(most, AT_ONCE // graph_bytes(anatomy, length)))
