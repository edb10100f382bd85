"""Tests of engine/record/schedules.py: shares by layer, against what the words promise."""

import random

import pytest

from engine.record.errors import BadInput
from engine.record.schedules import at_most, block_of_layers, block_shares, count, fill, lowest, parameters_saved, reached, shares

SHAPES = ("uniform", "linear", "exponential")
SPLITS = {1: "M", 2: "FB", 3: "FMB", 4: "FMMB", 5: "FFMBB", 6: "FFMMBB", 7: "FFMMMBB", 8: "FFFMMBBB", 12: "FFFFMMMMBBBB"}


@pytest.mark.parametrize("layers, split", SPLITS.items())
def test_layers_split_into_thirds(layers, split):
    """Seven layers split 2, 3, 2."""
    assert "".join("FMB"[block] for block in block_of_layers(layers)) == split


@pytest.mark.parametrize("layers", range(1, 100))
def test_blocks_of_any_number_of_layers_are_in_order_alike_and_symmetric(layers):
    """Front before middle before back, no block more than one layer longer, the same from behind."""
    of_layer = block_of_layers(layers)
    sizes = [of_layer.count(block) for block in range(3)]
    assert len(of_layer) == layers and list(of_layer) == sorted(of_layer)
    assert max(sizes) - min(sizes) <= 1
    assert of_layer[::-1] == tuple(2 - block for block in of_layer)


def test_the_mean_is_the_level_whatever_shape_steepness_and_cap():
    """A thousand random schedules: the mean holds, no share leaves its range, every block is flat where nothing is clipped."""
    draw = random.Random(0)
    for _ in range(1000):
        layers, cap = draw.randint(1, 48), draw.choice([1.0, draw.uniform(0.05, 1)])
        level = draw.choice([0.0, cap, draw.uniform(0, cap)])
        shape, steepness = draw.choice(SHAPES), draw.choice([0.05, 1.0, 20.0, draw.uniform(0.05, 20)])
        found = shares(layers, level, shape, steepness, cap=cap)
        asked = (layers, level, shape, steepness, cap)
        assert len(found) == layers, asked
        assert sum(found) / layers == pytest.approx(level, abs=1e-12), asked
        assert all(0 <= share <= cap for share in found), asked
        for block in range(3):
            assert len({share for share, of in zip(found, block_of_layers(layers), strict=True) if of == block}) <= 1, asked


