"""A cut model as one that a plain config describes: dense again with zeros, or smaller where it can say so; writes no files.

transformers knows one width for all layers. A model with zeros in place of what was cut has the dense widths, and so any
program reads it; it is neither smaller nor faster. Where all layers lost equally much and the config has words for the widths
that are left, the smaller model itself is a plain one.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.pytorch_utils import Conv1D

from engine.models.anatomy import dissect, family_of, matrix
from engine.models.biases import output_biases
from engine.models.narrow import Selection, config_of, everything, fill, hollow, kept_of, selection, skeleton
from engine.models.reading import MISFITS, quiet
from engine.record.errors import BadInput, counted, shorten


@dataclass(frozen=True, eq=False)
class Plain:
    """A model that its config describes; `left_out` names the added biases that the config has no word for."""

    model: nn.Module
    left_out: tuple[str, ...]


def zeroed(model: nn.Module) -> Plain:
    """The cut model in the shapes of the dense one, zeros where units went; it shares no memory with the given one.

    Its logits are those of the cut one up to rounding, unless biases had to be left out. A bias that compensation added is kept
    where the config can give the projection one; the others that it gives along with it are zero.
    """
    config = with_biases(model)
    with quiet():
        shape = hollow(type(model), deepcopy(config))
        anatomy, kept = dissect(shape), kept_of(model)
        dense = skeleton(type(model), config, everything(anatomy))
    selected: Selection = {}
    for layer in anatomy.layers:
        selected |= selection(layer, kept.heads[layer.index], kept.neurons[layer.index])
    return _filled(model, dense, selected)


def smaller(model: nn.Module) -> Plain:
    """The cut model with a config of its own, without copying any weight.

    Raises `BadInput`, with the reason, for layers of different widths, for layers without heads or neurons, for widths that the
    config has no words for, and for an added bias that it has none for.
    """
    anatomy, (name, family) = dissect(model), family_of(model)
    widths = {(layer.heads, layer.groups, layer.neurons) for layer in anatomy.layers}
    if len(widths) != 1:
        raise BadInput(f"The layers of this {name} differ in width, and a plain config has one width for all; no such folder.")
    ((heads, groups, neurons),) = widths
    if not heads or not neurons:
        raise BadInput(f"The layers of this {name} have {heads} heads and {neurons} neurons, and a plain config knows no zero.")
    config, dense = with_biases(model), dissect(hollow(type(model), config_of(model)))
    if heads != dense.layers[0].heads:
        config.num_attention_heads = heads
        if config.to_dict().get("num_key_value_heads") is not None:
            config.num_key_value_heads = groups
        if family.head_width:
            setattr(config, family.head_width, dense.layers[0].head_width)
    if neurons != dense.layers[0].neurons and family.mlp_width:
        setattr(config, family.mlp_width, neurons)
    try:
        with quiet():
            type(config).from_dict(config.to_dict())  # a config that is changed is not checked, and one that is read is
            plain = hollow(type(model), config)
        fits = [(one.heads, one.groups, one.head_width, one.neurons) for one in dissect(plain).layers]
    except MISFITS as error:  # BadInput is one
        raise BadInput(
            f"No plain config of the type {name} has {counted(heads, 'head')}: {shorten(' '.join(str(error).split()), 160)}."
        ) from error
    if fits != [(one.heads, one.groups, one.head_width, one.neurons) for one in anatomy.layers]:
        raise BadInput(f"The config of the type {name} has no words for {heads} heads and {neurons} neurons in each layer.")
    made = _filled(model, plain, {})
    if made.left_out:
        raise BadInput(f"The config of the type {name} has no words for the bias {made.left_out[0]}, which compensation added.")
    return made


def with_biases(model: nn.Module) -> PreTrainedConfig:
    """A copy of the config that gives the output projections a bias where the model has one, as far as the family can."""
    config, (_, family) = config_of(model), family_of(model)
    layers = dissect(model).layers
    for entry, paths in (
        (family.attention_bias, [layer.attention_output for layer in layers]),
        (family.mlp_bias, [layer.mlp_output for layer in layers]),
    ):
        if entry and any(model.get_submodule(path).bias is not None for path in paths):
            setattr(config, entry, True)
    return config


def _filled(model: nn.Module, empty: nn.Module, selected: Selection) -> Plain:
    """`empty` with the tensors of the model in their places, and with zeros in all other places; ties are kept."""
    given = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    wanted = dict(empty.named_parameters(remove_duplicate=False))
    tensors: dict[str, Tensor] = {name: given[name].clone() for name, _ in empty.named_buffers()}
    first: dict[int, nn.Parameter] = {}
    for name, place in wanted.items():
        if id(place) not in first:
            first[id(place)] = nn.Parameter(_placed(name, model, empty, given.get(name), selected))
        tensors[name] = first[id(place)]
    left_out = tuple(sorted(output_biases(model, dissect(model)) - wanted.keys()))
    if lost := sorted({name for name, _ in model.named_parameters()}.difference(wanted, left_out)):
        raise BadInput(f"{shorten(lost[0])} is a weight for which the config of this {type(model).__name__} has no place.")
    fill(empty, tensors)
    empty.generation_config = deepcopy(model.generation_config)
    return Plain(empty.train(model.training), left_out)


def _placed(name: str, model: nn.Module, empty: nn.Module, small: Tensor | None, selected: Selection) -> Tensor:
    shape, path, own = empty.get_parameter(name).shape, *name.rpartition(".")[::2]
    if small is None:  # a projection of a layer without heads, or a bias that the config gives along with another
        return torch.zeros(shape, dtype=model.dtype, device=model.device)
    small = small.detach()
    if path not in selected:
        return small.clone()
    outputs, inputs = selected[path]
    if own == "bias":
        return (
            small.clone()
            if outputs is None
            else small.new_zeros(shape).index_copy(0, torch.tensor(outputs, dtype=torch.long), small)
        )
    rows, columns = matrix(empty.get_submodule(path)).shape
    full = small.new_zeros(rows, columns)  # [out, in]
    rows_at = torch.tensor(range(rows) if outputs is None else outputs, dtype=torch.long)
    columns_at = torch.tensor(range(columns) if inputs is None else inputs, dtype=torch.long)
    full[rows_at[:, None], columns_at] = matrix(model.get_submodule(path)).detach()
    return full.T.contiguous() if isinstance(empty.get_submodule(path), Conv1D) else full
