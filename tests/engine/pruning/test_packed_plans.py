"""Tests of engine/pruning/packed_plans.py: a plan in bits is the plan, equal for equal ones and a fraction of its size."""

import sys

from engine.pruning.packed_plans import Packed, number_of, packed
from engine.pruning.plan import Plan


def test_a_plan_in_bits_is_that_plan():
    """Of both kinds, with layers between that lose nothing, whatever the order of its units."""
    plans = [Plan(), Plan([(0, 0)]), Plan([(2, 7), (2, 8), (0, 3)], [(1, 0), (1, 1023), (4, 15)]), Plan((), [(3, 9)])]
    for plan in plans:
        assert packed(plan).plan == plan
        assert packed(plan) == packed(Plan(sorted(plan.heads, reverse=True), sorted(plan.neurons)))
    assert packed(Plan()) == Packed() and len({number_of(packed(plan)) for plan in plans}) == 4


def test_each_layer_has_its_own_bits():
    """Empty where it loses nothing, also behind the last that does."""
    bits = packed(Plan([(1, 0), (1, 9)], [(0, 3)]))
    assert (bits.bits("heads", 1), bits.bits("neurons", 0)) == (b"\x01\x02", b"\x08")
    assert {bits.bits("heads", 0), bits.bits("heads", 5), bits.bits("neurons", 1)} == {b""}


def test_a_unit_takes_a_bit():
    """So that hundreds of plans of a model with tens of thousands of neurons can wait."""
    bits = packed(Plan((), [(layer, unit) for layer in range(30) for unit in range(1536)]))
    assert sum(map(sys.getsizeof, bits.neurons)) < 30 * (1536 // 8 + 64)
