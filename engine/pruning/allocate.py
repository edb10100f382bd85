"""How much goes from each layer: by schedule, by one ranking of all units, or where it does least damage; with what may not go.

Plain arithmetic over scores, prices in parameters and limits: knows no tensor, no text, and nothing of what a damage is made of.

The three ways take the same number of parameters, so that they can be compared: what the schedule takes is the budget of the
other two, in which heads and neurons compete. A kind of unit of which the schedule takes nothing takes no part. Every way takes
the lowest scores of a layer first, and none goes over a cap, under a floor, or into a protected layer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.pruning.plan import Group, Plan, Scores, ranked
from engine.record.errors import BadInput, counted
from engine.record.recipe import Protection, Schedule, shares_of_kind
from engine.record.schedules import at_most, block_of_layers, count

if TYPE_CHECKING:
    from engine.models.anatomy import Anatomy

KINDS = {"heads": "head", "neurons": "neuron"}
Shares = Mapping[str, tuple[float, ...]]  # kind → a share for each layer
Counts = tuple[int, ...]  # groups that go, one number for each part


@dataclass(frozen=True)
class Part:
    """The units of one kind in one layer, in the order in which they go: what is gone already, then the lowest scores first.

    A group goes as a whole (heads that share a key; one neuron), and `price` parameters with it. `scores` are the groups' means
    over their units. `gone` groups are gone already, and no more than `most` may go in all.
    """

    kind: str
    layer: int
    groups: tuple[Group, ...]
    scores: tuple[float, ...]
    price: int
    gone: int
    most: int


def shares_of(schedules: Mapping[str, Schedule], layers: int, protect: Protection) -> Shares:
    """The shares that the schedules ask for; raises `BadInput`, naming the field, where they do not fit `layers` layers."""
    return {kind: shares_of_kind(kind, schedule, layers, protect) for kind, schedule in schedules.items()}


def parts_of(
    scores: Scores, anatomy: "Anatomy", schedules: Mapping[str, Schedule], protect: Protection, gone: Plan | None = None
) -> tuple[Part, ...]:
    """Every layer's heads and neurons, with what may go of them: heads in whole groups, none of a protected layer, at most the
    cap, and so that at least the floor stays. `gone` are units that have to go whatever they score.

    A kind that the criterion does not score has no parts. Raises `BadInput` for a score that is not finite.
    """
    gone, layers = gone or Plan(), len(anatomy.layers)
    parts = []
    for kind in KINDS:
        for layer, of_layer in zip(anatomy.layers, getattr(scores, kind), strict=False):
            heads = kind == "heads"
            order = ranked(KINDS[kind], layer.index, of_layer, layer.removable_groups if heads else None)
            taken = set(gone.by_layer[kind].get(layer.index, ()))
            if taken:
                order.sort(key=lambda one, taken=taken: one[1][0] not in taken)  # stable: by score within the gone and the others
            size = len(order[0][1]) if order else 1
            floor = math.ceil(schedules[kind].floor / size)
            free = protect.first <= layer.index < layers - protect.last
            most = at_most(schedules[kind].cap, len(order), floor) if free else 0
            already = sum(group[0] in taken for _, group in order) if taken else 0
            values, groups = zip(*order, strict=True) if order else ((), ())
            parts.append(
                Part(
                    kind,
                    layer.index,
                    groups=groups,
                    scores=values,
                    price=layer.group_parameters if heads else layer.neuron_parameters,
                    gone=already,
                    most=max(already, most),
                )
            )
    return tuple(parts)


def by_schedule(parts: Sequence[Part], shares: Shares) -> Counts:
    """Of every layer its share, as far as it may go. Raises `BadInput` for a share of units that have no scores."""
    for kind, name in KINDS.items():
        if any(shares[kind]) and not any(part.kind == kind for part in parts):
            raise BadInput(
                f"The criterion does not score {name}s, so none can go; set their level to 0 or choose another criterion."
            )
    return tuple(max(part.gone, min(part.most, count(shares[part.kind][part.layer], len(part.groups)))) for part in parts)


def by_ranking(parts: Sequence[Part], budget: float) -> Counts:
    """The lowest of all units, heads and neurons of all layers together, until `budget` parameters are gone, to the nearest unit.

    Scores are compared as distances from the mean of their layer and kind, in standard deviations, since those of different
    layers have no common scale: the allocation "AL-AM" of FLAP, An et al. 2023 (arXiv 2312.11983), here with exact prices.
    """
    line = []
    for at, part in enumerate(parts):
        standard = _standardised(part.scores[part.gone :])
        line += [(standard[place - part.gone], at, place) for place in range(part.gone, part.most)]
    counts = [part.gone for part in parts]
    removed = price_of(parts, counts)
    for _, at, _ in sorted(line):
        if removed + parts[at].price / 2 > budget:
            break
        counts[at] += 1
        removed += parts[at].price
    return tuple(counts)


def by_damage(parts: Sequence[Part], curves: Sequence[Sequence[float]], budget: float, by: str = "layer") -> Counts:
    """The counts of least damage in all, at which `budget` parameters are gone, to the nearest step.

    `curves[p][k]` is the damage when k groups of part p are gone, on any scale that is the same for all. A step is one group of
    a layer, or, `by` "block", one more share for all layers of a block. Of every curve only the lower convex hull counts; there
    the steps with the least damage for a parameter come first, which is exact for convex curves (Everett 1963, "Generalized
    Lagrange multiplier method for solving problems of optimum allocation of resources").
    """
    rising = ladders(parts, by)
    counts = [part.gone for part in parts]
    removed = price_of(parts, counts)
    stretches = []
    for ladder, (inside, rungs) in enumerate(rising):
        points = [
            (sum(parts[at].price * one for at, one in zip(inside, rung, strict=True)), _damage(curves, inside, rung))
            for rung in rungs
        ]
        corners = _hull(points)
        for low, high in zip(corners, corners[1:], strict=False):
            slope = (points[high][1] - points[low][1]) / (points[high][0] - points[low][0])
            stretches.append((slope, ladder, low, high, [points[at][0] - points[low][0] for at in range(low, high + 1)]))
    for _, ladder, low, high, prices in sorted(stretches):
        inside, rungs = rising[ladder]
        full = removed + prices[-1] <= budget
        reached = high if full else low + min(range(len(prices)), key=lambda step: (abs(removed + prices[step] - budget), -step))
        for at, one in zip(inside, rungs[reached], strict=True):
            counts[at] = one
        removed += prices[reached - low]
        if not full:
            break
    return tuple(counts)


def price_of(parts: Sequence[Part], counts: Sequence[int]) -> int:
    """The parameters that go with these counts."""
    return sum(part.price * gone for part, gone in zip(parts, counts, strict=True))


def plan_of(parts: Sequence[Part], counts: Sequence[int]) -> Plan:
    """The units that these counts take: of every part its first groups."""
    units = {
        kind: [
            (part.layer, unit)
            for part, gone in zip(parts, counts, strict=True)
            if part.kind == kind
            for group in part.groups[:gone]
            for unit in group
        ]
        for kind in KINDS
    }
    return Plan(**units)


def shares_at(parts: Sequence[Part], counts: Sequence[int], layers: int) -> Shares:
    """What share of every layer's units these counts are."""
    found = {kind: [0.0] * layers for kind in KINDS}
    for part, gone in zip(parts, counts, strict=True):
        if part.groups:
            found[part.kind][part.layer] = gone / len(part.groups)
    return {kind: tuple(shares) for kind, shares in found.items()}


def group_notes(parts: Sequence[Part]) -> tuple[str, ...]:
    """In sentences, which heads go together, and where none can go, however much goes."""
    said, heads = [], [part for part in parts if part.kind == "heads"]
    sizes = sorted({len(part.groups[0]) for part in heads if part.groups} - {1})
    if sizes:
        said.append(f"Heads that share a key go together, {' or '.join(map(str, sizes))} at a time.")
    kept = sum(not part.groups for part in heads)
    if kept:
        said.append(f"In {counted(kept, 'layer')} no head can go: all of them share the only key, or none is left.")
    return tuple(said)


def share_notes(parts: Sequence[Part], counts: Sequence[int], shares: Shares) -> tuple[str, ...]:
    """In sentences, what whole groups and limits have made of the shares that were asked for."""
    said, there = [], list(zip(parts, counts, strict=True))
    shared = [(part, len(part.groups[0]), gone) for part, gone in there if part.groups and len(part.groups[0]) > 1]
    if shared:
        asked = math.fsum(len(part.groups) * size * shares["heads"][part.layer] for part, size, _ in shared)
        many = f"{asked:.1f}".removesuffix(".0")
        said.append(f"{many} heads were asked for and {sum(size * gone for _, size, gone in shared)} go.")
    for kind, name in KINDS.items():
        held = sum(part.kind == kind and gone < count(shares[kind][part.layer], len(part.groups)) for part, gone in there)
        if held:
            said.append(f"In {counted(held, 'layer')} fewer {name}s go than the shares ask for: limits hold the others.")
    return tuple(said)


def _standardised(scores: Sequence[float]) -> list[float]:
    if not scores:
        return []
    mean = math.fsum(scores) / len(scores)
    spread = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))
    return [(score - mean) / spread if spread else 0.0 for score in scores]


