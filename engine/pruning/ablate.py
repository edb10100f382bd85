"""What the loss is without each head, measured by leaving it out: one run for each head or group; knows no score.

A run without a head of layer l needs the layers from l on only: what the layers before it put out is the same as with it. So the
whole model runs once for each batch, and what every layer put out is kept for the length of that batch. In layer l itself the
attention is not computed again either: its output is taken without what the head wrote, W[:, h] x_h.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import BoolTensor, LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy, Layer, family_of, matrix, output_features
from engine.models.modes import evaluating, repeating
from engine.pruning.gradients import token_losses

AT_ONCE = 2**29  # bytes that the outputs of all layers and the logits of a batch may take, unless a single block takes more


@dataclass
class _Seen:
    """What the modules put out and took in on one batch, by path."""

    outputs: dict[str, object] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)


def ablating(
    model: nn.Module, anatomy: Anatomy, blocks: LongTensor, mask: Tensor | None = None, batch_size: int = 8
) -> Generator[tuple[int, int], None, tuple[Tensor, ...]]:
    """Read `blocks` [n, length] once for each head; yield (runs done, runs to do) and return, by layer, the rise of the loss.

    The rise [heads] is in nats per predicted token, float64, below 0 where the model is better off without the head. Heads that
    share their keys and values go together, since nothing else can be cut: each gets an equal part of what its group costs.
    `mask` [n, length] tells tokens (1) from padding (0), which follows them. Between two runs the model is as it was.
    """
    batch_size = blocks_at_once(anatomy, blocks.shape[1], batch_size)
    batches = range(0, len(blocks), batch_size)
    device = next(model.parameters()).device
    roots = [f"{family_of(model)[1].layers}.{layer.index}" for layer in anatomy.layers]
    rises = tuple(torch.zeros(layer.heads, dtype=torch.float64) for layer in anatomy.layers)
    done, runs, predicted = 0, sum(len(layer.head_groups) for layer in anatomy.layers) * len(batches), 0
    for start in batches:
        batch = blocks[start : start + batch_size].to(device)  # [batch, length]
        real = None if mask is None else mask[start : start + batch_size].to(device).bool()  # [batch, length]
        predicted += batch[:, 1:].numel() if real is None else int(real[:, 1:].sum())
        seen = _Seen()
        with _watching(model, anatomy, roots, seen):
            whole = _loss(model, batch, real)
        for layer in anatomy.layers:
            for heads in layer.head_groups:
                with _without(model, layer, heads, roots, seen):
                    rise = _loss(model, batch, real) - whole
                rises[layer.index][list(heads)] += rise / len(heads)
                done += 1
                yield done, runs
    return tuple(rise / predicted for rise in rises)


def batch_bytes(anatomy: Anatomy, length: int, itemsize: int = 4) -> int:
    """About how many bytes are kept of one block of `length` tokens: of every layer three streams, and the logits three times."""
    layers = sum(3 * layer.width for layer in anatomy.layers)
    return length * itemsize * (3 * anatomy.vocabulary + layers)


def blocks_at_once(anatomy: Anatomy, length: int, most: int) -> int:
    """How many blocks of `length` tokens to read at once, at most `most`, so that what is kept stays within `AT_ONCE`."""
    return max(1, min(most, AT_ONCE // batch_bytes(anatomy, length)))


def _loss(model: nn.Module, batch: LongTensor, real: BoolTensor | None) -> float:
    with evaluating(model), torch.no_grad():  # without a mask: padding follows, and no token sees what follows
        logits = model(input_ids=batch, use_cache=False).logits  # [batch, length, vocabulary]
        return token_losses(logits, batch, real).cpu().double().sum().item()


@contextmanager
def _watching(model: nn.Module, anatomy: Anatomy, roots: Sequence[str], seen: _Seen) -> Iterator[None]:
    """Inside, `seen` keeps what every layer and its attention put out, and what came into the attention's output projection."""

    def put_out(path: str) -> Callable:
        return lambda _module, _inputs, output: seen.outputs.__setitem__(path, output)

    def came_in(path: str) -> Callable:
        return lambda _module, inputs: seen.inputs.__setitem__(path, inputs[0])

    with ExitStack() as stack:
        for path in (*roots, *(layer.attention for layer in anatomy.layers)):
            stack.callback(model.get_submodule(path).register_forward_hook(put_out(path)).remove)
        for path in (layer.attention_output for layer in anatomy.layers):
            stack.callback(model.get_submodule(path).register_forward_pre_hook(came_in(path)).remove)
        yield


@contextmanager
def _without(model: nn.Module, layer: Layer, heads: Sequence[int], roots: Sequence[str], seen: _Seen) -> Iterator[None]:
    """Inside, the model runs from `layer` on and without some of its heads; the layers before it repeat what they put out."""
    features = output_features(layer, heads)
    written = matrix(model.get_submodule(layer.attention_output)).detach()[:, features]  # [out, features]
    attention, *rest = seen.outputs[layer.attention]  # [batch, length, out], and whatever else this family's attention returns
    attention = attention - seen.inputs[layer.attention_output][..., features] @ written.T  # [batch, length, out]
    outputs = {path: seen.outputs[path] for path in roots[: layer.index]}
    with repeating(model, {**outputs, layer.attention: (attention, *rest)}):
        yield
