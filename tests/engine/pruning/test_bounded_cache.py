"""Tests of engine/pruning/bounded_cache.py: never more than the bound, and what is needed last goes first."""

import random

from engine.pruning.bounded_cache import NEVER, BoundedCache


def test_what_is_needed_last_goes_first():
    """Also the value that has just come."""
    uses = {"a": 3, "b": 1, "c": 2, "d": 9}
    cache = BoundedCache(20, uses.get)
    for key in "abc":
        cache.put(key, key.upper(), 10)
    assert [cache.get(key) for key in "abc"] == [None, "B", "C"] and cache.held == 20
    cache.put("d", "D", 10)
    assert cache.get("d") is None and cache.held == 20
    uses["b"] = NEVER
    cache.tidy()
    assert cache.get("b") is None and cache.held == 10


def test_the_bound_holds_whatever_comes():
    """Sizes of every kind, those above the bound among them."""
    draw = random.Random(0)
    uses = {key: draw.choice([1, 2, 5, NEVER]) for key in range(200)}
    cache = BoundedCache(100, uses.get)
    for key in uses:
        cache.put(key, key, draw.randint(1, 130))
        assert 0 <= cache.held <= 100
    assert cache.held > 60 and all(cache.get(key) is None for key, ahead in uses.items() if ahead == NEVER)
