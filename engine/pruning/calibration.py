"""One pass over calibration text, and of it only sums: what comes into every output projection and where every head looks.

Knows nothing of scores and plans. No text and no activation is kept, and after every batch the model is as it was. A gated
model is read as it is with its gates (a closed unit brings zeros), a cut one with the units that it has left.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import BoolTensor, LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy, Layer, dissect
from engine.pruning.sums import AttentionEntropy, Histograms, Moments
from engine.record.errors import BadInput, UnknownName, shorten

NEEDS = ("rms", "mean", "covariance", "entropy")


@dataclass(frozen=True, eq=False)
class Inputs:
    """What came into one output projection, channel by channel, in float64 on the CPU; None is what was not asked for."""

    rms: Tensor | None  # [channels]: the root of the mean square
    mean: Tensor | None  # [channels]
    covariance: Tensor | None  # [channels, channels]: divided by the number of tokens


@dataclass(frozen=True, eq=False)
class Statistics:
    """What one pass over `tokens` tokens gathered; each tuple has one entry for each layer."""

    tokens: int
    gathered: frozenset[str]
    attention: tuple[Inputs, ...]  # channels: head after head, `head_width` channels each
    mlp: tuple[Inputs, ...]  # channels: neurons, after the activation function
    attention_entropy: tuple[Tensor, ...] | None  # [heads]: 0 looks at one token .. 1 looks at all alike
    neuron_entropy: tuple[Tensor, ...] | None  # [neurons]: 0 always the same .. 1 evenly spread over the bins

    def require(self, needs: Iterable[str]) -> None:
        """Raise `BadInput` where one of the needs was not gathered."""
        missing = [need for need in needs if need not in self.gathered]
        if missing:
            raise BadInput(
                f"The statistics hold {shorten(sorted(self.gathered))} and lack {', '.join(missing)}; "
                "calibrate again with that among the needs."
            )


def calibrate(
    model: nn.Module, blocks: LongTensor, needs: Iterable[str], *, mask: Tensor | None = None, batch_size: int = 8
) -> Statistics:
    """`calibrating`, run to its end."""
    steps = calibrating(model, blocks, needs, mask=mask, batch_size=batch_size)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def calibrating(
    model: nn.Module, blocks: LongTensor, needs: Iterable[str], *, mask: Tensor | None = None, batch_size: int = 8
) -> Generator[int, None, Statistics]:
    """Read `blocks` [n, length] once; yield the number of blocks read after each batch and return the `Statistics`.

    `needs` is a subset of `NEEDS`. Every token has the same weight, whatever the batches. `mask` [n, length] tells tokens (1)
    from padding (0), which must stand at the end of a block and changes nothing. A covariance takes 8·channels² bytes for each
    projection: 75 MB for 3072 neurons.

    "entropy" gathers two things. Of a head, that of its real attention, from the eager implementation, to which the model
    is switched while a batch runs: of row i (from 0) −Σ A ln A, divided by ln(i + 1), the most that it could be, averaged over
    all rows but the first. Of a neuron, that of its activation's histogram over the tokens, divided by the logarithm of the
    number of bins; the bins are as wide for all neurons of a layer and span four standard deviations to either side of the
    neuron's mean, both taken from the first block.

    Raises `BadInput` for an unsupported model, an unknown need, blocks or a mask that do not fit the model, and
    activations that are not finite.
    """
    gathered = frozenset(needs)
    for need in sorted(gathered.difference(NEEDS)):
        raise UnknownName("Statistic", need, NEEDS)
    anatomy = dissect(model)
    _check(anatomy, blocks, mask)
    device = next(model.parameters()).device
    readers = [_Reader(layer, gathered) for layer in anatomy.layers]
    tokens = 0
    for start in range(0, len(blocks), batch_size):
        batch = blocks[start : start + batch_size].to(device)  # [batch, length]
        real = None if mask is None else mask[start : start + batch_size].to(device).bool()  # [batch, length]
        with _listening(model, readers, batch, real), torch.no_grad():
            # Without the language-model head: nobody looks at the logits, and they are a third of GPT-2's work.
            model.base_model(input_ids=batch, attention_mask=None if real is None else real.long(), use_cache=False)
        for reader in readers:
            reader.refuse_infinities()
        tokens += batch.numel() if real is None else int(real.sum())
        yield start + len(batch)
    return _statistics(readers, tokens, gathered)


@contextmanager
def eager_attention(model: nn.Module) -> Iterator[None]:
    """Inside, attention is computed step by step, so that its weights exist; SDPA, the default, never forms them."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


