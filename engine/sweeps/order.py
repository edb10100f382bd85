"""The order of a sweep's cells in which those that begin alike follow one another; knows what the axes set, and no plan."""

import json
from collections.abc import Sequence
from typing import Any

from engine.record.sweep import Cell


def side_by_side(cells: Sequence[Cell]) -> list[Cell]:
    """The cells stage by stage, of a stage seed by seed, and of those the ones with the same values beside one another, numbers
    from the least up: values of blocks and layers change the quicker the further back they are."""
    names = sorted({name for cell in cells for name in cell.set}, key=_from_the_front)
    places = [_places([cell.set[name] for cell in cells]) for name in names]

    def where(at: int) -> tuple[int, ...]:
        return cells[at].stage, cells[at].seed, *(place[at] for place in places)

    return [cells[at] for at in sorted(range(len(cells)), key=where)]


def _places(values: Sequence[Any]) -> list[int]:
    """The place of each value among those that there are: numbers by their size, all else as it is met."""
    told = [json.dumps(value) for value in values]  # a value may be a list
    kinds = dict(zip(told, values, strict=True))
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    line = sorted(kinds, key=kinds.get) if are_numbers else kinds
    among = {value: place for place, value in enumerate(line)}
    return [among[value] for value in told]


def _from_the_front(name: str) -> tuple[bool, list[str]]:
    """What to sort fields by: those of single blocks and layers last, in the order of the layers."""
    parts = name.split(".")
    return parts[-1].isdecimal(), [part.zfill(4) for part in parts]
