"""Tests of engine/pruning/shelf.py: never more than the bound, and what is needed last goes first."""

import random

from engine.pruning.shelf import NEVER, Shelf


def test_what_is_needed_last_goes_first():
    """Also the value that has just come."""
    uses = {"a": 3, "b": 1, "c": 2, "d": 9}
    shelf = Shelf(20, uses.get)
    for key in "abc":
        shelf.put(key, key.upper(), 10)
    assert [shelf.get(key) for key in "abc"] == [None, "B", "C"] and shelf.held == 20
    shelf.put("d", "D", 10)
    assert shelf.get("d") is None and shelf.held == 20
    uses["b"] = NEVER
    shelf.tidy()
    assert shelf.get("b") is None and shelf.held == 10


def test_the_bound_holds_whatever_comes():
    """Sizes of every kind, those above the bound among them."""
    draw = random.Random(0)
    uses = {key: draw.choice([1, 2, 5, NEVER]) for key in range(200)}
    shelf = Shelf(100, uses.get)
    for key in uses:
        shelf.put(key, key, draw.randint(1, 130))
        assert 0 <= shelf.held <= 100
    assert shelf.held > 60 and all(shelf.get(key) is None for key, ahead in uses.items() if ahead == NEVER)
