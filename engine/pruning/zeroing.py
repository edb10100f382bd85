"""Units that write nothing: their columns of the output projections set to zero, for good; knows no gate and no reason."""

import torch
from torch import nn

from engine.models.anatomy import Anatomy, matrix, output_features
from engine.pruning.plan import Plan


def silence(model: nn.Module, anatomy: Anatomy, plan: Plan) -> None:
    """Zero, in place, what the units of `plan` write: with open gates the model has the logits that it had with theirs closed.

    What they read stays, so that a unit which is used again can learn anew what to write. Regrowing with weights of zero: Evci et
    al. 2020, arXiv 1911.11134.
    """
    with torch.no_grad():
        for layer in anatomy.layers:
            heads = output_features(layer, plan.heads_of(layer.index))
            matrix(model.get_submodule(layer.attention_output))[:, heads] = 0  # [out, in]
            matrix(model.get_submodule(layer.mlp_output))[:, list(plan.neurons_of(layer.index))] = 0  # [out, in]
