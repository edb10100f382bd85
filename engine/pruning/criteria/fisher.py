"""How much the loss is expected to rise when a unit goes, to second order: half the squared gradient of the loss with respect to
the unit's gate, for every block of the calibration text by itself, then averaged. Costs a pass with a backward pass, without
gradients of weights. Where a model has been trained to the end the first order averages out and the second decides. It takes
units one at a time, and the text itself for what the model would say. Source: the diagonal of the Fisher information of the mask,
Kwon et al. 2022 (arXiv 2204.09656)."""

from torch import nn

from engine.models.anatomy import Anatomy
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics

LABEL = "Fisher"
COST = "pass + backward"
NEEDS = ("gradients",)
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """½ Σ over blocks (∂L/∂ξ)² / number of predicted tokens, ξ the gate of the unit and L the loss of the block: nats per token.

    The sample of the paper is a labelled sentence; here it is a block, whose loss is the sum over its tokens.
    """
    statistics.require(NEEDS)
    return Scores(
        heads=tuple(tuple((one.squares / 2).tolist()) for one in statistics.attention),
        neurons=tuple(tuple((one.squares / 2).tolist()) for one in statistics.mlp),
    )
