"""Tests of engine/pruning/regression.py: against NumPy's least squares on the rows themselves, in float64."""

import math

import numpy as np
import pytest
import torch

from engine.pruning.regression import Equations, Gathering, fit

ROWS, INPUTS, ERRORS = 60, 7, 4


def rows(seed=0, offset=5.0):
    """Inputs [rows, in] and errors [rows, out] with means far from 0, and weights [rows]."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(ROWS, INPUTS, generator=generator, dtype=torch.float64) + offset
    errors = inputs[:, :ERRORS] * 0.3 + torch.randn(ROWS, ERRORS, generator=generator, dtype=torch.float64) - 2
    return inputs, errors, torch.rand(ROWS, generator=generator, dtype=torch.float64) + 0.1


def gathered(inputs, errors, weights, batches=(11, 49)) -> Equations:
    """The equations, taken in batch by batch."""
    gathering = Gathering()
    for batch in zip(*(each.split(batches) for each in (inputs, errors, weights)), strict=True):
        gathering.add(*batch)
    return gathering.equations()


def reference(inputs, errors, weights, ridge, intercept):
    """(change, shift) by numpy.linalg.lstsq on weighted rows, the penalty as further rows."""
    x, e, w = (each.numpy() for each in (inputs, errors, weights))
    w = w / w.sum()
    mean = w @ x if intercept else np.zeros(INPUTS)
    penalty = ridge * (w @ (x - mean) ** 2).mean()
    columns = np.hstack([x, np.ones((ROWS, 1))]) if intercept else x
    left = np.vstack([columns * np.sqrt(w)[:, None], np.sqrt(penalty) * np.eye(INPUTS, columns.shape[1])])
    solution = np.linalg.lstsq(left, np.vstack([e * np.sqrt(w)[:, None], np.zeros((INPUTS, ERRORS))]))[0]
    return solution[:INPUTS].T, solution[INPUTS] if intercept else np.zeros(ERRORS)


def mean_square(errors, weights):
    """The weighted mean of ‖error‖²."""
    return float(weights @ errors.square().sum(1) / weights.sum())


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("ridge", [0.0, 1e-3, 2.0])
def test_a_fit_is_numpys_on_the_rows(ridge, intercept):
    """Change and shift, and the errors before and after that it foretells."""
    inputs, errors, weights = rows()
    found = fit(gathered(inputs, errors, weights), ridge, intercept)
    change, shift = reference(inputs, errors, weights, ridge, intercept)
    np.testing.assert_allclose(found.change.numpy(), change, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.shift.numpy(), shift, rtol=1e-7, atol=1e-8)
    assert found.exact
    assert found.before == pytest.approx(mean_square(errors, weights), rel=1e-10)
    left = errors - inputs @ found.change.T - found.shift
    assert found.after == pytest.approx(mean_square(left, weights), rel=1e-8) and found.after < found.before


def test_an_endless_ridge_moves_the_mean_alone():
    """Without an intercept it changes nothing at all."""
    inputs, errors, weights = rows()
    equations = gathered(inputs, errors, weights)
    found = fit(equations, math.inf, True)
    assert not found.change.any()
    np.testing.assert_allclose(found.shift.numpy(), (weights @ errors / weights.sum()).numpy(), rtol=1e-12)
    nothing = fit(equations, math.inf, False)
    assert not nothing.change.any() and not nothing.shift.any() and nothing.after == nothing.before


def test_batches_make_no_difference():
    """One batch or sixty; and the means lie so far out that raw second moments would have lost half of the digits."""
    data = rows(offset=1e4)
    one, many = gathered(*data, batches=(ROWS,)), gathered(*data, batches=(1,) * ROWS)
    for field in ("inputs", "errors", "among", "across"):
        torch.testing.assert_close(getattr(one, field), getattr(many, field), rtol=1e-9, atol=1e-9)
    assert one.spread == pytest.approx(many.spread, rel=1e-10)
    x = data[0].numpy()
    weights = data[2].numpy()
    np.testing.assert_allclose(one.among.numpy(), np.cov(x.T, aweights=weights, ddof=0), rtol=1e-9, atol=1e-9)


def test_inputs_that_depend_on_one_another_get_the_smallest_solution():
    """A channel twice over, ridge 0: both copies take half each, and the fit is marked; any ridge above 0 is exact again."""
    inputs, errors, weights = rows()
    twice = torch.cat([inputs, inputs[:, :1]], 1)
    found = fit(gathered(twice, errors, weights), 0.0, True)
    assert not found.exact
    torch.testing.assert_close(found.change[:, 0], found.change[:, -1], rtol=0, atol=1e-9)
    whole, _ = reference(inputs, errors, weights, 0.0, True)
    np.testing.assert_allclose(2 * found.change[:, 0].numpy(), whole[:, 0], atol=1e-7)
    assert fit(gathered(twice, errors, weights), 1e-3, True).exact


def test_rounding_in_the_sums_is_not_taken_for_information():
    """In float32 a channel that repeats another differs from it by rounding: ridge 0 does not blow the weights up."""
    inputs, errors, weights = (each.float() for each in rows())
    noisy = torch.cat([inputs, inputs[:, :1] * (1 + 1e-7)], 1)
    found = fit(gathered(noisy, errors, weights), 0.0, True)
    assert found.change.abs().max() < 10


@pytest.mark.parametrize("ridge", [0.0, 1e-3, math.inf])
def test_without_inputs_the_shift_is_all(ridge):
    """A projection of which nothing is kept; and inputs that never vary tell nothing."""
    inputs, errors, weights = rows()
    for given in (inputs[:, :0], torch.ones_like(inputs)):
        found = fit(gathered(given, errors, weights), ridge, True)
        assert not found.change.any() and found.change.shape == (ERRORS, given.shape[1])
        torch.testing.assert_close(found.shift, weights @ errors / weights.sum())
