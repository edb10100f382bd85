"""A model with only some of its units: built from the config of the dense one, layer by layer narrower; knows nothing of plans.

A cut and a file on disk both come through here, so a saved model has the shapes that it had when it was cut. The config
stays the dense model's; which units are left is noted on the model itself (`kept_of`), by their numbers in the dense model.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.pytorch_utils import Conv1D

from engine.models.anatomy import Anatomy, Layer, dissect, family_of, head_features, matrix, output_features
from engine.models.families import Family
from engine.models.reading import MISFITS, told
from engine.record.errors import BadInput, counted, shorten

# By path of a projection which output and which input features stay; None: all of them.
Selection = dict[str, tuple[list[int] | None, list[int] | None]]
RECORD = "espalier_kept"  # the attribute of a narrower model that holds its `Kept`; only `skeleton` and `kept_of` touch it


@dataclass(frozen=True)
class Kept:
    """For every layer the original indices of the heads and neurons that are left, ascending; the place is the present index."""

    heads: tuple[tuple[int, ...], ...]
    neurons: tuple[tuple[int, ...], ...]


def everything(anatomy: Anatomy) -> Kept:
    """The `Kept` of a model from which nothing was cut."""
    return Kept(
        tuple(tuple(range(layer.heads)) for layer in anatomy.layers),
        tuple(tuple(range(layer.neurons)) for layer in anatomy.layers),
    )


def kept_of(model: nn.Module) -> Kept:
    """Which original units a model has left: what was noted when it was built narrower, and all for a dense model.

    The note is a plain attribute; it survives `deepcopy` and training. Raises `BadInput` for a model without a note whose
    widths are not those of its config: something else narrowed it, and the original numbers of its units are not known.
    """
    kept = vars(model).get(RECORD)
    if kept is not None:
        return kept
    kept = everything(dissect(model))
    if kept != everything(dissect(hollow(type(model), config_of(model)))):
        raise BadInput(
            f"This {type(model).__name__} has other widths than its config says, and nothing tells which units it lost; "
            "cut the dense model with `cut`."
        )
    return kept


def config_of(model: nn.Module) -> PreTrainedConfig:
    """A copy of the config of a model that says whether its head is its embedding as the model itself has it.

    A file may hold a head of its own where its config ties the two: transformers reads both, and leaves the config as it is, of
    which a model without that head would be made.
    """
    config = deepcopy(model.config)
    config.tie_word_embeddings = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return config


def hollow(model_class: type[nn.Module], config: PreTrainedConfig) -> nn.Module:
    """The dense model of a config with every tensor on the meta device; raises `BadInput` for a config that makes none."""
    try:
        with torch.device("meta"):
            return model_class(config)
    except MISFITS as error:
        raise BadInput(f"The config makes no {model_class.__name__}: {told(error)}.") from error


def skeleton(model_class: type[nn.Module], config: PreTrainedConfig, kept: Kept) -> nn.Module:
    """A model of the dense `config`, narrowed to `kept`, whose tensors are all on the meta device: shapes without memory.

    Raises `BadInput` for a config that makes no model, for indices that the dense model does not have, and for heads of which
    a key-value group is kept in part or a layer that keeps its heads has lost them.
    """
    model = hollow(model_class, config)
    _, family = family_of(model)
    layers = dissect(model).layers
    _fits("heads", kept.heads, [layer.heads for layer in layers])
    _fits("neurons", kept.neurons, [layer.neurons for layer in layers])
    for layer, heads, neurons in zip(layers, kept.heads, kept.neurons, strict=True):
        narrow(model, family, layer, heads, neurons)
    setattr(model, RECORD, kept)
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


def selection(layer: Layer, heads: Sequence[int], neurons: Sequence[int]) -> Selection:
    """Which features of a layer's projections belong to the units that stay (present indices, ascending)."""
    selected = {one.path: (head_features(one, layer, heads), None) for one in layer.attention_inputs}
    selected[layer.attention_output] = (None, output_features(layer, heads))
    selected |= {path: (list(neurons), None) for path in layer.mlp_inputs}
    selected[layer.mlp_output] = (None, list(neurons))
    return selected


def _fits(kind: str, kept: Sequence[Sequence[int]], sizes: Sequence[int]) -> None:
    if len(kept) != len(sizes):
        raise BadInput(f"The kept {kind} are given for {counted(len(kept), 'layer')}, and the dense model has {len(sizes)}.")
    for index, (units, size) in enumerate(zip(kept, sizes, strict=True)):
        if list(units) != sorted(set(units)) or not all(0 <= unit < size for unit in units):
            raise BadInput(f"The kept {kind} of layer {index} must be ascending numbers from 0 to {size - 1}, each at most once.")


def narrow(model: nn.Module, family: Family, layer: Layer, heads: Sequence[int], neurons: Sequence[int]) -> None:
    """Give one layer of a model the shapes that it has with these units alone (present indices, ascending), on the meta device.

    Raises `BadInput` as `skeleton` does.
    """
    for group in layer.head_groups:  # attention takes query i to group i // (heads per group), so a smaller group would mix them
        if not set(group).isdisjoint(heads) and not set(group).issubset(heads):
            raise BadInput(
                f"The kept heads of layer {layer.index} hold a part of {shorten(list(group))}, which share a key and a value; "
                "keep all of them or none."
            )
    if layer.keeps_heads and not heads:
        raise BadInput(f"Layer {layer.index} has one key-value group for all its heads, and no head is kept; keep all of them.")
    for path, (outputs, inputs) in selection(layer, heads, neurons).items():
        _resize(model, path, outputs, inputs)
    attention = model.get_submodule(layer.attention)
    if not heads:
        output = layer.attention_output.removeprefix(f"{layer.attention}.")
        model.set_submodule(layer.attention, Headless(attention, (output, *family.after_output), family.cache_argument))
        return
    numbers = dict.fromkeys(family.head_counts, len(heads))
    numbers |= dict.fromkeys(family.head_features, len(heads) * layer.head_width)
    for name, number in numbers.items():
        setattr(attention, name, number)


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
