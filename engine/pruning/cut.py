"""Really removing units: a new model with smaller matrices and the logits of the gated one; knows nothing of files."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.models.anatomy import dissect, matrix
from engine.models.narrow import Selection, config_of, fill, kept_of, selection, skeleton
from engine.pruning.kept_units import without
from engine.pruning.plan import Plan, check


def cut(model: nn.Module, plan: Plan) -> nn.Module:
    """A new model of the same class without the units of `plan` (present indices); it shares no memory with the given one.

    Its logits are those of the model with the same units gated, up to rounding. Layers may differ in width. A layer without
    heads adds the bias of its attention output and nothing else (`Headless`), one without neurons the bias of its MLP
    output. Tied weights stay tied, dtype, device, mode and frozen parameters stay as they are; hooks, and so gates, are not
    taken along. `kept_of` tells which original units are left. Raises `BadInput` for a unit that the model does not have, for
    a part of a key-value group and for the heads of a layer that keeps them.
    """
    anatomy = dissect(model)
    check(plan, anatomy)
    kept = without(kept_of(model), plan)
    smaller = skeleton(type(model), config_of(model), kept)
    selected: Selection = {}
    dropped: set[str] = set()
    for layer in anatomy.layers:
        heads = sorted(set(range(layer.heads)).difference(plan.heads_of(layer.index)))
        neurons = sorted(set(range(layer.neurons)).difference(plan.neurons_of(layer.index)))
        selected |= selection(layer, heads, neurons)
        if not heads:
            dropped |= {one.path for one in layer.attention_inputs}.union(layer.head_norms)
    fill(smaller, _narrowed(model, smaller, selected, dropped))
    smaller.generation_config = deepcopy(model.generation_config)
    return smaller.train(model.training)


def taken(model: nn.Module, name: str, selected: Selection, into: nn.Module) -> Tensor:
    """A copy of a parameter, of that of a projection only what is selected, in the layout of the module that it is for."""
    path, _, own = name.rpartition(".")
    outputs, inputs = selected.get(path, (None, None))
    if path in selected and own == "weight":
        copy = matrix(model.get_submodule(path)).detach()  # [out, in]
        copy = copy if outputs is None else copy[outputs]
        copy = copy if inputs is None else copy[:, inputs]
        copy = copy.T if isinstance(into, Conv1D) else copy
        return copy.clone(memory_format=torch.contiguous_format)
    whole = model.get_parameter(name).detach()
    return whole.clone() if outputs is None else whole[outputs]  # a bias


def _narrowed(model: nn.Module, smaller: nn.Module, selected: Selection, dropped: set[str]) -> dict[str, nn.Parameter | Tensor]:
    """Copies of all parameters and buffers by name, of each projection only what is selected; ties are kept."""
    copies: dict[int, nn.Parameter] = {}
    tensors: dict[str, nn.Parameter | Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        path, _, own = name.rpartition(".")
        if path in dropped:
            continue
        if id(parameter) not in copies:
            copy = taken(model, name, selected, smaller.get_submodule(path))
            copies[id(parameter)] = nn.Parameter(copy, requires_grad=parameter.requires_grad)
        tensors[name] = copies[id(parameter)]
    return tensors | {name: buffer.clone() for name, buffer in model.named_buffers(remove_duplicate=False)}
