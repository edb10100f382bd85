"""What can be removed from a model: its heads and neurons, counted from the weights; knows nothing of how they are removed.

Everything is read from the shapes that are there, not from what a config or an attribute says, so that a model that was
cut, layer by layer to other widths, is described as truly as a dense one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.models.families import Family, Projection
from engine.record.catalogue import FAMILIES
from engine.record.errors import BadInput

# Entries of a config that make another kind of model out of a supported class, and what that is.
OTHER_MODELS = {
    "add_cross_attention": "attends to an encoder",
    "is_encoder_decoder": "is told to be an encoder with a decoder",
    "use_bidirectional_attention": "is an encoder, which looks at what is to come",
    "per_layer_config": "has layers of different configurations",
}
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Layer:
    """One transformer layer: how many units it has and which modules hold them (dotted paths from the model's root).

    `groups` is the number of key-value groups, equal to `heads` where keys are not shared; a group goes whole or stays.
    `keeps_heads` says that it stays: the layer was built with one group for all its heads (multi-query attention), and
    without it there would be no attention left. `head_parameters` is what goes with one head by itself (its rows of Q with
    their biases, its columns of the output projection, and its rows of K and V unless they are shared), `group_parameters`
    what goes with one group, `norm_parameters` what goes with the last head besides, `neuron_parameters` what goes with one
    neuron; both biases of the output projections stay. `window` is how many tokens attention sees at most, the present one
    included; None: all that came before. A layer without heads has no `attention_inputs`. The input of
    `attention_output` is `heads · head_width` features, head after head, group after group; that of `mlp_output` the neurons.
    Both put out `width` features, those of the residual stream, which the heads together need not be as wide as.
    """

    index: int
    width: int
    heads: int
    head_width: int
    groups: int
    keeps_heads: bool
    window: int | None
    neurons: int
    head_parameters: int
    group_parameters: int
    norm_parameters: int
    neuron_parameters: int
    attention: str
    attention_inputs: tuple[Projection, ...] = field(repr=False)
    attention_output: str
    head_norms: tuple[str, ...]
    mlp: str
    mlp_inputs: tuple[str, ...]
    mlp_output: str

    @property
    def channels(self) -> tuple[int, int]:
        """How many features come into the output projections, the attention's and the MLP's."""
        return self.heads * self.head_width, self.neurons

    @property
    def head_groups(self) -> tuple[tuple[int, ...], ...]:
        """The heads of every key-value group, ascending: what goes together. Where keys are not shared, each head by itself."""
        size = self.heads // self.groups if self.groups else 0
        return tuple(tuple(range(group * size, (group + 1) * size)) for group in range(self.groups))

    @property
    def removable_groups(self) -> tuple[tuple[int, ...], ...]:
        """The groups that a plan may take: all of `head_groups`, or none where the layer keeps its heads."""
        return () if self.keeps_heads else self.head_groups


@dataclass(frozen=True)
class Anatomy:
    """A model in numbers. `parameters` counts every shared tensor once; `context` is the most positions it was built for;
    `activation` is what the config calls the function of the neurons."""

    family: str
    layers: tuple[Layer, ...] = field(repr=False)
    parameters: int
    context: int
    vocabulary: int
    activation: str

    def with_key_of(self, layer: int, head: int) -> set[tuple[int, int]]:
        """A head and those that share its key: they go together, and whoever asks for one asks for its group."""
        groups = (group for one in self.layers if one.index == layer for group in one.head_groups)
        return {(layer, each) for group in groups if head in group for each in group} or {(layer, head)}


def dissect(model: nn.Module) -> Anatomy:
    """Describe a supported causal language model of transformers: dense, gated or cut, in any dtype, on any device.

    Raises `BadInput`, with the supported model types, for any other model and for quantised weights.
    """
    name, family = family_of(model)
    config, facts = model.config, model.config.to_dict()
    for entry, told in OTHER_MODELS.items():
        if facts.get(entry):
            raise BadInput(
                f"This {type(model).__name__} {told}; supported are causal language models of the types {supported()}."
            )
    layers = model.get_submodule(family.layers)
    windows = [facts.get(family.window)] * len(layers)  # a Llama does not look at what its config says of a window
    if facts.get(family.layer_kinds):
        kinds = zip(windows, facts[family.layer_kinds], strict=True)
        windows = [window if kind == "sliding_attention" else None for window, kind in kinds]
    width = facts.get(family.head_width) or config.hidden_size // config.num_attention_heads
    built = _Built(config.num_attention_heads, width, tuple(windows))
    return Anatomy(
        family=name,
        layers=tuple(_layer(model, family, index, built) for index in range(len(layers))),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        context=config.max_position_embeddings,
        vocabulary=model.get_input_embeddings().weight.shape[0],
        activation=facts.get("activation_function") or facts["hidden_act"],
    )


def family_of(model: nn.Module) -> tuple[str, Family]:
    """The `model_type` of a model and the data of its family; raises `BadInput` for a class that no family describes."""
    of_class = {FAMILIES.load(name).FAMILY.model_class: name for name in FAMILIES.names()}
    given = type(model).__name__
    if given not in of_class:
        raise BadInput(f"{given} cannot be pruned here; supported are causal language models of the types {supported()}.")
    name = of_class[given]
    return name.replace("-", "_"), FAMILIES.load(name).FAMILY


def supported() -> str:
    """The supported model types as a list in words, spelled as in a `config.json`."""
    return ", ".join(name.replace("-", "_") for name in FAMILIES.names())


def matrix(module: nn.Module) -> Tensor:
    """A view of a projection's weight as `[out, in]`, whichever way the module stores it."""
    return module.weight.T if isinstance(module, Conv1D) else module.weight  # [out, in]


def head_features(projection: Projection, layer: Layer, heads: Sequence[int]) -> list[int]:
    """Which output features of an attention input belong to `heads`, in the order in which it holds them.

    Keys and values that are shared by a group of heads belong to every one of its heads.
    """
    wanted = {"query": sorted(heads)}
    wanted["key"] = wanted["value"] = sorted({head // (layer.heads // layer.groups) for head in heads})
    span = range(layer.head_width)
    if projection.order == "head":
        parts = len(projection.parts)
        return [(head * parts + part) * layer.head_width + at for head in wanted["query"] for part in range(parts) for at in span]
    features, start = [], 0
    for part in projection.parts:
        features += [start + unit * layer.head_width + at for unit in wanted[part] for at in span]
        start += (layer.heads if part == "query" else layer.groups) * layer.head_width
    return features


def output_features(layer: Layer, heads: Sequence[int]) -> list[int]:
    """Which input features of the attention output projection belong to `heads`, ascending."""
    return [head * layer.head_width + at for head in sorted(heads) for at in range(layer.head_width)]


@dataclass(frozen=True)
class _Built:
    heads: int  # of a layer before any cut
    head_width: int
    windows: tuple[int | None, ...]  # of each layer


def _layer(model: nn.Module, family: Family, index: int, built: _Built) -> Layer:
    root, width = f"{family.layers}.{index}", built.head_width
    shapes = {path: _shape(model, f"{root}.{path}") for path in (family.attention_output, *family.mlp_inputs, family.mlp_output)}
    heads = _units(f"{root}.{family.attention_output}", shapes[family.attention_output].inputs, width)
    inputs = family.attention_inputs if heads else ()  # a layer without heads has nothing that makes queries
    norms = family.head_norms if heads else ()
    shapes |= {one.path: _shape(model, f"{root}.{one.path}") for one in inputs}
    shared = [one for one in inputs if "query" not in one.parts]
    groups = _units(f"{root}.{shared[0].path}", shapes[shared[0].path].outputs, width * len(shared[0].parts)) if shared else heads
    if heads and (not groups or heads % groups):
        raise BadInput(
            f"{root}.{family.attention} has {heads} heads and {groups} keys, and every key must serve equally many heads."
        )
    for one in inputs:
        made = width * sum(heads if part == "query" else groups for part in one.parts)
        _same(f"{root}.{one.path}", shapes[one.path].outputs, made)
    for path in family.mlp_inputs:
        _same(f"{root}.{path}", shapes[path].outputs, shapes[family.mlp_output].inputs)
    of_query = width * sum(shapes[one.path].for_one_output * one.parts.count("query") for one in inputs)
    of_key = width * sum(shapes[one.path].for_one_output * (len(one.parts) - one.parts.count("query")) for one in inputs)
    of_head = of_query + width * shapes[family.attention_output].outputs if heads else 0
    size = heads // groups if groups else 0
    return Layer(
        index=index,
        width=shapes[family.mlp_output].outputs,
        heads=heads,
        head_width=width,
        groups=groups,
        keeps_heads=groups == 1 and heads == built.heads > 1,
        window=built.windows[index],
        neurons=shapes[family.mlp_output].inputs,
        head_parameters=of_head + (of_key if size == 1 else 0),
        group_parameters=of_head * size + of_key,
        norm_parameters=sum(one.numel() for path in norms for one in model.get_submodule(f"{root}.{path}").parameters()),
        neuron_parameters=sum(shapes[path].for_one_output for path in family.mlp_inputs) + shapes[family.mlp_output].outputs,
        attention=f"{root}.{family.attention}",
        attention_inputs=tuple(replace(one, path=f"{root}.{one.path}") for one in inputs),
        attention_output=f"{root}.{family.attention_output}",
        head_norms=tuple(f"{root}.{path}" for path in norms),
        mlp=f"{root}.{family.mlp}" if family.mlp else root,
        mlp_inputs=tuple(f"{root}.{path}" for path in family.mlp_inputs),
        mlp_output=f"{root}.{family.mlp_output}",
    )


@dataclass(frozen=True)
class _Shape:
    outputs: int
    inputs: int
    for_one_output: int  # parameters of one output feature: its weights and, where there is one, its bias


def _shape(model: nn.Module, path: str) -> _Shape:
    module = model.get_submodule(path)
    if not isinstance(module, (nn.Linear, Conv1D)) or module.weight.dtype not in FLOATS:
        raise BadInput(
            f"{path} is a {type(module).__name__} that holds no plain floating-point matrix; quantised or wrapped weights "
            f"cannot be pruned, so load a model of {supported()} in float32, float16 or bfloat16."
        )
    outputs, inputs = matrix(module).shape
    return _Shape(outputs, inputs, inputs + (module.bias is not None))


def _units(path: str, features: int, width: int) -> int:
    if features % width:
        raise BadInput(f"{path} has {features} features, which is no multiple of {width}, the width of one head.")
    return features // width


def _same(path: str, features: int, expected: int) -> None:
    if features != expected:
        raise BadInput(f"{path} makes {features} features where the layer's output projections take {expected}.")
