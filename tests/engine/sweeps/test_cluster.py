"""Tests of engine/sweeps/cluster.py: which device each process of this machine is given; the rest is tested by what is sent."""

import pytest

from engine.sweeps.cluster import VISIBLE, visible_to

GIVEN = {
    "all of the machine's": ({}, 2, ["0", "1", "-1"]),
    "two of four": ({VISIBLE: "2,3"}, 2, ["2", "3", "-1"]),
    "in another order, with spaces": ({VISIBLE: " 3, 0,1"}, 3, ["3", "0", "1"]),
    "by their names": ({VISIBLE: "GPU-8932f937,MIG-1f0c"}, 2, ["GPU-8932f937", "MIG-1f0c", "-1"]),
    "what follows a number that is none is not seen": ({VISIBLE: "1,-1,0"}, 1, ["1", "-1", "-1"]),
}


@pytest.mark.parametrize("case", GIVEN)
def test_each_process_sees_one_device_of_those_that_may_be_seen_here(case):
    """No two see the same, and one for which none is left sees none."""
    environment, devices, expected = GIVEN[case]
    assert [visible_to(number, devices, environment) for number in range(3)] == [{VISIBLE: name} for name in expected]
