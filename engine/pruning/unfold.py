"""What a cut model has learnt, put back into the model that it was cut from; the inverse of `cut`, and knows no training."""

import torch
from torch import nn

from engine.models.anatomy import dissect, matrix
from engine.models.narrow import selection
from engine.pruning.plan import Plan


def unfold(model: nn.Module, smaller: nn.Module, plan: Plan) -> None:
    """Overwrite in `model` all that `smaller`, cut from it along `plan`, still has; what belongs to units that went stays.

    Afterwards `cut(model, plan)` is `smaller` to the bit, and `model` with the units of the plan gated has its logits, up to
    rounding. The bias of a projection that has none in `model` is not looked for: both have the same ones.
    """
    selected = {}
    for layer in dissect(model).layers:
        heads = sorted(set(range(layer.heads)).difference(plan.heads_of(layer.index)))
        neurons = sorted(set(range(layer.neurons)).difference(plan.neurons_of(layer.index)))
        selected |= selection(layer, heads, neurons)
    with torch.no_grad():
        for name, parameter in smaller.named_parameters():
            path, _, own = name.rpartition(".")
            outputs, inputs = selected.get(path, (None, None))
            there = model.get_parameter(name)
            if path not in selected or (own == "bias" and outputs is None):
                there.copy_(parameter)
            elif own == "bias":
                there[outputs] = parameter
            else:
                view = matrix(model.get_submodule(path))  # [out, in]
                rows = torch.arange(view.shape[0]) if outputs is None else torch.tensor(outputs, dtype=torch.long)
                columns = torch.arange(view.shape[1]) if inputs is None else torch.tensor(inputs, dtype=torch.long)
                view[rows[:, None], columns] = matrix(smaller.get_submodule(path))
