"""What the loss on the calibration text really is without each head, measured by leaving it out: the others guess this number.
Below 0 where the model is better off without the head. Costs many passes, one for each head, of which each runs only the layers
from its head's on. Heads that share their keys and values are left out together, as they can only be cut together, and get equal
parts of what that costs. For heads only: to leave out every neuron by itself would take thousands of passes. It is exact for one
head at a time; two that stand in for each other both look dispensable. Source: the ablation study of Michel, Levy and Neubig 2019
(arXiv 1905.10650)."""

from torch import nn

from engine.models.anatomy import Anatomy
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics

LABEL = "Ablation"
COST = "many passes"
NEEDS = ("losses",)
UNITS = ("heads",)


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """The loss without the head less the loss with it, in nats per predicted token."""
    statistics.require(NEEDS)
    return Scores(heads=tuple(tuple(one.losses.tolist()) for one in statistics.attention), neurons=())
