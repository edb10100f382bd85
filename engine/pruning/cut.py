"""Really removing units: a new model with smaller matrices and the logits of the gated one; knows nothing of files.

A cut model keeps the config of the dense one. It is built from that config without memory, narrowed layer by layer, and then
given the selected rows and columns; the loader of `engine.pruning.checkpoint` takes the same road, so that a saved model
has the shapes that it had here.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.pytorch_utils import Conv1D

from engine.models.anatomy import Layer, dissect, family_of, head_features, matrix, output_features
from engine.models.families import Family
from engine.pruning.kept import Kept, everything
from engine.pruning.plan import Plan, check
from engine.record.errors import BadInput

# By path of a projection which output and which input features stay; None: all of them.
Selection = dict[str, tuple[list[int] | None, list[int] | None]]
RECORD = "espalier_kept"  # the attribute of a cut model that holds its `Kept`; only `kept_of` and `remember` touch it


def cut(model: nn.Module, plan: Plan) -> nn.Module:
    """A new model of the same class without the units of `plan` (present indices); it shares no memory with the given one.

    Its logits are those of the model with the same units gated, up to rounding. Layers may differ in width. A layer without
    heads adds the bias of its attention output and nothing else (`Headless`), one without neurons the bias of its MLP
    output. Tied weights stay tied, dtype, device, mode and frozen parameters stay as they are; hooks, and so gates, are not
    taken along. `kept_of` tells which original units are left. Raises `BadInput` for a unit that the model does not have.
    """
    anatomy = dissect(model)
    check(plan, anatomy)
    kept = kept_of(model).without(plan)
    smaller = skeleton(type(model), deepcopy(model.config), kept)
    selected: Selection = {}
    dropped: set[str] = set()
    for layer in anatomy.layers:
        heads = sorted(set(range(layer.heads)).difference(plan.heads_of(layer.index)))
        neurons = sorted(set(range(layer.neurons)).difference(plan.neurons_of(layer.index)))
        selected |= _selection(layer, heads, neurons)
        if not heads:
            dropped |= {one.path for one in layer.attention_inputs}
    fill(smaller, _narrowed(model, smaller, selected, dropped))
    smaller.generation_config = deepcopy(model.generation_config)
    return smaller.train(model.training)


def kept_of(model: nn.Module) -> Kept:
    """Which original units a model has left: all of them, unless `cut` or `load_pruned` made it and noted otherwise."""
    kept = vars(model).get(RECORD)
    return everything(dissect(model)) if kept is None else kept


def remember(model: nn.Module, kept: Kept) -> None:
    """Note on a model which original units it has; a plain attribute, which survives `deepcopy` and is never guessed."""
    setattr(model, RECORD, kept)


def skeleton(model_class: type[nn.Module], config: PreTrainedConfig, kept: Kept) -> nn.Module:
    """A model of the dense `config`, narrowed to `kept`, whose tensors are all on the meta device: shapes without memory.

    The indices in `kept` must be within the dense model; raises `BadInput` where a family cannot be narrowed that way.
    """
    with torch.device("meta"):
        model = model_class(config)
    _, family = family_of(model)
    for layer, heads, neurons in zip(dissect(model).layers, kept.heads, kept.neurons, strict=True):
        _narrow(model, family, layer, heads, neurons)
    remember(model, kept)
    return model


def fill(model: nn.Module, tensors: dict[str, nn.Parameter | Tensor]) -> None:
    """Put parameters and buffers, by dotted name, into a skeleton; one parameter under two names is thereby tied.

    A bias for an output projection that has none is taken in. Raises `BadInput` for an unknown name, another shape than the
    skeleton's and a tensor that is left without a value.
    """
    there = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    for layer in dissect(model).layers:
        for path in (layer.attention_output, layer.mlp_output):
            there.setdefault(f"{path}.bias", torch.empty(matrix(model.get_submodule(path)).shape[0], device="meta"))
    for name, tensor in tensors.items():
        if name not in there:
            raise BadInput(f"{name} is a weight that this model does not have; the weights belong to another model.")
        if tensor.shape != there[name].shape:
            raise BadInput(f"{name} has the shape {list(tensor.shape)}, and the model needs {list(there[name].shape)}.")
        path, _, own = name.rpartition(".")
        setattr(model.get_submodule(path), own, tensor)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise BadInput(f"{name} is missing among the weights; the weights belong to another model or are incomplete.")


class Headless(nn.Module):
    """The attention of a layer that lost every head: its output is the output projection's bias at every position.

    The key-value cache still hears of every token, from keys and values of width 1 that nobody reads: transformers takes
    the number of tokens seen from layer 0, and without it generation would place each new token at position 0. Such a layer
    returns no attention weights and adds no entry to `output_attentions`.
    """

    def __init__(self, attention: nn.Module, steps: Sequence[str], cache_argument: str):
        super().__init__()
        self.layer_idx = attention.layer_idx
        self.steps = tuple(steps)
        self.cache_argument = cache_argument
        for name in self.steps:
            self.add_module(name, attention.get_submodule(name))

    def forward(self, hidden_states: Tensor, **arguments: object) -> tuple[Tensor, None]:
        """`hidden_states` [batch, tokens, width] to the same shape; of the other arguments only the cache is looked at."""
        cache = arguments.get(self.cache_argument)
        if cache is not None:
            batch, tokens, _ = hidden_states.shape
            seen = hidden_states.new_zeros(batch, 1, tokens, 1)  # [batch, heads, tokens, width]
            cache.update(seen, seen, self.layer_idx)
        result = hidden_states.new_zeros(*hidden_states.shape[:-1], 0)  # [batch, tokens, no features]
        for name in self.steps:
            result = self.get_submodule(name)(result)  # [batch, tokens, width]
        return result, None


def _narrow(model: nn.Module, family: Family, layer: Layer, heads: Sequence[int], neurons: Sequence[int]) -> None:
    per_group = layer.heads // layer.groups
    served = [head // per_group for head in heads]
    counts = {served.count(group) for group in served}
    if len(counts) > 1:  # attention takes query i to group i // (heads per group), so groups of two sizes would mix
        raise BadInput(f"Layer {layer.index} keeps {sorted(counts)} heads in its key-value groups; keep equally many in each.")
    for path, (outputs, inputs) in _selection(layer, heads, neurons).items():
        _resize(model, path, outputs, inputs)
    attention = model.get_submodule(layer.attention)
    if not heads:
        output = layer.attention_output.removeprefix(f"{layer.attention}.")
        model.set_submodule(layer.attention, Headless(attention, (output, *family.after_output), family.cache_argument))
        return
    numbers = dict.fromkeys(family.head_counts, len(heads))
    numbers |= dict.fromkeys(family.head_features, len(heads) * layer.head_width)
    numbers |= dict.fromkeys(family.group_counts, len(set(served)))
    for name, number in numbers.items():
        setattr(attention, name, number)


def _selection(layer: Layer, heads: Sequence[int], neurons: Sequence[int]) -> Selection:
    selected = {one.path: (head_features(one, layer, heads), None) for one in layer.attention_inputs}
    selected[layer.attention_output] = (None, output_features(layer, heads))
    selected |= {path: (list(neurons), None) for path in layer.mlp_inputs}
    selected[layer.mlp_output] = (None, list(neurons))
    return selected


def _resize(model: nn.Module, path: str, outputs: list[int] | None, inputs: list[int] | None) -> None:
    module = model.get_submodule(path)
    rows, columns = matrix(module).shape
    rows = rows if outputs is None else len(outputs)
    columns = columns if inputs is None else len(inputs)
    if isinstance(module, Conv1D) and columns == 0:
        # Conv1D views its input as [-1, 0], which torch refuses as ambiguous; a Linear without inputs gives its bias.
        module = nn.Linear(1, rows, device="meta")
        model.set_submodule(path, module)
    if isinstance(module, Conv1D):
        module.nf, module.nx = rows, columns
        module.weight = nn.Parameter(module.weight.new_empty(columns, rows))  # [in, out]
    else:
        module.out_features, module.in_features = rows, columns
        module.weight = nn.Parameter(module.weight.new_empty(rows, columns))  # [out, in]
    if module.bias is not None:
        module.bias = nn.Parameter(module.bias.new_empty(rows))  # [out]


def _narrowed(model: nn.Module, smaller: nn.Module, selected: Selection, dropped: set[str]) -> dict[str, nn.Parameter | Tensor]:
    """Copies of all parameters and buffers by name, of each projection only what is selected; ties are kept."""
    copies: dict[int, nn.Parameter] = {}
    tensors: dict[str, nn.Parameter | Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        path, _, own = name.rpartition(".")
        if path in dropped:
            continue
        if id(parameter) not in copies:
            copy = parameter.detach().clone()
            outputs, inputs = selected.get(path, (None, None))
            if path in selected and own == "weight":
                copy = matrix(model.get_submodule(path)).detach()  # [out, in]
                copy = copy if outputs is None else copy[outputs]
                copy = copy if inputs is None else copy[:, inputs]
                copy = copy.T if isinstance(smaller.get_submodule(path), Conv1D) else copy
                copy = copy.clone(memory_format=torch.contiguous_format)
            elif outputs is not None:
                copy = copy[outputs]  # a bias
            copies[id(parameter)] = nn.Parameter(copy, requires_grad=parameter.requires_grad)
        tensors[name] = copies[id(parameter)]
    return tensors | {name: buffer.clone() for name, buffer in model.named_buffers(remove_duplicate=False)}
