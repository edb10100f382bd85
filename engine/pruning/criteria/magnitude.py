"""How large the weights of a unit are: the root of the sum of their squares, over a head's rows of Q, K and V and its columns
of the output projection, over a neuron's incoming row and its outgoing column. Costs a look at the weights and needs no text.
Large weights need not do much, and small ones may matter: for whole structures, without recovery, this has been seen to do
worse than chance. Source: the L2 importance of coupled structures in LLM-Pruner, Ma et al. 2023 (arXiv 2305.11627)."""

import torch
from torch import Tensor, nn

from engine.models.anatomy import Anatomy, Layer, head_features, matrix, output_features
from engine.pruning.plan import Scores
from engine.pruning.running_sums import workable
from engine.pruning.statistics import Statistics

LABEL = "Magnitude"
COST = "weights"
NEEDS = ()
UNITS = ("heads", "neurons")


def score(model: nn.Module, anatomy: Anatomy, statistics: Statistics | None, seed: int) -> Scores:
    """The Frobenius norm of all weights that go with a unit; biases are left out.

    The squares of the parts are added, as for coupled structures in the literature, so that heads and neurons are measured
    alike. The product of a neuron's two norms would not change when its input is scaled up and its output down, which does
    nothing to the model, but has no counterpart for heads. A key or value shared by a group of heads counts for each of them.
    """
    return Scores(
        heads=tuple(_heads(model, layer) for layer in anatomy.layers),
        neurons=tuple(_neurons(model, layer) for layer in anatomy.layers),
    )


def _heads(model: nn.Module, layer: Layer) -> tuple[float, ...]:
    if not layer.heads:
        return ()  # such a layer may have no projections left to look at
    made = [(one, _squares(model.get_submodule(one.path), along=1)) for one in layer.attention_inputs]  # [out] each
    written = _squares(model.get_submodule(layer.attention_output), along=0)  # [heads · head_width]
    squares = []
    for head in range(layer.heads):
        of_inputs = sum(float(rows[head_features(one, layer, [head])].sum()) for one, rows in made)
        squares.append(of_inputs + float(written[output_features(layer, [head])].sum()))
    return tuple(square**0.5 for square in squares)


def _neurons(model: nn.Module, layer: Layer) -> tuple[float, ...]:
    squares = _squares(model.get_submodule(layer.mlp_output), along=0)  # [neurons]
    for path in layer.mlp_inputs:
        squares = squares + _squares(model.get_submodule(path), along=1)  # [neurons]
    return tuple(squares.sqrt().tolist())


def _squares(module: nn.Module, along: int) -> Tensor:
    """The squared norm of every row (`along` 1) or column (0) of a projection's matrix [out, in], in float64."""
    return torch.linalg.vector_norm(workable(matrix(module).detach()), dim=along, dtype=torch.float64).square()
