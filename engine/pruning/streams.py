"""The hidden states of a text between two layers, and one layer run by itself on them; knows no plan and changes no weight.

With the hidden states that come into a layer kept, that layer can be run alone, as often as one likes: going through a model
layer by layer costs one forward pass for each time that a layer is run, however many layers there are.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Layer, family_of
from engine.models.modes import evaluating, repeating


class Enough(Exception):
    """Ends a forward pass behind the point that was of interest; never leaves this module."""


@dataclass(frozen=True, eq=False)
class Call:
    """What a layer is called with besides the hidden states: masks, positions, rotary angles, as its model makes them."""

    positional: tuple[Any, ...]
    keyword: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Seen:
    """What came by while a layer ran, each [batch, length, ...]; None where the run ended before.

    `attention` and `mlp` are what the output projections gave, and came from `attention_inputs` and `mlp_inputs`; `read` is what
    came into the MLP's first projection; `hidden` is the layer's output.
    """

    attention_inputs: Tensor | None  # [batch, length, heads · head width]
    attention: Tensor | None  # [batch, length, width]
    read: Tensor | None  # [batch, length, width]
    mlp_inputs: Tensor | None  # [batch, length, neurons]
    mlp: Tensor | None  # [batch, length, width]
    hidden: Tensor | None  # [batch, length, width]


def enter(model: nn.Module, batch: LongTensor) -> Tensor:
    """What comes into the first layer for `batch` [batch, length]: [batch, length, width]; no layer is run."""
    found: list[Tensor] = []

    def keep(_: nn.Module, positional: tuple[Any, ...]) -> None:
        found.append(positional[0])
        raise Enough

    handle = _layers(model)[0].register_forward_pre_hook(keep)
    try:
        _forward(model, batch)
    except Enough:
        return found[0]  # [batch, length, width]
    finally:
        handle.remove()
    raise AssertionError("the first layer was not run")


def calls(model: nn.Module, batch: LongTensor) -> tuple[Call, ...]:
    """How each layer is called for blocks of this batch's shape, without padding; one forward pass."""
    found: list[Call] = []

    def keep(_: nn.Module, positional: tuple[Any, ...], keyword: dict[str, Any]) -> None:
        found.append(Call(positional[1:], keyword))

    with ExitStack() as stack:
        for layer in _layers(model):
            stack.callback(layer.register_forward_pre_hook(keep, with_kwargs=True).remove)
        _forward(model, batch)
    return tuple(found)


def leave(model: nn.Module, batch: LongTensor, hidden: Tensor) -> Tensor:
    """The logits [batch, length, vocabulary] of what the last layer gave for `batch`, `hidden` [batch, length, width]; no layer
    is run."""
    root = family_of(model)[1].layers
    with evaluating(model), torch.no_grad(), repeating(model, {f"{root}.{at}": hidden for at in range(len(_layers(model)))}):
        return model(input_ids=batch, use_cache=False).logits  # [batch, length, vocabulary]


def step(model: nn.Module, layer: Layer, hidden: Tensor, call: Call, until: str = "hidden") -> Seen:
    """Run one layer on `hidden` [batch, length, width], as far as `until` ("attention", "mlp" or "hidden", a field of `Seen`)."""
    found: dict[str, Tensor] = {}

    def keep(inputs: str, output: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(_: nn.Module, positional: tuple[Any, ...], result: Tensor) -> None:
            # OPT's MLP has its tokens flat.
            found[inputs] = positional[0].reshape(*hidden.shape[:2], positional[0].shape[-1])  # [batch, length, channels]
            found[output] = result.reshape(hidden.shape)  # [batch, length, width]
            if output == until:
                raise Enough

        return hook

    def read(_: nn.Module, positional: tuple[Any, ...]) -> None:
        found["read"] = positional[0].reshape(hidden.shape)  # [batch, length, width]

    with ExitStack() as stack, evaluating(model), torch.no_grad():
        for path, fields in (
            (layer.attention_output, ("attention_inputs", "attention")),
            (layer.mlp_output, ("mlp_inputs", "mlp")),
        ):
            stack.callback(model.get_submodule(path).register_forward_hook(keep(*fields)).remove)
        stack.callback(model.get_submodule(layer.mlp_inputs[0]).register_forward_pre_hook(read).remove)
        try:
            found["hidden"] = _layers(model)[layer.index](hidden, *call.positional, **call.keyword)
        except Enough:
            pass
    return Seen(*(found.get(field) for field in Seen.__dataclass_fields__))


def _layers(model: nn.Module) -> nn.ModuleList:
    return model.get_submodule(family_of(model)[1].layers)


def _forward(model: nn.Module, batch: LongTensor) -> None:
    with evaluating(model), torch.no_grad():
        model.base_model(input_ids=batch, use_cache=False)
