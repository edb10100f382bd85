"""Sensitivity: which layers can lose units.

Which part of the model minds most when its units go: the front, the middle or the back, and which layers of it?

One block, then one layer, loses 10 to 90 % of its neurons or of its heads while all others stay whole; nothing makes up for what
went, and nothing is trained. A block is the most sensitive where the loss rises more than without any other block's units, beyond
the spread over criteria and the seeds of random.
"""

import math
from collections.abc import Mapping
from statistics import fmean

from engine.record.beforehand import layer_count
from engine.record.done_cells import Done, Found, done, grouped, leader, ratios
from engine.record.figure import Figure, Series, Table, Verdict
from engine.record.scale import Form, both, repeated, scale_of
from engine.record.schedules import BLOCKS
from engine.record.spread import Estimate, as_ratio
from engine.record.sweep import Sweep

KINDS = ("neurons", "heads")


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """Of neurons and of heads: a block at a time, by criteria and by lot, then a layer at a time where their number is known."""
    scale, layers, found = scale_of(model, form), layer_count(model), {}
    for kind in KINDS:
        recipe = scale.recipe | {kind: {"shape": "custom", "blocks": [0, 0, 0]}}
        axes = {f"{kind}.blocks": [_only(place, share, 3) for share in scale.shares for place in range(3)]}
        found |= repeated(scale, f"{kind} by block", recipe, axes)
    for kind in KINDS if layers else ():
        recipe = scale.recipe | {kind: {"shape": "custom", "layers": [0] * layers}, "criterion": scale.criteria[0]}
        values = [_only(place, share, layers) for share in scale.shares for place in range(layers)]
        found[f"{kind} by layer"] = Sweep(recipe, {f"{kind}.layers": values})
    return found


def answer(found: Found) -> tuple[Verdict, ...]:
    """The most sensitive block for each kind of unit, or that none stands out."""
    return tuple(_of_kind(found, kind) for kind in KINDS)


def leading(found: Found, kind: str) -> tuple[str, str, Estimate | None] | None:
    """The most sensitive block, the next one, and how much higher the loss is without the first; None until all were measured,
    and for a model with fewer than three layers, which has not all of them."""
    blocks = {BLOCKS[place]: cells for place, cells in _spots(found, kind).items() if _took(cells)}
    return leader(blocks, _share, Done.rise, sign=1) if len(blocks) == len(BLOCKS) else None


def worst_layers(found: Found, kind: str) -> tuple[tuple[int, float], tuple[int, float]] | None:
    """The layer whose units are missed most and the next one, each with the mean rise of the loss over the shares, in nats per
    token; None until two layers were measured."""
    layers = grouped(done(found, f"{kind} by layer"), _spot)
    means = sorted(((fmean(cell.rise() for cell in cells), place) for place, cells in layers.items()), reverse=True)
    return None if len(means) < 2 else tuple((place, rise) for rise, place in means[:2])


def figures(found: Found) -> tuple[Figure, ...]:
    """Curves by block, and a map of layers and shares, for each kind of unit."""
    drawn = []
    for kind in KINDS:
        blocks = _spots(found, kind)
        curves = tuple(ratios(BLOCKS[place], blocks[place], _share) for place in sorted(blocks))
        title, axis = f"{kind.capitalize()} gone from one block only", f"share of the block's {kind} removed"
        over = "perplexity over the whole model's"
        drawn.append(Figure(f"{kind}-by-block", "curves", title, axis, over, curves, log_y=True, shares=True))
        layers = grouped(done(found, f"{kind} by layer"), _spot)
        rows = tuple(_row(layers[place], f"layer {place}") for place in sorted(layers))
        title, axis = f"{kind.capitalize()} gone from one layer only", f"share of the layer's {kind} removed"
        says = "rise of the loss, nats per token"
        drawn.append(Figure(f"{kind}-by-layer", "heat", title, axis, "layer, front to back", rows, value_label=says, shares=True))
    return tuple(drawn)


def table(found: Found) -> Table:
    """A row for each kind, block and share: the mean of the ratios, their ends, and how many there are."""
    rows = []
    for kind in KINDS:
        blocks = _spots(found, kind)
        for place in sorted(blocks):
            line = ratios(BLOCKS[place], blocks[place], _share)
            count = grouped(blocks[place], _share)
            for x, y, low, high in zip(line.x, line.y, line.low, line.high, strict=True):
                rows.append((kind, BLOCKS[place], x, y, low, high, len(count[x])))
    return Table(("units", "block", "share", "perplexity ratio", "lowest", "highest", "measured"), tuple(rows))


def _of_kind(found: Found, kind: str) -> Verdict:
    ends = leading(found, kind)
    if ends is None:
        untold = f"Removing {kind}: which block is the most sensitive cannot be told"
        empty = [BLOCKS[place] for place, cells in sorted(_spots(found, kind).items()) if _is_empty(cells)]
        if empty:
            return Verdict(untold, f"the model has fewer than three layers, and none in its {' and '.join(empty)} block")
        return Verdict(f"{untold} yet", "not every block was measured")
    first, second, more = ends
    said = f"without units of the {first} perplexity is, on average over the shares,"
    numbers = [f"{said} {as_ratio(more)} that with as many gone from the {second}"] if more else []
    alone = worst_layers(found, kind)
    by_itself = [f"layer {place} by {rise:.2f}" for place, rise in alone or ()]
    numbers += [f"of single layers, the loss rises most for {', then '.join(by_itself)} nats per token"] if alone else []
    if more is None or more.sign < 1:
        return Verdict(f"Removing {kind}: which block is the most sensitive cannot be told", "; ".join(numbers))
    return Verdict(f"Removing {kind}: the {first} block is the most sensitive", "; ".join(numbers))


def _by_block(found: Found, kind: str) -> list[Done]:
    return done(found, *both(f"{kind} by block"))


def _spots(found: Found, kind: str) -> dict[int, list[Done]]:
    return grouped(_by_block(found, kind), _spot)


def _took(cells: list[Done]) -> bool:
    """Whether anything went: a block without a layer has nothing to lose."""
    return len({cell.cell.parameters for cell in cells}) > 1


def _is_empty(cells: list[Done]) -> bool:
    """Whether a block has no layer: nothing happened at any share, though half of a single unit is one."""
    return any(_share(cell) >= 0.5 for cell in cells) and not any(cell.rise() for cell in cells)


def _only(place: int, share: float, count: int) -> list[float]:
    return [share if each == place else 0 for each in range(count)]


def _shares(cell: Done) -> list[float]:
    """What a cell takes from each block, or from each layer."""
    return next(value for name, value in cell.cell.set.items() if name.endswith((".blocks", ".layers")))


def _spot(cell: Done) -> int:
    return _shares(cell).index(_share(cell))


def _share(cell: Done) -> float:
    return max(_shares(cell))


def _row(cells: list[Done], name: str) -> Series:
    line = ratios(name, cells, _share)
    return Series(name, line.x, tuple(math.log(each) for each in line.y), cells=line.cells)
