"""How much a unit writes into the model: for each of its channels the norm of the output projection's column times the root mean
square of what comes through it, added up over the channels of a head; a neuron has one channel. For a neuron that is just the
root mean square of what is lost when it goes, for a head the most that it could be. Costs one pass over the calibration text.
It does not see that two units may say the same, so that either could go. Source: Wanda, Sun et al. 2023 (arXiv 2306.11695),
carried over from single weights to structures as in FLAP's Wanda-sp, An et al. 2023 (arXiv 2312.11983)."""

import torch
from torch import Tensor, nn

from engine.models.anatomy import Anatomy, matrix
from engine.pruning.plan import Scores
from engine.pruning.running_sums import workable
from engine.pruning.statistics import Inputs, Statistics

LABEL = "Activation"
COST = "one pass"
NEEDS = ("rms",)
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics, seed: int) -> Scores:
    """Σ ‖W[:, c]‖₂ · rms(x_c) over the channels c of a unit at the input x of its output projection W [out, channels].

    A plain sum, not a root of squares: E‖Σ W[:, c] x_c‖² ≤ (Σ ‖W[:, c]‖ rms(x_c))², so that the score bounds what the unit
    adds to the residual stream, however its channels go together.
    """
    statistics.require(NEEDS)
    heads, neurons = [], []
    for layer, attention, mlp in zip(anatomy.layers, statistics.attention, statistics.mlp, strict=True):
        channels = _written(model.get_submodule(layer.attention_output), attention) if layer.heads else torch.zeros(0)
        heads.append(tuple(channels.view(layer.heads, layer.head_width).sum(1).tolist()))
        neurons.append(tuple(_written(model.get_submodule(layer.mlp_output), mlp).tolist()))
    return Scores(heads=tuple(heads), neurons=tuple(neurons))


def _written(module: nn.Module, inputs: Inputs) -> Tensor:
    columns = torch.linalg.vector_norm(workable(matrix(module).detach()), dim=0, dtype=torch.float64)  # [channels]
    return columns.cpu() * inputs.rms  # [channels]
