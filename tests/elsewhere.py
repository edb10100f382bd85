"""A model as it would stand on a device that has no float64, such as Apple's; for tests on machines without one."""

import torch
from torch import nn


class Elsewhere(torch.Tensor):
    """A tensor, and all that is computed from it, until `cpu` brings it here: before that nothing may be made of it in float64.

    Where it is and what computes with it is the CPU all the same: of the kernels of such a device this says nothing.
    """

    @classmethod
    def __torch_function__(cls, function, types, given=(), named=None):
        """Compute as always; a tensor in float64 comes of nothing but what is here."""
        if function is torch.Tensor.cpu:
            return given[0].as_subclass(torch.Tensor)
        made = super().__torch_function__(function, types, given, named or {})
        if isinstance(made, Elsewhere) and made.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
        return made


def elsewhere(model: nn.Module) -> nn.Module:
    """The same model in float32 with its parameters elsewhere, and so with all that it computes; shared ones stay shared."""
    moved: dict[int, nn.Parameter] = {}
    for module in model.float().modules():
        for name, one in module.named_parameters(recurse=False):
            moved.setdefault(id(one), nn.Parameter(one.detach().as_subclass(Elsewhere)))
            setattr(module, name, moved[id(one)])
    return model