class _Reader:
    """The sums of one layer, and the hooks that feed them."""

    def __init__(self, layer: Layer, needs: frozenset[str]):
        self.layer = layer
        self.needs = needs
        self.attention = Moments("covariance" in needs)
        self.mlp = Moments("covariance" in needs)
        self.attention_entropy = AttentionEntropy()
        self.neuron_entropy = Histograms()

    def hooks(self, model: nn.Module, length: int, real: BoolTensor | None) -> Iterator[torch.utils.hooks.RemovableHandle]:
        """Hook the layer for one batch of blocks of `length` tokens, of which `real` [batch, length] marks those that count."""
        of_first_block = length if real is None else int(real[0].sum())

        def at_attention_output(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.attention.add(_vectors(inputs[0], real))

        def at_mlp_output(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            vectors = _vectors(inputs[0], real)  # [tokens, neurons]
            self.mlp.add(vectors)
            if "entropy" in self.needs:
                self.neuron_entropy.add(vectors, of_first_block)

        def at_attention(module: nn.Module, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
            self.attention_entropy.add(output[1], real)  # [batch, heads, row, column]

        yield model.get_submodule(self.layer.attention_output).register_forward_pre_hook(at_attention_output)
        yield model.get_submodule(self.layer.mlp_output).register_forward_pre_hook(at_mlp_output)
        if "entropy" in self.needs and self.layer.heads:
            yield model.get_submodule(self.layer.attention).register_forward_hook(at_attention)

    def refuse_infinities(self) -> None:
        """Raise `BadInput` once a value that is not finite has come in: every sum from there on is worth nothing."""
        for name, moments in ((self.layer.attention_output, self.attention), (self.layer.mlp_output, self.mlp)):
            if moments.squares is not None and not bool(moments.squares.isfinite().all()):
                raise BadInput(
                    f"The input of {name} is not finite on the calibration text; the weights are damaged or the precision is "
                    "too low for this model: load it in float32 or bfloat16."
                )


@contextmanager
def _listening(model: nn.Module, readers: list[_Reader], batch: LongTensor, real: BoolTensor | None) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    with ExitStack() as stack:
        stack.callback(_set_training, training)
        model.eval()
        if any("entropy" in reader.needs for reader in readers):
            stack.enter_context(eager_attention(model))
        for reader in readers:
            for hook in reader.hooks(model, batch.shape[1], real):
                stack.callback(hook.remove)
        yield


def _set_training(modules: list[nn.Module]) -> None:
    # Not model.train(): parts of a model may have been in eval mode on purpose, and stay so.
    for module in modules:
        module.training = True


def _vectors(activations: Tensor, real: BoolTensor | None) -> Tensor:
    vectors = activations.flatten(0, -2)  # [tokens, channels]: OPT's MLP has them flat already
    return vectors if real is None else vectors[real.flatten()]  # [tokens that count, channels]


def _statistics(readers: list[_Reader], tokens: int, gathered: frozenset[str]) -> Statistics:
    def inputs(moments: Moments) -> Inputs:
        return Inputs(
            rms=moments.rms() if "rms" in gathered else None,
            mean=moments.mean() if "mean" in gathered else None,
            covariance=moments.covariance() if "covariance" in gathered else None,
        )

    entropy = "entropy" in gathered
    return Statistics(
        tokens=tokens,
        gathered=gathered,
        attention=tuple(inputs(reader.attention) for reader in readers),
        mlp=tuple(inputs(reader.mlp) for reader in readers),
        attention_entropy=tuple(reader.attention_entropy.mean() for reader in readers) if entropy else None,
        neuron_entropy=tuple(reader.neuron_entropy.entropy() for reader in readers) if entropy else None,
    )


def _check(anatomy: Anatomy, blocks: LongTensor, mask: Tensor | None) -> None:
    if blocks.dim() != 2 or blocks.numel() == 0:
        raise BadInput(f"Calibration blocks have the shape {tuple(blocks.shape)}; give [n, length] with at least one token.")
    length = blocks.shape[1]
    if length < 2 or length > anatomy.context:
        raise BadInput(f"Calibration blocks are {length} tokens long; this model takes 2 to {anatomy.context}.")
    if int(blocks.min()) < 0 or int(blocks.max()) >= anatomy.vocabulary:
        raise BadInput(
            f"Calibration blocks hold tokens {int(blocks.min())} to {int(blocks.max())}, and the model knows 0 to "
            f"{anatomy.vocabulary - 1}; pack the text with the model's own tokenizer."
        )
    if mask is None:
        return
    if mask.shape != blocks.shape:
        raise BadInput(f"The mask has the shape {tuple(mask.shape)} and the blocks {tuple(blocks.shape)}; they must agree.")
    real = mask.bool()  # [n, length]
    if not bool(real[:, :2].all()) or bool((real[:, 1:] & ~real[:, :-1]).any()):
        raise BadInput("The mask has padding before or between tokens; every block must begin with two tokens, padding follows.")
