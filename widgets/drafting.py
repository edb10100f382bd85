"""How many units, and which heads, a schedule takes from each layer of a loaded model: the engine's arithmetic without torch.

Knows what is told of the model and of its scores, and nothing of weights. Where units compete for a budget it says nothing.
"""

import math
from collections.abc import Sequence

from engine.record.events import ModelLoaded
from engine.record.recipe import Recipe, Schedule, shares_of_kind
from engine.record.schedules import at_most, count, lowest

Counts = tuple[int, ...]  # one number for each layer


def competes(recipe: Recipe) -> bool:
    """Whether units compete for what goes, so that only the engine can say how many go from which layer."""
    return recipe.allocation != "schedule" and any(each.takes_any for each in (recipe.heads, recipe.neurons))


def asked_shares(recipe: Recipe, kind: str, layers: int) -> tuple[float, ...]:
    """The shares that a kind's schedule asks for; raises `BadInput`, naming the field, where they do not fit the model."""
    return shares_of_kind(kind, getattr(recipe, kind), layers, recipe.protect)


def head_counts(recipe: Recipe, model: ModelLoaded, shares: Sequence[float]) -> Counts:
    """So many heads go from each layer: whole key-value groups, to the nearest number of them, as far as cap and floor allow."""
    groups = [0 if keeps else groups for keeps, groups in zip(model.keeps_heads, model.groups, strict=True)]
    sizes = [_size(heads, groups) for heads, groups in zip(model.heads, model.groups, strict=True)]
    gone = _counts(recipe, recipe.heads, shares, groups, sizes)
    return tuple(groups * size for groups, size in zip(gone, sizes, strict=True))


def neuron_counts(recipe: Recipe, model: ModelLoaded, shares: Sequence[float]) -> Counts:
    """So many neurons go from each layer, as far as cap and floor allow."""
    return _counts(recipe, recipe.neurons, shares, model.neurons, (1,) * len(model.neurons))


def heads_that_go(model: ModelLoaded, scores: Sequence[Sequence[float]], counts: Counts) -> tuple[tuple[int, int], ...]:
    """The heads as (layer, head): of every layer the groups with the lowest mean score, until so many heads are gone."""
    found = []
    for layer, (of_layer, gone) in enumerate(zip(scores, counts, strict=False)):
        size = _size(model.heads[layer], model.groups[layer])
        means = [math.fsum(of_layer[first : first + size]) / size for first in range(0, len(of_layer), size)]
        groups = lowest(means, gone // size)
        found += [(layer, head) for group in groups for head in range(group * size, (group + 1) * size)]
    return tuple(found)


def _counts(recipe: Recipe, schedule: Schedule, shares: Sequence[float], units: Sequence[int], sizes: Sequence[int]) -> Counts:
    found, free = [], range(recipe.protect.first, len(units) - recipe.protect.last)
    for layer, (share, there, size) in enumerate(zip(shares, units, sizes, strict=True)):
        most = at_most(schedule.cap, there, math.ceil(schedule.floor / size)) if layer in free else 0
        found.append(min(most, count(share, there)))
    return tuple(found)


def _size(heads: int, groups: int) -> int:
    return max(1, heads // groups) if groups else 1
