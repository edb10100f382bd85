"""Small matrices beside the projections of a model, put on by peft and taken off or merged again; knows no loss and no optimizer.

For a projection y = W x + b it is y = W x + b + SCALE · B A x, with A [rank, in] drawn at random and B [out, rank] zero at the
beginning, so that nothing changes until B has learnt something. Hu et al. 2021, arXiv 2106.09685. A projection with fewer inputs
or outputs than the rank has as many in its place: B A can be every matrix of its shape then.

Gates hang on output projections, before their input. What peft puts in the place of a projection hands its input to W, whose hook
gates it, and to A, which no hook would: a closed unit would write through A and B. So the gates are hung on what stands there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from engine.models.anatomy import Anatomy, Layer, matrix
from engine.record.errors import BadInput

SCALE = 2.0
NAME = "espalier"


class Adapters:
    """The matrices of one model, from now until `merge` or `remove`; in between they alone have gradients."""

    def __init__(self, model: nn.Module, anatomy: Anatomy, rank: int, targets: str, seed: int, rehang: Callable[[], None]):
        # Not at the top: it takes seconds, and most recoveries do without it.
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel

        paths = targets_of(model, anatomy, targets)
        if not paths:
            raise BadInput(f"tuning.targets {targets!r} names no projection that is left in this model; choose other targets.")
        sides = {path: min(matrix(model.get_submodule(path)).shape) for path in paths}
        if rank > max(sides.values()):
            raise BadInput(
                f"tuning.rank {rank} is more than any of these projections has inputs or outputs, at most {max(sides.values())}; "
                "lower it, or train every weight."
            )
        narrow = {path: side for path, side in sides.items() if side < rank}
        self._learning = [(one, one.requires_grad) for one in model.parameters()]
        self._rehang = rehang
        sideways = isinstance(model.get_submodule(paths[0]), Conv1D)  # which keeps its weight as [in, out]
        config = LoraConfig(
            r=rank,
            lora_alpha=SCALE * rank,
            rank_pattern=narrow,
            alpha_pattern={path: SCALE * side for path, side in narrow.items()},
            target_modules=paths,
            fan_in_fan_out=sideways,
            lora_dropout=0.0,
        )
        with torch.random.fork_rng([one for one in {model.device} if one.type == "cuda"]):
            torch.manual_seed(seed)
            self._tuner = LoraModel(model, {NAME: config}, NAME)
        rehang()

    @contextmanager
    def off(self) -> Iterator[None]:
        """Inside, the model computes without them."""
        self._tuner.disable_adapter_layers()
        try:
            yield
        finally:
            self._tuner.enable_adapter_layers()

    def merge(self) -> None:
        """Add the products to the weights and leave the model without anything beside them."""
        self._tuner.merge_and_unload()
        self._leave()

    def remove(self) -> None:
        """Leave the model as it came, to the bit."""
        self._tuner.unload()
        self._leave()

    def _leave(self) -> None:
        for parameter, learning in self._learning:
            parameter.requires_grad_(learning)
        self._rehang()


def targets_of(model: nn.Module, anatomy: Anatomy, targets: str) -> list[str]:
    """The paths of the projections of "attention", "mlp" or "all" that have something to multiply: a cut may have left none."""
    found = []
    for layer in anatomy.layers:
        found += _attention(layer) if targets != "mlp" else []
        found += [*layer.mlp_inputs, layer.mlp_output] if targets != "attention" else []
    return [path for path in dict.fromkeys(found) if matrix(model.get_submodule(path)).numel()]


def _attention(layer: Layer) -> list[str]:
    return [*(one.path for one in layer.attention_inputs), layer.attention_output]
