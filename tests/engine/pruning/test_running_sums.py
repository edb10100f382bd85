"""Tests of the running sums: against NumPy on all values at once, and against attention made by hand."""

import math

import numpy as np
import pytest
import torch

from engine.pruning.running_sums import BINS, AttentionEntropy, Histograms, Moments


def vectors(tokens: int = 1000, channels: int = 5, seed: int = 0) -> torch.Tensor:
    """Correlated float64 vectors [tokens, channels] with means that are not 0."""
    generator = torch.Generator().manual_seed(seed)
    mixed = (
        torch.randn(tokens, channels, generator=generator).double()
        @ torch.randn(channels, channels, generator=generator).double()
    )
    return mixed + torch.arange(channels)


def test_moments_of_uneven_batches_are_those_of_all_vectors_at_once():
    """Mean, root mean square and covariance agree with NumPy whatever the batches."""
    every = vectors()
    moments = Moments(covariance=True)
    for batch in every.split([1, 7, 0, 500, 492]):
        moments.add(batch)
    assert moments.tokens == 1000
    np.testing.assert_allclose(moments.mean(), every.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.rms(), np.sqrt((every.numpy() ** 2).mean(0)), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance(), np.cov(every.numpy().T, bias=True), rtol=1e-10, atol=1e-12)


def test_a_mean_far_from_zero_does_not_swallow_the_covariance():
    """In float32, spread 1 around 10,000: the second moment minus the squared mean would have no digit left."""
    every = (vectors() + 10_000).float()
    moments = Moments(covariance=True)
    for batch in every.split(100):
        moments.add(batch)
    np.testing.assert_allclose(moments.covariance(), np.cov(every.double().numpy().T, bias=True), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_products_in_single_precision_are_nearly_those_in_double(offset):
    """A hundred batches of 500 float32 vectors: the error is below a millionth of the two channels' standard deviations.

    So a ridge of 1e-3 of the mean variance, which compensation adds, drowns it a thousand times.
    """
    every = (vectors(50_000, 40) + offset).float()
    single, double = Moments(covariance=True), Moments(covariance=True)
    for batch in every.split(500):
        single.add(batch)
        double.add(batch.double())
    assert (single.covariance().dtype, double.covariance().dtype) == (torch.float32, torch.float64)
    deviation = double.covariance().diagonal().sqrt()
    assert ((single.covariance() - double.covariance()) / torch.outer(deviation, deviation)).abs().max() < 1e-6
    np.testing.assert_allclose(double.covariance(), np.cov(every.double().numpy().T, bias=True), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(single.mean(), double.mean(), rtol=1e-12)


def test_half_precision_is_summed_in_float64():
    """A hundred thousand ones in bfloat16, which itself stops counting at 256, have the mean 1."""
    moments = Moments(covariance=True)
    moments.add(torch.ones(100_000, 2, dtype=torch.bfloat16))
    assert moments.mean().tolist() == moments.rms().tolist() == [1.0, 1.0]
    assert moments.covariance().abs().max() == 0


def test_uniform_attention_has_entropy_one_and_one_hot_attention_zero():
    """The ends of the scale: a head that looks at everything it can see alike, and one that looks at its own token only."""
    length = 9
    uniform = torch.ones(length, length).tril() / torch.arange(1, length + 1)[:, None]  # [row, column]
    entropy = AttentionEntropy()
    entropy.add(torch.stack([uniform, torch.eye(length)])[None].double())
    assert entropy.mean().tolist() == pytest.approx([1, 0], abs=1e-6)


def test_the_first_row_says_nothing_about_a_head():
    """Row 0 sees one token and is left out; with it in, uniform attention over two tokens would have the mean one half."""
    weights = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]]).double()  # [batch, heads, row, column]
    entropy = AttentionEntropy()
    entropy.add(weights)
    assert entropy.mean().item() == pytest.approx(1)
    assert entropy.rows == 1


def test_rows_of_padding_do_not_count():
    """Whatever stands in the rows of padding, the mean is that of the real rows."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(2, 3, 6, 6, generator=generator).double().tril()
    weights = weights / weights.sum(3, keepdim=True)  # [batch, heads, row, column]
    real = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()
    padded, apart = AttentionEntropy(), AttentionEntropy()
    padded.add(weights, real)
    apart.add(weights[:1, :, :4, :4])
    apart.add(weights[1:])
    torch.testing.assert_close(padded.mean(), apart.mean())
    assert padded.rows == apart.rows == 8


def test_the_histogram_entropy_is_that_of_numpys_histogram():
    """Around each channel's own mean, in bins as wide as the whole layer's spread asks for: the same counts."""
    every = vectors(channels=3)
    first = every[:50].numpy()
    spread = np.sqrt(first.var(0).mean())
    histograms = Histograms()
    for batch in every.split(250):
        histograms.add(batch, first=50)
    for channel, entropy in enumerate(histograms.entropy()):
        edges = first[:, channel].mean() + np.linspace(-4 * spread, 4 * spread, BINS + 1)
        counts, _ = np.histogram(np.clip(every[:, channel].numpy(), edges[0] + 1e-9, edges[-1] - 1e-9), edges)
        shares = counts[counts > 0] / counts.sum()
        assert float(entropy) == pytest.approx(-(shares * np.log(shares)).sum() / math.log(BINS), abs=1e-9)


def test_one_loud_channel_does_not_drown_the_others():
    """A constant added to one channel changes no entropy."""
    every = vectors(channels=3)
    moved = every + torch.tensor([1000.0, 0.0, 0.0])
    one, other = Histograms(), Histograms()
    one.add(every, first=50)
    other.add(moved, first=50)
    torch.testing.assert_close(one.entropy(), other.entropy())


def test_a_value_that_trembles_has_entropy_zero():
    """Rounding around one value, beside a channel that really moves, stays within the middle bin."""
    every = vectors(channels=2)
    every[:, 1] = 0.25 + 1e-9 * torch.randn(1000, generator=torch.Generator().manual_seed(0)).double()
    histograms = Histograms()
    histograms.add(every, first=1000)
    assert histograms.entropy()[1] == 0


def test_a_value_that_never_changes_has_entropy_zero():
    """Also where no value of the whole layer changes, so that the bins have no width."""
    varied = vectors(channels=2)
    varied[:, 1] = 0.25
    some, none = Histograms(), Histograms()
    some.add(varied, first=1000)
    none.add(torch.zeros(10, 2).double(), first=10)
    assert some.entropy()[1] == 0 < some.entropy()[0]
    assert none.entropy().tolist() == [0, 0]


def test_what_no_value_came_into_is_empty():
    """A layer without units has no channels, rather than an error or a zero."""
    moments = Moments(covariance=True)
    assert moments.mean().shape == moments.rms().shape == AttentionEntropy().mean().shape == Histograms().entropy().shape == (0,)
    assert moments.covariance().shape == (0, 0)