@pytest.mark.parametrize("steepness", [0.25, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("shape, middle", [("linear", lambda s: (1 + s) / 2), ("exponential", lambda s: s**0.5)])
def test_steepness_is_the_back_over_the_front(shape, middle, steepness):
    """And the middle lies halfway: by difference for linear, by ratio for exponential."""
    front, mid, back = block_shares(shares(9, 0.2, shape, steepness))
    assert back / front == pytest.approx(steepness)
    assert mid / front == pytest.approx(middle(steepness))


def test_uniform_takes_the_level_from_every_layer_and_knows_no_steepness():
    """Bit for bit, so that level 0.5 of four heads is two."""
    assert shares(7, 0.3, "uniform", 20.0) == (0.3,) * 7


def test_what_is_clipped_goes_to_the_others_in_proportion():
    """By hand: profile 1, 2, 7 at mean 1/2 would take 1.05 from the last; what is over goes to the others, 1 to 2."""
    assert fill([1, 2, 7], 0.5, 1.0) == pytest.approx((0.5 / 3, 1.0 / 3, 1.0))


def test_clipping_goes_on_until_nothing_is_over():
    """By hand: once the last is clipped the second is over as well."""
    assert fill([1, 5, 20], 0.7, 0.8) == pytest.approx((0.5, 0.8, 0.8))


def test_the_cap_itself_can_be_the_level():
    """Then every layer is at the cap."""
    assert shares(6, 0.3, "linear", 3.0, cap=0.3) == pytest.approx((0.3,) * 6)


def test_level_0_and_level_1_are_nothing_and_everything():
    """Whatever the shape."""
    for shape in SHAPES:
        assert shares(5, 0.0, shape, 4.0) == (0.0,) * 5
        assert shares(5, 1.0, shape, 4.0) == (1.0,) * 5


def test_custom_by_block_gives_each_layer_its_blocks_share():
    """Front, middle and back as they are, whatever the level."""
    assert shares(7, 0.9, "custom", blocks=(0.0, 0.25, 1)) == (0.0, 0.0, 0.25, 0.25, 0.25, 1.0, 1.0)


def test_custom_by_layer_is_taken_as_it_is():
    """One share for each layer."""
    assert shares(3, 0.9, "custom", layer_shares=(0, 0.5, 1)) == (0.0, 0.5, 1.0)


@pytest.mark.parametrize("given", [(0.1, 0.2), (0.1, 0.2, 0.3, 0.4)])
def test_custom_by_layer_of_another_number_of_layers_is_refused(given):
    """The sentence names both numbers."""
    with pytest.raises(BadInput, match=rf"\[0\.1, 0\.2.* has {len(given)} values, but the model has 3 layers"):
        shares(3, 0.3, "custom", layer_shares=given)


def test_a_block_without_layers_has_no_share():
    """Not 0: there is nothing of which a share could go."""
    assert block_shares((0.5,)) == (None, 0.5, None)
    assert block_shares((0.1, 0.2)) == (0.1, None, 0.2)
    assert block_shares((0.0, 0.2, 0.4, 1.0)) == pytest.approx((0.0, 0.3, 1.0))


@pytest.mark.parametrize("share, units, gone", [(0, 12, 0), (1, 12, 12), (0.5, 3, 2), (0.35, 10, 4), (0.3, 6, 2), (0.04, 12, 0)])
def test_a_share_takes_the_nearest_whole_number_of_units(share, units, gone):
    """Halves go up, also where floats fall just short of one."""
    assert count(share, units) == gone


def test_counts_are_within_half_a_unit_of_their_share():
    """For any share and width; never more than there are."""
    draw = random.Random(1)
    for _ in range(1000):
        share, units = draw.random(), draw.randint(0, 4096)
        assert abs(count(share, units) - share * units) <= 0.5 + 1e-6 and 0 <= count(share, units) <= units


def test_the_lowest_go_and_among_equals_the_first():
    """Ascending, whatever the order of the scores."""
    assert lowest([3.0, 1.0, 2.0, 1.0, 0.5], 3) == (1, 3, 4)
    assert lowest([1.0, 1.0, 1.0], 2) == (0, 1)
    assert lowest([1.0], 0) == ()


def test_parameters_saved_is_a_weighted_sum():
    """Units of different layers weigh differently in a model that was cut before."""
    assert parameters_saved((1, 0, 2), (10, 100, 1000)) == 2010


def test_nothing_goes_from_protected_layers_and_the_mean_stays_the_level():
    """A thousand random schedules: zeros at the ends, no share over the cap, the level in the mean; or one sentence."""
    draw, refused = random.Random(1), 0
    for _ in range(1000):
        layers, level, cap = draw.randint(1, 30), draw.choice([0.0, draw.random()]), draw.choice([1.0, draw.uniform(0.3, 1)])
        first, last = draw.randint(0, 4), draw.randint(0, 4)
        others = max(0, layers - first - last)
        asked = {"cap": cap, "protected": (first, last)}
        if level * layers > cap * others + 1e-6:
            refused += 1
            with pytest.raises(BadInput, match="cannot be reached"):
                shares(layers, level, draw.choice(SHAPES), 2.0, **asked)
            continue
        found = shares(layers, level, draw.choice(SHAPES), 2.0, **asked)
        assert len(found) == layers and not any(found[:first]) and not any(found[max(0, layers - last) :])
        assert sum(found) / layers == pytest.approx(level, abs=1e-9) and max(found) <= cap + 1e-12, (layers, level, asked)
    assert 50 < refused < 900


def test_custom_shares_of_protected_layers_are_left_out():
    """The others stay as they were given: nobody asked for a mean."""
    assert shares(4, 0.0, "custom", layer_shares=(0.1, 0.2, 0.3, 0.4), protected=(1, 1)) == (0.0, 0.2, 0.3, 0.0)
    assert shares(3, 0.0, "custom", blocks=(0.1, 0.2, 0.3), protected=(9, 9)) == (0.0, 0.0, 0.0)


def test_a_floor_stays():
    """Whatever the share; a layer that is smaller than the floor loses nothing."""
    assert [at_most(1.0, 12, floor) for floor in (0, 1, 12, 13)] == [12, 11, 0, 0]
    assert at_most(0.5, 12, 1) == 6


@pytest.mark.parametrize(
    "cap, units, most", [(1.0, 3, 3), (0.9, 3, 2), (0.55, 3, 1), (0.3, 3, 0), (0.5, 7, 3), (0.29, 100, 29), (1 / 3, 3, 1)]
)
def test_a_cap_is_never_rounded_up(cap, units, most):
    """Where a share of the cap would be rounded to more than the cap."""
    assert at_most(cap, units) == most


def test_at_most_a_cap_is_the_largest_number_under_it():
    """By trying every number, for every hundredth."""
    for units in range(40):
        for hundredths in range(101):
            assert at_most(hundredths / 100, units) == max(gone for gone in range(units + 1) if 100 * gone <= hundredths * units)


@pytest.mark.parametrize("rounds", [1, 2, 7, 64])
def test_every_ramp_ends_at_the_level_and_never_falls(rounds):
    """The cubic one is Zhu and Gupta's: ahead of the line on the way, and ever slower."""
    line, cubic = ([reached(ramp, number, rounds) for number in range(1, rounds + 1)] for ramp in ("linear", "cubic"))
    assert line[-1] == cubic[-1] == 1.0 and line == pytest.approx([number / rounds for number in range(1, rounds + 1)])
    steps = [after - before for before, after in zip([0.0, *cubic], cubic, strict=False)]
    assert steps == sorted(steps, reverse=True) and all(fast >= slow for fast, slow in zip(cubic, line, strict=True))
    assert cubic[0] == pytest.approx(1 - ((rounds - 1) / rounds) ** 3)
