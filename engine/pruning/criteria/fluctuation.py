"""How much what a unit writes moves around its mean: for each of its channels the variance of what comes through it times the
squared norm of the output projection's column, added up over the channels of a head. What a unit says always, the bias of the
projection can say as well, so that only its fluctuation is lost; goes together with the compensation "bias". Costs one pass over
the calibration text. It does not see that two units may say the same. Source: the weighted input feature variance of FLAP, An et
al. 2023 (arXiv 2312.11983)."""

import torch
from torch import Tensor, nn

from engine.models.anatomy import Anatomy, matrix
from engine.pruning.plan import Scores
from engine.pruning.running_sums import workable
from engine.pruning.statistics import Inputs, Statistics

LABEL = "Fluctuation"
COST = "one pass"
NEEDS = ("rms", "mean")
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """Σ Var(x_c) · ‖W[:, c]‖² over the channels c of a unit at the input x of its output projection W [out, channels].

    As in the paper; its program squares the channels of heads once more. The variance is the mean square less the squared mean,
    which loses no digit that counts here: both are float64 sums of what float32 activations can hold.
    """
    statistics.require(NEEDS)
    heads, neurons = [], []
    for layer, attention, mlp in zip(anatomy.layers, statistics.attention, statistics.mlp, strict=True):
        channels = _moved(model.get_submodule(layer.attention_output), attention) if layer.heads else torch.zeros(0)
        heads.append(tuple(channels.view(layer.heads, layer.head_width).sum(1).tolist()))
        neurons.append(tuple(_moved(model.get_submodule(layer.mlp_output), mlp).tolist()))
    return Scores(heads=tuple(heads), neurons=tuple(neurons))


def _moved(module: nn.Module, inputs: Inputs) -> Tensor:
    columns = torch.linalg.vector_norm(workable(matrix(module).detach()), dim=0, dtype=torch.float64)  # [channels]
    variance = (inputs.rms.square() - inputs.mean.square()).clamp(min=0)  # [channels]; rounding may leave less than nothing
    return columns.cpu().square() * variance  # [channels]
