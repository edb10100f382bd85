"""What the output of a layer loses with a unit, exactly: the variance of what all channels of a head write together, from their
covariance. Where two channels of a head cancel each other, the other criteria of one pass count both; this one counts what is
left. A neuron has one channel, and there it is the same as fluctuation. Costs one pass over the calibration text. It looks at one
unit at a time: what two heads say alike counts for both. Source: the trace form of the error of removed channels, as in SlimGPT,
Ling et al. 2024 (arXiv 2412.18110), of which fluctuation (FLAP, arXiv 2312.11983) is the diagonal."""

import torch
from torch import Tensor, nn

from engine.models.anatomy import Anatomy, matrix
from engine.pruning.plan import Scores
from engine.pruning.running_sums import workable
from engine.pruning.statistics import Statistics

LABEL = "Energy"
COST = "one pass"
NEEDS = ("covariance",)
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """tr(W_u C_uu W_uᵀ) for the channels u of a unit: E‖W_u (x_u − E x_u)‖², in float64.

    Of the mean of what a unit writes nothing is counted, since a bias makes up for it.
    """
    statistics.require(NEEDS)
    heads, neurons = [], []
    for layer, attention, mlp in zip(anatomy.layers, statistics.attention, statistics.mlp, strict=True):
        blocks = _diagonal_blocks(attention.summed, layer.heads)  # [heads, width, width]
        written = _weight(model.get_submodule(layer.attention_output)).unflatten(1, (layer.heads, -1)) if layer.heads else None
        heads.append(tuple(torch.einsum("ohc,hcd,ohd->h", written, blocks, written).tolist()) if layer.heads else ())
        squares = _weight(model.get_submodule(layer.mlp_output)).square().sum(0)  # [neurons]
        neurons.append(tuple((squares * mlp.summed.diagonal().double()).tolist()))
    return Scores(heads=tuple(heads), neurons=tuple(neurons))


def _weight(module: nn.Module) -> Tensor:
    return workable(matrix(module).detach()).cpu().double()  # [out, channels]


def _diagonal_blocks(covariance: Tensor, units: int) -> Tensor:
    """The covariance [channels, channels] of each unit by itself, [units, width, width] in float64."""
    if not units:
        return covariance.new_zeros(0, 0, 0)
    parts = covariance.unflatten(0, (units, -1)).unflatten(2, (units, -1))  # [units, width, units, width]
    return torch.stack([parts[unit, :, unit] for unit in range(units)]).double()
