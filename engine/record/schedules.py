"""A level and a shape → a share for each layer, and what that saves; plain arithmetic that knows no weights and no scores.

The layers fall into three *blocks*, front, middle and back, at the nearest thirds: 6 layers split 2, 2, 2; 7 split 2, 3, 2;
8 split 3, 2, 3; a single layer is the middle. Every layer of a block gets the block's share, the fraction of its units that
goes. For level m (the mean share over all layers) and steepness s (the back block's share over the front's) the blocks'
profiles are

    uniform       1, 1, 1
    linear        1, (1 + s) / 2, s
    exponential   1, sqrt(s), s

scaled so that the mean over the layers is m. Linear and exponential with the same m and s take equally many units and have
the same ratio between the ends of the model: they differ in the middle alone, which is what makes them comparable.
"""

import math
from collections.abc import Sequence

from engine.record.errors import BadInput, counted, shorten

BLOCKS = ("front", "middle", "back")
SHAPES = ("uniform", "linear", "exponential", "custom")


def block_of_layers(layers: int) -> tuple[int, ...]:
    """The block (0 front, 1 middle, 2 back) of each of `layers` layers."""
    first, second = ((2 * layers * third + 3) // 6 for third in (1, 2))  # layers · third / 3, rounded half up
    return tuple(0 if layer < first else 1 if layer < second else 2 for layer in range(layers))


def shares(
    layers: int,
    level: float,
    shape: str = "uniform",
    steepness: float = 1.0,
    blocks: Sequence[float] | None = None,
    layer_shares: Sequence[float] | None = None,
    cap: float = 1.0,
    protected: tuple[int, int] = (0, 0),
) -> tuple[float, ...]:
    """The share of units that goes from each of `layers` layers.

    Of the `protected` layers, so many first and so many last ones, nothing goes. `custom` takes the shares of the others as
    they are, three by block or one by layer, and raises `BadInput` where their number does not fit the model; `level` and `cap`
    are then not used. For the other shapes what is spared in protected layers, and what is over the cap in others, is spread
    over the rest in proportion to their profile, so that the mean over all layers stays `level`; raises `BadInput` where that
    cannot be.
    """
    of_layer = block_of_layers(layers)
    first = min(protected[0], layers)
    open_layers = range(first, max(first, layers - protected[1]))
    if shape == "custom":
        if layer_shares is not None and len(layer_shares) != layers:
            raise BadInput(
                f"custom shares by layer: {shorten(list(layer_shares))} has {counted(len(layer_shares), 'value')}, but the model "
                f"has {counted(layers, 'layer')}; give one share for each layer."
            )
        asked = layer_shares if layer_shares is not None else [blocks[block] for block in of_layer]
        return tuple(float(share) if layer in open_layers else 0.0 for layer, share in enumerate(asked))
    if level * layers > cap * len(open_layers) + 1e-9:
        raise BadInput(
            f"A level of {level} cannot be reached where {layers - len(open_layers)} of {counted(layers, 'layer')} are protected "
            f"and no other loses more than {cap}; lower the level or protect fewer layers."
        )
    if not open_layers:
        return (0.0,) * layers
    middle = {"uniform": 1.0, "linear": (1 + steepness) / 2, "exponential": math.sqrt(steepness)}[shape]
    profile = (1.0, middle, 1.0 if shape == "uniform" else steepness)
    found = fill([profile[of_layer[layer]] for layer in open_layers], level * (layers / len(open_layers)), cap)
    return (0.0,) * open_layers.start + found + (0.0,) * (layers - open_layers.stop)


def fill(profile: Sequence[float], level: float, cap: float) -> tuple[float, ...]:
    """Scale a positive profile to the mean `level`, clipping at `cap` and spreading what was clipped over the rest."""
    clipped: set[int] = set()
    while True:
        free = [index for index in range(len(profile)) if index not in clipped]
        wanted = level * len(profile) - cap * len(clipped)
        scale = wanted / sum(profile[index] for index in free) if free else 0.0
        over = [index for index in free if scale * profile[index] > cap]
        if not over:
            return tuple(cap if index in clipped else scale * share for index, share in enumerate(profile))
        clipped.update(over)


def reached(ramp: str, number: int, rounds: int) -> float:
    """The part of the level that is reached once round `number` (1 … `rounds`) is done: in equal steps ("linear"), or "cubic",
    1 − (1 − number / rounds)³, much at first and little at the end. Zhu and Gupta 2017, arXiv 1710.01878, from a level of 0."""
    left = 1 - number / rounds
    return 1 - left**3 if ramp == "cubic" else 1 - left


def block_shares(layer_shares: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """The mean share of the front, middle and back block; None for a block without layers."""
    of_layer = block_of_layers(len(layer_shares))
    inside = [[share for share, block in zip(layer_shares, of_layer, strict=True) if block == which] for which in range(3)]
    return tuple(sum(block) / len(block) if block else None for block in inside)


def count(share: float, units: int) -> int:
    """How many of `units` units a share takes: the nearest whole number, halves up."""
    return max(0, min(units, math.floor(share * units + 0.5 + 1e-9)))  # 1e-9: 0.35 · 10 is 3.4999999999999996


def at_most(cap: float, units: int, floor: int = 0) -> int:
    """How many of `units` units may go at most: no more than the cap's share of them, rounded down, such that `floor` stay."""
    return max(0, min(units - floor, math.floor(cap * units + 1e-9)))  # 1e-9: 0.29 · 100 is 28.999999999999996


def lowest(scores: Sequence[float], how_many: int) -> tuple[int, ...]:
    """The indices of the `how_many` lowest scores, ascending; among equal scores the lower index goes first."""
    return tuple(sorted(sorted(range(len(scores)), key=lambda index: (scores[index], index))[:how_many]))


def parameters_saved(counts: Sequence[int], parameters_per_unit: Sequence[int]) -> int:
    """The parameters that go with `counts[l]` units from each layer l, at `parameters_per_unit[l]` each."""
    return sum(gone * each for gone, each in zip(counts, parameters_per_unit, strict=True))
