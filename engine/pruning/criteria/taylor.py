"""How the loss answers when a unit's gate is moved, to first order: the size of the gradient of the loss with respect to the
gate, for every block of the calibration text by itself, then averaged. Costs a pass with a backward pass, without gradients of
weights. It sees what the rest of the model makes of a unit, which no criterion of one pass does, but only how the loss begins to
change, not what it is once the gate is closed. Source: Michel, Levy and Neubig 2019 (arXiv 1905.10650), after Molchanov et al.
2017 (arXiv 1611.06440)."""

from torch import nn

from engine.models.anatomy import Anatomy
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics

LABEL = "Taylor"
COST = "pass + backward"
NEEDS = ("gradients",)
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """Σ over blocks |∂L/∂ξ| / number of predicted tokens, ξ the gate of the unit and L the loss of the block: nats per token.

    The paper divides by the norm of each layer as well, which changes nothing inside a layer.
    """
    statistics.require(NEEDS)
    return Scores(
        heads=tuple(tuple(one.gradients.tolist()) for one in statistics.attention),
        neurons=tuple(tuple(one.gradients.tolist()) for one in statistics.mlp),
    )
