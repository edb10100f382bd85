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
# How many tensors activation functions keep that are not done in one step, which keeps two, or need not what they took.
KEPT_BY = {"gelu_new": 5, "relu": 1}


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


def graph_bytes(anatomy: Anatomy, tokens: int, itemsize: int = 4, training: bool = False) -> int:
    """About how many bytes a backward pass takes at its worst, with all that a forward pass over so many tokens has kept for it.

    Kept of every token and layer is what comes into the two norms, queries, keys, values and what attention makes of them, and
    what the activation function of the neurons takes and gives, with what it is multiplied by where they are gated. In
    `training`, where weights have gradients, norms and projections keep four times the width of the residual stream besides;
    else the weights are frozen. On top come log-probabilities, their gradients and those of the logits, or, where the vocabulary
    is small, what a layer takes on its way back.
    """
    kept = sum(
        (6 if training else 2) * layer.width
        + 2 * (layer.heads + layer.groups) * layer.head_width
        + (KEPT_BY.get(anatomy.activation, 2) if len(layer.mlp_inputs) == 1 else 4) * layer.neurons
        for layer in anatomy.layers
    )
    widest = max((layer.width for layer in anatomy.layers), default=0)
    return tokens * itemsize * (kept + max(3 * anatomy.vocabulary, 8 * widest))


def blocks_at_once(anatomy: Anatomy, length: int, most: int) -> int:
    """How many blocks of `length` tokens to read at once, at most `most`, so that the graph stays within `AT_ONCE`."""
    return max(1, min(most, AT_ONCE // graph_bytes(anatomy, length)))
