"""Tests of engine/pruning/elimination.py: against trying every unit at every step, with the fit solved anew each time."""

import pytest
import torch

from engine.pruning.elimination import RIDGE, eliminating, errors
from engine.record.errors import BadInput


def problem(channels: int, out: int = 13, tokens: int = 200, seed: int = 0):
    """A weight [out, channels] and a covariance of correlated channels, in float64."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(tokens, channels, generator=generator).double()
    mixed = mixed @ torch.randn(channels, channels, generator=generator).double()
    return torch.randn(out, channels, generator=generator).double(), torch.cov(mixed.T, correction=0)


def error_without(weight, covariance, gone, ridge=RIDGE):
    """The least of E‖W x − W' x_K‖² + λ‖W' − W_K‖² + λ‖W_S‖² over W', solved for W'."""
    damping = ridge * float(covariance.diagonal().mean())
    kept = [channel for channel in range(len(covariance)) if channel not in gone]
    system = covariance + damping * torch.eye(len(covariance)).double()
    lost = weight[:, gone]
    change = torch.linalg.solve(system[kept][:, kept], covariance[kept][:, gone] @ lost.T).T  # [out, kept]
    whole = torch.zeros_like(weight)
    whole[:, gone], whole[:, kept] = lost, -change
    return float((whole @ system * whole).sum())


def brute_force(weight, covariance, units):
    """The greedy order by trying every unit that is left at every step."""
    width, gone, found = weight.shape[1] // units, [], torch.zeros(units).double()
    channels = lambda unit: list(range(unit * width, (unit + 1) * width))  # noqa: E731
    for _ in range(units):
        left = [unit for unit in range(units) if unit not in gone]
        tried = [error_without(weight, covariance, [c for one in (*gone, unit) for c in channels(one)]) for unit in left]
        best = min(range(len(left)), key=tried.__getitem__)
        gone.append(left[best])
        found[left[best]] = tried[best]
    return found


@pytest.mark.parametrize(("channels", "units"), [(30, 30), (24, 4), (24, 8), (6, 1)])
@pytest.mark.parametrize("pending", [1, 7, 64])
def test_the_order_and_the_errors_are_those_of_trying_everything(channels, units, pending):
    """However many channels are taken out of the matrices together: the order is the greedy one, to the last unit."""
    weight, covariance = problem(channels)
    wanted, found = brute_force(weight, covariance, units), errors(weight, covariance, units, pending=pending)
    assert found.argsort().tolist() == wanted.argsort().tolist()
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


def test_groups_as_wide_as_those_of_a_large_model_are_solved_in_two_threads():
    """A batch of blocks of 160 channels and more is what MKL refuses there; SmolLM2 has three of 192 in each layer."""
    weight, covariance = problem(480, tokens=1000)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = errors(weight, covariance, 3)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, brute_force(weight, covariance, 3), rtol=1e-7, atol=1e-7)


def test_it_can_be_stopped_between_two_units():
    """Each time that some were taken out of the matrices, and at the end; what it returns are the errors."""
    weight, covariance = problem(30)
    steps, told = eliminating(weight, covariance, 30, pending=7), []
    with pytest.raises(StopIteration) as end:
        while True:
            told.append(next(steps))
    assert told == [7, 14, 21, 28, 30]
    assert torch.equal(end.value.value, errors(weight, covariance, 30, pending=7))


def test_of_two_that_say_the_same_one_is_free():
    """The first of them goes at almost no cost; then the other is worth what both were."""
    weight, covariance = problem(10)
    twin = [*range(10), 4]
    found = errors(weight[:, twin], covariance[twin][:, twin], 11, ridge=1e-9)
    alone = errors(weight, covariance, 10, ridge=1e-9)
    assert found.argmin() in (4, 10) and found.min() < 1e-6 * alone.max()
    assert max(found[4], found[10]) > found.median() / 100
    assert float(found.max()) > alone.min()


def test_what_writes_nothing_goes_first_and_ties_go_by_their_number():
    """Columns of zeros cost nothing; so does everything where nothing varies."""
    weight, covariance = problem(10)
    weight[:, [7, 2]] = 0
    found = errors(weight, covariance, 10)
    assert found[2] == found[7] == 0 < found.sort().values[2]
    assert errors(weight, torch.zeros(10, 10), 10).tolist() == [0] * 10


def test_a_layer_without_units_has_no_order():
    """It was cut to nothing."""
    assert errors(torch.zeros(5, 0), torch.zeros(0, 0), 0).tolist() == []


def test_a_covariance_in_single_precision_gives_the_same_order():
    """As it is kept; the search itself is in float64."""
    weight, covariance = problem(24, tokens=2000)
    exact, single = (errors(weight, one, 24) for one in (covariance, covariance.float()))
    assert exact.argsort().tolist() == single.argsort().tolist()
    torch.testing.assert_close(exact, single, rtol=1e-4, atol=0)


def test_a_covariance_that_rounding_has_spoilt_is_refused_in_a_sentence():
    """Of fewer tokens than channels, and with less than nothing left in the directions that those do not have."""
    weight, covariance = problem(30, tokens=5)
    spoilt = covariance - 2 * RIDGE * covariance.diagonal().mean() * torch.eye(30).double()
    assert errors(weight, covariance, 30).isfinite().all()
    with pytest.raises(BadInput, match=r"What 30 channels have .* read more calibration tokens, .* another criterion\.$"):
        errors(weight, spoilt, 30)
