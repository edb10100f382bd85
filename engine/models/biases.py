"""Parameters put into a model by name, among them biases that a projection is given or loses; knows not what they are for.

A projection that was built without a bias can be given one: it is then a parameter like every other, which training, a cut, a
file and `state_dict` see. Taken away again, the projection is as it was built.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engine.models.anatomy import Anatomy, matrix


def give_bias(module: nn.Module) -> None:
    """Give a projection that has no bias one of zeros [out], as much frozen as its weight."""
    weight = matrix(module)  # [out, in]
    module.bias = nn.Parameter(weight.new_zeros(weight.shape[0]), requires_grad=weight.requires_grad)


def put(model: nn.Module, tensors: Mapping[str, Tensor | None]) -> None:
    """Overwrite the parameters that are named, bit for bit; None takes a bias away, a tensor gives one where there is none."""
    with torch.no_grad():
        for name, tensor in tensors.items():
            path, _, own = name.rpartition(".")
            module = model.get_submodule(path)
            if tensor is None:
                setattr(module, own, None)
                continue
            if own == "bias" and module.bias is None:
                give_bias(module)
            module.get_parameter(own).copy_(tensor)


def output_biases(model: nn.Module, anatomy: Anatomy) -> set[str]:
    """The names of all biases that the output projections have now."""
    paths = [path for layer in anatomy.layers for path in (layer.attention_output, layer.mlp_output)]
    return {f"{path}.bias" for path in paths if model.get_submodule(path).bias is not None}
