"""Running sums over tokens, from which means, covariances and entropies are made; knows neither model nor layer.

Each class takes batches of any size and holds sums only. Sums are float64, also for half-precision activations, but for the
products of channels, which are by far the largest: they are float32, unless the activations are float64. What that costs is of
the order of 1e-7 for a batch, relative to the two channels' standard deviations, and a test holds it. Sums stay where the
activations are, except on devices without float64, for which they are made on the CPU.
"""

import math

import torch
from torch import BoolTensor, Tensor

BINS = 63  # of a channel's histogram; odd, so that a value that hardly moves sits in the middle bin and not on an edge
SPREAD = 4.0  # the bins span this many standard deviations to either side of the channel's mean


class Moments:
    """Mean, root mean square and, if asked, covariance of a stream of vectors."""

    def __init__(self, covariance: bool):
        self.covariance_wanted = covariance
        self.tokens = 0
        self.total: Tensor | None = None  # [channels]
        self.squares: Tensor | None = None  # [channels]
        # [channels, channels], in the precision of the activations: of deviations from the mean of the tokens so far
        self.products: Tensor | None = None

    def add(self, vectors: Tensor) -> None:
        """Take in `vectors` [tokens, channels]."""
        tokens = len(vectors)
        if tokens == 0:
            return
        vectors = workable(vectors)  # [tokens, channels]
        total = vectors.sum(0, dtype=torch.float64)  # [channels]
        squares = torch.linalg.vector_norm(vectors, dim=0, dtype=torch.float64).square()  # [channels]
        if self.covariance_wanted:
            self._add_products(vectors, total / tokens)
        self.total = total if self.total is None else self.total + total
        self.squares = squares if self.squares is None else self.squares + squares
        self.tokens += tokens

    def mean(self) -> Tensor:
        """[channels], float64, on the CPU."""
        return _given(self.total, self.tokens, (0,))

    def rms(self) -> Tensor:
        """[channels], float64, on the CPU."""
        return _given(self.squares, self.tokens, (0,)).sqrt()

    def covariance(self) -> Tensor:
        """[channels, channels], in the precision of the sums, on the CPU; divided by the number of tokens, not by one less."""
        return _given(self.products, self.tokens, (0, 0))

    def _add_products(self, vectors: Tensor, mean: Tensor) -> None:
        # Chan, Golub and LeVeque (1979): products of deviations from the batch's own mean, then the step between the means.
        # The raw second moment minus the squared mean would cancel to nothing where the mean is large beside the spread.
        deviations = vectors - mean.to(vectors.dtype)  # [tokens, channels]
        if self.products is None:
            self.products = vectors.new_zeros(vectors.shape[1], vectors.shape[1])  # [channels, channels]
        # In place, here and below: a second matrix of this size would be the largest thing in memory.
        self.products.addmm_(deviations.T, deviations)
        if self.tokens:
            weight = self.tokens * len(vectors) / (self.tokens + len(vectors))
            step = (mean - self.total / self.tokens) * weight**0.5  # [channels]
            step = step.to(vectors.dtype)
            self.products.addr_(step, step)


class AttentionEntropy:
    """Mean entropy of the rows of attention, head by head, each row as a fraction of the most that it could have."""

    def __init__(self):
        self.rows = 0
        self.total: Tensor | None = None  # [heads]

    def add(self, weights: Tensor, real: BoolTensor | None = None, window: int | None = None) -> None:
        """Take in causal attention `weights` [batch, heads, row, column], each row summing to 1 over its columns 0 to row, or
        over the last `window` of them.

        Row 0 can see one token only and is left out. `real` [batch, row] leaves out the rows of padding, which stands at
        the end of a block.
        """
        length = weights.shape[2]
        if length < 2:
            return
        entropy = torch.special.entr(workable(weights)[:, :, 1:]).sum(3)  # [batch, heads, row - 1]; 0 ln 0 is 0
        seen = torch.arange(2, length + 1, device=entropy.device, dtype=entropy.dtype)  # [row - 1]: columns that a row can see
        # A window of 1 leaves nothing to spread: such rows have no entropy, whatever it is divided by.
        most = seen.clamp(max=max(2, window or length)).log()  # [row - 1]
        share = entropy / most  # [batch, heads, row - 1]
        if real is None:
            rows = share.shape[0] * share.shape[2]
        else:
            kept = real[:, 1:].to(share.device)  # [batch, row - 1]
            rows = int(kept.sum())
            share = share * kept[:, None]  # [batch, heads, row - 1]
        total = share.sum((0, 2), dtype=torch.float64)  # [heads]
        self.total = total if self.total is None else self.total + total
        self.rows += rows

    def mean(self) -> Tensor:
        """[heads], float64, on the CPU: 0 looks at one token .. 1 looks at all that it can see alike."""
        return _given(self.total, self.rows, (0,))


class Histograms:
    """How often each channel falls into each of `BINS` bins, of one width for all channels, around the channel's own mean.

    With a width for each channel the trembling of one that hardly moves would count as much as the swings of another;
    without its own middle, one channel that is far from the others would push them all into a single bin.
    """

    def __init__(self):
        self.width = 0.0
        self.low: Tensor | None = None  # [channels]: where the first bin begins
        self.counts: Tensor | None = None  # [channels, BINS]

    def add(self, vectors: Tensor, first: int) -> None:
        """Take in `vectors` [tokens, channels]; in the first call the `first` ones fix the bins.

        Not all that come with the first call do, so that the result does not depend on the size of a batch. Values beyond the
        bins count in the outermost ones.
        """
        vectors = workable(vectors)  # [tokens, channels]
        channels = vectors.shape[1]
        if not channels:
            return
        if self.counts is None:
            self.counts = torch.zeros(channels, BINS, dtype=torch.int64, device=vectors.device)
            variance, mean = torch.var_mean(vectors[:first].double(), 0, correction=0)  # [channels] each
            spread = float(variance.mean().sqrt())
            self.width = 2 * SPREAD * spread / BINS
            self.low = (mean - SPREAD * spread).to(vectors.dtype)  # [channels]
        # A layer in which nothing ever moves has bins of no width: all its channels are in the first one.
        place = (vectors - self.low) / self.width if self.width else torch.zeros_like(vectors)  # [tokens, channels]
        bins = place.nan_to_num(0).clamp(0, BINS - 1).long()  # [tokens, channels]; the caller refuses what is not a number
        own = torch.arange(channels, device=vectors.device) * BINS  # [channels]
        self.counts += torch.bincount((bins + own).flatten(), minlength=channels * BINS).view(channels, BINS)

    def entropy(self) -> Tensor:
        """[channels], float64, on the CPU: 0 always in one bin .. 1 evenly spread over all of them."""
        if self.counts is None:
            return torch.zeros(0, dtype=torch.float64)
        shares = self.counts.double() / self.counts.sum(1, keepdim=True)  # [channels, BINS]
        return (torch.special.entr(shares).sum(1) / math.log(BINS)).cpu()


def _given(total: Tensor | None, tokens: int, empty: tuple[int, ...]) -> Tensor:
    # Nothing comes into a layer that has lost all its units: it has no channels.
    return torch.zeros(empty, dtype=torch.float64) if total is None else (total / tokens).cpu()


def workable(values: Tensor) -> Tensor:
    """The values in float32 or float64, on a device that has float64."""
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()
    return values.cpu() if values.device.type == "mps" else values
