"""Sensitivity: which layers can lose units.

Which part of the model minds most when its units go: the front, the middle or the back, and which layers of it?

One block, then one layer, loses 10 to 90 % of its neurons or of its heads while all others stay whole; nothing makes up for what
went, and nothing is trained. A block is the most sensitive where the loss rises more than without any other block's units, beyond
the spread over criteria and the seeds of random.
"""

import math
from collections.abc import Mapping

from engine.record.beforehand import layer_count
from engine.record.figure import Figure, Series, Table
from engine.record.gathered import Done, Found, by_replicate, done, grouped, paired, ratios
from engine.record.scale import CHANCE, Form, scale_of
from engine.record.schedules import BLOCKS
from engine.record.spread import as_ratio, estimate
from engine.record.sweep import Sweep

KINDS = ("neurons", "heads")


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """Of neurons and of heads: a block at a time, by criteria and by lot, then a layer at a time where their number is known."""
    scale, layers, found = scale_of(model, form), layer_count(model), {}
    for kind in KINDS:
        recipe = scale.recipe | {kind: {"shape": "custom", "blocks": [0, 0, 0]}}
        axes = {f"{kind}.blocks": [_only(place, share, 3) for share in scale.shares for place in range(3)]}
        found[f"{kind} by block"] = Sweep(recipe, axes | {"criterion": list(scale.criteria)})
        found[f"{kind} by block, random"] = Sweep(recipe | {"criterion": CHANCE}, axes, seeds=scale.seeds)
    for kind in KINDS if layers else ():
        recipe = scale.recipe | {kind: {"shape": "custom", "layers": [0] * layers}, "criterion": scale.criteria[0]}
        values = [_only(place, share, layers) for share in scale.shares for place in range(layers)]
        found[f"{kind} by layer"] = Sweep(recipe, {f"{kind}.layers": values})
    return found


def answer(found: Found) -> str:
    """The most sensitive block for each kind of unit, or that none stands out."""
    return " ".join(_of_kind(found, kind) for kind in KINDS)


def figures(found: Found) -> tuple[Figure, ...]:
    """Curves by block, and a map of layers and shares, for each kind of unit."""
    drawn = []
    for kind in KINDS:
        blocks = grouped(_by_block(found, kind), _spot)
        curves = tuple(ratios(BLOCKS[place], blocks[place], _share) for place in sorted(blocks))
        title, axis = f"{kind.capitalize()} gone from one block only", f"share of the block's {kind} removed"
        drawn.append(Figure(f"{kind}-by-block", "curves", title, axis, "perplexity over the whole model's", curves, log_y=True))
        layers = grouped(done(found, f"{kind} by layer"), _spot)
        rows = tuple(_row(layers[place], f"layer {place}") for place in sorted(layers))
        title, axis = f"{kind.capitalize()} gone from one layer only", f"share of the layer's {kind} removed"
        says = "rise of the loss, nats per token"
        drawn.append(Figure(f"{kind}-by-layer", "heat", title, axis, "layer, front to back", rows, value_label=says))
    return tuple(drawn)


def table(found: Found) -> Table:
    """A row for each kind, block and share: the mean of the ratios, their ends, and how many there are."""
    rows = []
    for kind in KINDS:
        blocks = grouped(_by_block(found, kind), _spot)
        for place in sorted(blocks):
            line = ratios(BLOCKS[place], blocks[place], _share)
            count = grouped(blocks[place], _share)
            for x, y, low, high in zip(line.x, line.y, line.low, line.high, strict=True):
                rows.append((kind, BLOCKS[place], x, y, low, high, len(count[x])))
    return Table(("units", "block", "share", "perplexity ratio", "lowest", "highest", "measured"), tuple(rows))


def _of_kind(found: Found, kind: str) -> str:
    blocks = grouped(_by_block(found, kind), _spot)
    means = {place: estimate(by_replicate(cells, Done.rise).values()) for place, cells in blocks.items()}
    if len(means) < 3:
        return f"Of {kind} it cannot be told yet: not every block was measured."
    first, second, _ = sorted(means, key=lambda place: -means[place].mean)
    more = paired(blocks[first], blocks[second], _share, Done.rise)
    beside = f"the perplexity is {as_ratio(more)} that with as many gone from the {BLOCKS[second]}" if more else ""
    if more is None or more.sign < 1:
        return f"Of {kind} it cannot be told which block is the most sensitive: with them gone from the {BLOCKS[first]} {beside}."
    return f"Of {kind} the {BLOCKS[first]} block is the most sensitive: on average over the shares {beside}."


def _by_block(found: Found, kind: str) -> list[Done]:
    return done(found, f"{kind} by block", f"{kind} by block, random")


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
