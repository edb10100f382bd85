"""Which units go, and in which order those of a layer would: pure counting over plain numbers, which knows no tensor and no file.

A *plan* is a set of heads and a set of neurons, each unit a pair `(layer, index)`. Whoever wants other units makes a
`Plan` by hand; everything after it (gates, compensation, cut) asks for nothing else.
"""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from engine.record.errors import BadInput, shorten

if TYPE_CHECKING:
    from engine.models.anatomy import Anatomy

Unit = tuple[int, int]
Group = tuple[int, ...]  # units of one layer that go together


@dataclass(frozen=True)
class Scores:
    """How much each unit is worth to the model: a tuple of scores for every layer, high = keep.

    The allocation "schedule" goes by their order inside one layer and one kind of unit alone; "global" compares all of them, each
    as a distance from the mean of its layer and kind (`engine.pruning.allocate.by_ranking`). A kind that the criterion does not
    score is an empty tuple, without layers.
    """

    heads: tuple[tuple[float, ...], ...]
    neurons: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Plan:
    """Which units go. Made from any iterables of `(layer, index)` pairs; raises `BadInput` for what is no such pair."""

    heads: frozenset[Unit] = frozenset()
    neurons: frozenset[Unit] = frozenset()

    def __post_init__(self):
        object.__setattr__(self, "heads", _units("heads", self.heads))
        object.__setattr__(self, "neurons", _units("neurons", self.neurons))

    def heads_of(self, layer: int) -> tuple[int, ...]:
        """The heads of one layer that go, ascending."""
        return self.by_layer["heads"].get(layer, ())

    def neurons_of(self, layer: int) -> tuple[int, ...]:
        """The neurons of one layer that go, ascending."""
        return self.by_layer["neurons"].get(layer, ())

    @cached_property
    def by_layer(self) -> Mapping[str, Mapping[int, tuple[int, ...]]]:
        """For "heads" and "neurons" the layers that lose some, ascending, each with its units that go, ascending."""
        found: dict[str, dict[int, list[int]]] = {"heads": {}, "neurons": {}}
        for kind, of_kind in found.items():
            for layer, unit in sorted(getattr(self, kind)):
                of_kind.setdefault(layer, []).append(unit)
        return {kind: {layer: tuple(units) for layer, units in of_kind.items()} for kind, of_kind in found.items()}


def ranked(kind: str, layer: int, scores: Sequence[float], groups: Sequence[Sequence[int]] | None) -> list[tuple[float, Group]]:
    """The groups of one layer in the order in which they go, each with the mean of its units' scores: the lowest first, of equal
    ones the one with the lower index. `groups` None: each unit by itself. Raises `BadInput` for a score that is not finite."""
    if not all(map(math.isfinite, scores)):
        index = next(index for index, score in enumerate(scores) if not math.isfinite(score))
        raise BadInput(
            f"The score of {kind} {index} in layer {layer} is {scores[index]}, and only finite scores can be ranked; "
            "the calibration text or the weights hold values that are not numbers."
        )
    if groups is None:  # of tens of thousands of neurons, again and again: no Python for each of them
        order = sorted(range(len(scores)), key=scores.__getitem__)
        return list(zip(map(scores.__getitem__, order), zip(order, strict=True), strict=True))
    return sorted((math.fsum(scores[unit] for unit in group) / len(group), tuple(group)) for group in groups)


def parameters_removed(plan: Plan, anatomy: "Anatomy") -> int:
    """How many parameters a cut along the plan takes from the model: of heads that share keys and values, those too.

    Raises `BadInput` as `check` does.
    """
    check(plan, anatomy)
    removed = sum(anatomy.layers[layer].neuron_parameters * len(gone) for layer, gone in plan.by_layer["neurons"].items())
    for layer in anatomy.layers:
        gone = len(plan.heads_of(layer.index))
        if gone:
            removed += gone * layer.groups // layer.heads * layer.group_parameters
            removed += layer.norm_parameters if gone == layer.heads else 0
    return removed


def check(plan: Plan, anatomy: "Anatomy") -> None:
    """Raise `BadInput`, in one sentence, for a plan along which the model cannot be cut.

    That is one that names a unit which the model does not have, one that takes some heads of a key-value group and leaves
    others (a head finds its key by its place among the heads, so that groups of two sizes would mix), and one that takes the
    heads of a layer that was built with a single group for all of them and keeps it.
    """
    check_units(plan, anatomy)
    for layer in anatomy.layers:
        gone = set(plan.heads_of(layer.index))
        if gone and layer.keeps_heads:
            raise BadInput(
                f"The plan takes heads of layer {layer.index}, and its heads 0 to {layer.heads - 1} all share the layer's only "
                "key-value group, which stays; leave them out of the plan."
            )
        for group in layer.head_groups:
            if not gone.isdisjoint(group) and not gone.issuperset(group):
                raise BadInput(
                    f"The plan takes {_named(gone.intersection(group))} of layer {layer.index}, where {_named(group)} share a "
                    "key and a value; take all of them or none."
                )


def check_units(plan: Plan, anatomy: "Anatomy") -> None:
    """Raise `BadInput`, with the range that is there, for a unit of the plan that the model does not have."""
    sizes = {"heads": [one.heads for one in anatomy.layers], "neurons": [one.neurons for one in anatomy.layers]}
    for kind, of_kind in plan.by_layer.items():
        for layer, units in of_kind.items():
            if layer >= len(sizes[kind]) or units[-1] >= sizes[kind][layer]:
                for unit in units:
                    _inside(kind.removesuffix("s"), layer, unit, sizes[kind])


def _units(kind: str, pairs: Iterable[Unit]) -> frozenset[Unit]:
    pairs = list(pairs)
    if set(map(type, pairs)) <= {tuple} and set(map(len, pairs)) <= {2}:
        numbers = list(chain.from_iterable(pairs))
        if set(map(type, numbers)) <= {int} and min(numbers, default=0) >= 0:  # the usual case, without Python for each pair
            return frozenset(pairs)
    units = set()
    for pair in pairs:
        try:
            layer, index = map(operator.index, pair)
        except (TypeError, ValueError):
            raise BadInput(f"{shorten(pair)} among the plan's {kind} is no pair (layer, index) of whole numbers.") from None
        if layer < 0 or index < 0:
            raise BadInput(f"{shorten(pair)} among the plan's {kind} is negative; layers and units are counted from 0.")
        units.add((layer, index))
    return frozenset(units)


def _named(heads: Iterable[int]) -> str:
    """In words: `head 2`, or `heads 0, 1 and 2`."""
    *most, last = map(str, sorted(heads))
    return f"heads {', '.join(most)} and {last}" if most else f"head {last}"


def _inside(kind: str, layer: int, index: int, sizes: Sequence[int]) -> None:
    if layer >= len(sizes):
        raise BadInput(f"The plan names {kind} {index} of layer {layer}, and the model has layers 0 to {len(sizes) - 1}.")
    if index >= sizes[layer]:
        has = f"{kind}s 0 to {sizes[layer] - 1}" if sizes[layer] else f"no {kind}s"
        raise BadInput(f"The plan names {kind} {index} of layer {layer}, and that layer has {has}.")
