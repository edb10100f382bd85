"""How a model stands while it is read or trained: evaluating or not, its weights frozen, its attention step by step, parts of it
repeating what they put out before; each taken back at the end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from engine.record.errors import BadInput


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, nothing is dropped out; afterwards every module is in the mode in which it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        # Not model.train(): parts of a model may have been in eval mode on purpose, and stay so.
        for module in training:
            module.training = True


@contextmanager
def training(model: nn.Module) -> Iterator[None]:
    """Inside, dropout acts; afterwards every module is in the mode in which it was."""
    evaluated = [module for module in model.modules() if not module.training]
    model.train()
    try:
        yield
    finally:
        for module in evaluated:  # one by one, as above
            module.training = False


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Inside, no weight takes part in a backward pass, so that none gets a gradient and no time is spent on one."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def eager_attention(model: nn.Module) -> Iterator[None]:
    """Inside, attention is computed step by step, so that its weights exist; SDPA, the default, never forms them.

    Raises `BadInput` for a GPT-2 in float64 whose config asks for attention in float32.
    """
    if model.dtype == torch.float64 and model.config.to_dict().get("reorder_and_upcast_attn"):
        raise BadInput(
            "The config of this model has reorder_and_upcast_attn, so that its attention weights are float32 and nothing else, "
            "and the model is in float64; load it in float32 where they are to be read."
        )
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def repeating(model: nn.Module, outputs: Mapping[str, object]) -> Iterator[None]:
    """Inside, these modules compute nothing and put out what is given; modules, weights and hooks stay where they are."""

    def always(output: object) -> Callable:
        return lambda *_inputs, **_options: output

    modules = {path: model.get_submodule(path) for path in outputs}
    own = {path: vars(module)["forward"] for path, module in modules.items() if "forward" in vars(module)}
    for path, module in modules.items():
        module.forward = always(outputs[path])
    try:
        yield
    finally:
        for path, module in modules.items():
            del module.forward
            if path in own:  # another library had put one there
                module.forward = own[path]
