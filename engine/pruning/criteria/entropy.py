"""Heads: how sharply a head looks, 1 minus the entropy of its attention as a share of the most that it could be; heads that
look at everything alike go first. Neurons: how much a neuron's activation varies, the entropy of its histogram over the
tokens; neurons that say the same for every token go first. Costs one pass over the calibration text, with attention computed
step by step, which is slower. Neither asks what the rest of the model makes of it: a head that always stares at the first token
counts as sharp and may do nothing (Sandoval-Segura et al. 2025, arXiv 2504.03889). Source: for heads the measure
of Clark et al. 2019 (arXiv 1906.04341), who prune nothing by it; for neurons Luo and Wu 2017 (arXiv 1706.05791), who did it for
the channels of image models."""

from torch import nn

from engine.models.anatomy import Anatomy
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics

LABEL = "Entropy"
COST = "one pass"
NEEDS = ("entropy",)
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """Both between 0 and 1: for a head 1 − entropy (it goes when diffuse), for a neuron the entropy (it goes when constant)."""
    statistics.require(NEEDS)
    return Scores(
        heads=tuple(tuple((1 - one.entropy).tolist()) for one in statistics.attention),
        neurons=tuple(tuple(one.entropy.tolist()) for one in statistics.mlp),
    )
