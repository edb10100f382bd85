"""One pass over calibration text, and of it only sums: what comes into every output projection, where every head looks, what the
loss makes of every gate.

Knows nothing of scores and plans. No text and no activation is kept, and after every batch the model is as it was. A gated
model is read as it is with its gates (a closed unit brings zeros), a cut one with the units that it has left.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import BoolTensor, LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy, dissect
from engine.models.modes import eager_attention, evaluating, frozen
from engine.pruning import ablate
from engine.pruning.gradients import blocks_at_once, graph_bytes, token_losses
from engine.pruning.reader import Reader
from engine.pruning.running_sums import BINS
from engine.pruning.statistics import NEEDS, Inputs, Statistics, merged
from engine.record.errors import BadInput, UnknownName
from engine.record.lifecycle import Progressed
from engine.record.steps import ended, retold
from engine.text.blocks import check_blocks
from engine.watching import free_on

BATCH = 8  # blocks


def calibrate(
    model: nn.Module, blocks: LongTensor, needs: Iterable[str], *, mask: Tensor | None = None, batch_size: int = BATCH
) -> Statistics:
    """`calibrating`, run to its end."""
    return ended(calibrating(model, blocks, needs, mask=mask, batch_size=batch_size))


def calibrating(
    model: nn.Module,
    blocks: LongTensor,
    needs: Iterable[str],
    *,
    mask: Tensor | None = None,
    batch_size: int = BATCH,
    free: int | None = None,
) -> Generator[Progressed, None, Statistics]:
    """Read `blocks` [n, length] once; say at first what memory that takes, then how far it is, and return the `Statistics`.

    `needs` is a subset of `NEEDS`. Every token has the same weight, whatever the batches. `mask` [n, length] tells tokens (1)
    from padding (0), which must stand at the end of a block and changes nothing.

    "entropy" gathers two things. Of a head, that of its real attention, from the eager implementation, to which the model
    is switched while a batch runs: of row i (from 0) −Σ A ln A, divided by ln(i + 1), the most that it could be (in a sliding
    window of w tokens ln(min(i + 1, w))), averaged over all rows but the first. Of a neuron, that of its activation's histogram
    over the tokens, divided by the logarithm of the number of bins; the bins are as wide for all neurons of a layer and span
    four standard deviations to either side of the neuron's mean, both taken from the first block.

    "gradients" adds a backward pass, with the weights frozen, of the loss of every block by itself (`engine.pruning.gradients`),
    in smaller batches where those would take too much memory. Where "entropy" is asked for as well, the text is read for that
    before: of eager attention a backward pass would keep heads · length² numbers of every layer. "losses" is no single pass: it
    runs the model once for each head (`engine.pruning.ablate`), after everything else.

    Raises `BadInput` for an unsupported model, an unknown need, blocks or a mask that do not fit the model, activations or
    gradients that are not finite, and where more memory is needed than is `free` (bytes; None: what is free on the device now).
    """
    gathered = frozenset(needs)
    for need in sorted(gathered.difference(NEEDS)):
        raise UnknownName("Statistic", need, NEEDS)
    anatomy = dissect(model)
    _check(anatomy, blocks, mask)
    batch_size = min(batch_size, len(blocks))
    device, itemsize = next(model.parameters()).device, max(4, model.dtype.itemsize)
    needed = memory_needed(anatomy, gathered, length=blocks.shape[1], batch_size=batch_size, itemsize=itemsize)
    free = free_on(device) if free is None else free
    if needed > free:
        raise BadInput(
            f"Calibration needs {_size(needed)} of memory beside the model and {_size(free)} is free; read shorter sequences, or "
            "choose a criterion and a compensation that need no covariance."
        )
    if "gradients" in gathered:
        batch_size = blocks_at_once(anatomy, blocks.shape[1], batch_size)
    tokens = blocks.numel() if mask is None else int(mask.sum())
    nothing = (Inputs(),) * len(anatomy.layers)
    found = Statistics(tokens, frozenset(), nothing, nothing)
    passes = _passes(gathered)
    if passes:
        yield Progressed(f"calibration, in {_size(needed)} of memory", 0, len(passes) * blocks.numel(), "tokens")
    for index, part in enumerate(passes):
        readers = [Reader(layer, part) for layer in anatomy.layers]
        for start in range(0, len(blocks), batch_size):
            batch = blocks[start : start + batch_size].to(device)  # [batch, length]
            real = None if mask is None else mask[start : start + batch_size].to(device).bool()  # [batch, length]
            _read(model, readers, batch, real, part)
            done = index * blocks.numel() + (start + len(batch)) * blocks.shape[1]
            yield Progressed("calibration", done, len(passes) * blocks.numel(), "tokens")
        found = merged(found, _statistics(readers, tokens, tokens - len(blocks), part))
    if "losses" in gathered:
        rises = yield from _ablating(model, anatomy, blocks, mask, batch_size)
        attention = tuple(Inputs(losses=rise) for rise in rises)
        found = merged(found, Statistics(tokens, frozenset({"losses"}), attention, nothing))
    return found


def memory_needed(
    anatomy: Anatomy, needs: Iterable[str], *, length: int = 256, batch_size: int = BATCH, itemsize: int = 4
) -> int:
    """About how many bytes a calibration takes beside the model: the sums, which do not grow with the text, and one batch.

    A covariance is channels² numbers for each projection: 38 MB for 3072 neurons in float32. `length` is that of a block
    in tokens, `itemsize` the bytes of a number in the model's precision, at least 4.
    """
    widths = [width for layer in anatomy.layers for width in layer.channels]
    if "gradients" in needs:
        batch_size = blocks_at_once(anatomy, length, batch_size)
    widest, tokens = max(widths, default=0), length * batch_size
    stream = max((layer.width for layer in anatomy.layers), default=0)
    sums, batch = 8 * 2 * sum(widths), itemsize * tokens * max(6 * widest, 8 * stream)
    if "covariance" in needs:
        sums += itemsize * sum(width * width for width in widths)
        batch += itemsize * widest * widest  # the one matrix that is being divided by the number of tokens
    if "entropy" in needs:
        sums += 8 * BINS * sum(layer.neurons for layer in anatomy.layers)
        batch += itemsize * tokens * length * 4 * max((layer.heads for layer in anatomy.layers), default=0)
    if "gradients" in needs:
        batch = max(batch, graph_bytes(anatomy, tokens, itemsize))
    if "losses" in needs:
        at_once = ablate.blocks_at_once(anatomy, length, batch_size)
        batch = max(batch, at_once * ablate.batch_bytes(anatomy, length, itemsize))
    return sums + batch


def _passes(needs: frozenset[str]) -> list[frozenset[str]]:
    """What to gather in each pass over the text; the losses of left-out heads come from none of these."""
    apart = needs & {"entropy"} if "gradients" in needs else frozenset()
    return [part for part in (apart, needs - apart - {"losses"}) if part]


def _read(model: nn.Module, readers: list[Reader], batch: LongTensor, real: BoolTensor | None, needs: frozenset[str]) -> None:
    """One batch [batch, length] through the model, and back again where gradients are asked for."""
    # The model is told of no padding: it follows, and no token sees what follows. Beyond a sliding window a row that was masked
    # for padding would see nothing at all, and come out of a softmax as no number.
    asked = {"input_ids": batch, "use_cache": False}
    with _listening(model, readers, batch, real, needs):
        if "gradients" not in needs:
            with torch.no_grad():
                # Without the language-model head: nobody looks at the logits, and they are a third of GPT-2's work.
                model.base_model(**asked)
        else:
            with torch.enable_grad(), frozen(model):
                logits = model(**asked).logits  # [batch, length, vocabulary]
                loss = token_losses(logits, batch, real).sum()
                del logits  # the graph has what it needs of them
                if loss.requires_grad:  # a model that was cut to nothing has no gates
                    loss.backward()
    for reader in readers:
        reader.refuse_infinities()
    for reader in readers:  # after all of them: one activation that is not finite spoils the gradients of every layer
        reader.take_gradients()


@contextmanager
def _listening(
    model: nn.Module, readers: list[Reader], batch: LongTensor, real: BoolTensor | None, needs: frozenset[str]
) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        if "entropy" in needs:
            stack.enter_context(eager_attention(model))
        for reader in readers:
            for hook in reader.hooks(model, batch, real):
                stack.callback(hook.remove)
        yield


def _ablating(
    model: nn.Module, anatomy: Anatomy, blocks: LongTensor, mask: Tensor | None, batch_size: int
) -> Generator[Progressed, None, tuple[Tensor, ...]]:
    steps = ablate.ablating(model, anatomy, blocks, mask, batch_size)
    return (yield from retold(steps, lambda step: Progressed("leaving heads out", *step, "runs")))


def _statistics(readers: list[Reader], tokens: int, predicted: int, gathered: frozenset[str]) -> Statistics:
    attention, mlp = [], []
    for index, reader in enumerate(readers):
        readers[index] = None  # its sums go as soon as they are divided: two sets of covariances would be twice the memory
        attention.append(reader.at_attention(predicted))
        mlp.append(reader.at_mlp(predicted))
        del reader
    return Statistics(tokens, gathered, tuple(attention), tuple(mlp))


def _size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _check(anatomy: Anatomy, blocks: LongTensor, mask: Tensor | None) -> None:
    check_blocks(blocks, anatomy.context, anatomy.vocabulary)
    if mask is None:
        return
    if mask.shape != blocks.shape:
        raise BadInput(f"The mask has the shape {tuple(mask.shape)} and the blocks {tuple(blocks.shape)}; they must agree.")
    real = mask.bool()  # [n, length]
    if not bool(real[:, :2].all()) or bool((real[:, 1:] & ~real[:, :-1]).any()):
        raise BadInput("The mask has padding before or between tokens; every block must begin with two tokens, padding follows.")