def ladders(parts: Sequence[Part], by: str) -> list[tuple[list[int], list[Counts]]]:
    """What loses more together, as places in `parts`, and the counts that it can have, lowest first: each part by itself, or,
    `by` "block", all layers of a block in equal shares."""
    if by == "layer":
        return [([at], [(gone,) for gone in range(part.gone, part.most + 1)]) for at, part in enumerate(parts)]
    of_layer = block_of_layers(1 + max((part.layer for part in parts), default=0))
    blocks: dict[tuple, list[int]] = {}
    for at, part in enumerate(parts):
        blocks.setdefault((part.kind, of_layer[part.layer]), []).append(at)
    found = []
    for inside in blocks.values():
        steps = max(len(parts[at].groups) for at in inside)
        rungs = [
            tuple(max(parts[at].gone, min(parts[at].most, count(step / steps, len(parts[at].groups)))) for at in inside)
            for step in range(steps + 1)
            if steps
        ]
        found.append((inside, list(dict.fromkeys(rungs))))
    return found


def _damage(curves: Sequence[Sequence[float]], inside: Sequence[int], rung: Sequence[int]) -> float:
    return math.fsum(curves[at][one] for at, one in zip(inside, rung, strict=True))


def _hull(points: Sequence[tuple[float, float]]) -> list[int]:
    """The corners of the lower convex hull of points (price, damage) with rising prices, as places in the sequence."""
    corners: list[int] = []
    for at, (price, damage) in enumerate(points):
        while len(corners) > 1:
            (a, x), (b, y) = points[corners[-2]], points[corners[-1]]
            if (y - x) * (price - a) < (damage - x) * (b - a):
                break
            corners.pop()
        corners.append(at)
    return corners
