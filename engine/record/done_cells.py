"""Cells that are done, as the points of a chart and as replicates; knows no experiment in particular.

What a pruning costs is told as the ratio of perplexities, pruned over dense, and averaged as its logarithm: nats per token.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from engine.record.cells import SweepCellDone
from engine.record.figure import Place, Series, Value, Verdict
from engine.record.spread import Estimate, as_ratio, estimate

Key = TypeVar("Key")
Found = Mapping[str, Mapping[int, SweepCellDone]]  # the cells so far: name of the sweep → number → cell


@dataclass(frozen=True)
class Done:
    """A cell that came to something, and where it stands."""

    place: Place
    cell: SweepCellDone

    def rise(self, stage: str = "pruned", over: str = "baseline") -> float | None:
        """By how many nats per token the loss of one stage is above another's; None where either was not measured."""
        found = self.cell.perplexities
        return math.log(found[stage] / found[over]) if stage in found and over in found else None

    @property
    def replicate(self) -> tuple[str, int]:
        """What tells independent repeats of one measurement apart: the criterion and the seed."""
        return self.cell.set.get("criterion", ""), self.cell.seed


def done(found: Found, *sweeps: str) -> list[Done]:
    """The cells of these sweeps that did not fail, of all sweeps where none is named, in order."""
    return [
        Done(Place(name, number), found[name][number])
        for name in sweeps or found
        for number in sorted(found.get(name, {}))
        if found[name][number].status == "done"
    ]


def grouped(cells: Iterable[Done], key: Callable[[Done], Key | None]) -> dict[Key, list[Done]]:
    """The cells by a key, in the order in which keys come; those whose key is None are left out."""
    groups: dict[Key, list[Done]] = {}
    for cell in cells:
        of_cell = key(cell)
        if of_cell is not None:
            groups.setdefault(of_cell, []).append(cell)
    return groups


def by_replicate(cells: Iterable[Done], value: Callable[[Done], float | None]) -> dict[tuple[str, int], float]:
    """For each replicate the mean of a value over its cells."""
    groups = {name: [value(cell) for cell in group] for name, group in grouped(cells, lambda cell: cell.replicate).items()}
    kept = {name: [one for one in values if one is not None] for name, values in groups.items()}
    return {name: fmean(values) for name, values in kept.items() if values}


def paired(
    one: Iterable[Done], other: Iterable[Done], alike: Callable[[Done], object], value: Callable[[Done], float | None]
) -> Estimate | None:
    """How much more the value is of `one` than of the `other`, over pairs of cells that are `alike` and of one replicate;
    averaged over the pairs of a replicate first. None where there is no pair."""
    others = {(cell.replicate, alike(cell)): value(cell) for cell in other}
    differences: dict[tuple[str, int], list[float]] = {}
    for cell in one:
        mine, theirs = value(cell), others.get((cell.replicate, alike(cell)))
        if mine is not None and theirs is not None:
            differences.setdefault(cell.replicate, []).append(mine - theirs)
    return estimate(fmean(values) for values in differences.values())


def ratios(
    name: str, cells: Iterable[Done], x: Callable[[Done], Value | None], stage: str = "pruned", over: str = "baseline"
) -> Series:
    """The ratios of two stages over `x`: the geometric mean of the cells at each x, with the lowest and the highest."""
    groups = grouped((cell for cell in cells if cell.rise(stage, over) is not None), x)
    keys = list(groups) if any(isinstance(key, str) for key in groups) else sorted(groups)
    rises = [[cell.rise(stage, over) for cell in groups[key]] for key in keys]
    return Series(
        name,
        tuple(keys),
        tuple(math.exp(fmean(each)) for each in rises),
        tuple(math.exp(min(*each, fmean(each))) for each in rises),  # rounding may take the mean of equal numbers past them
        tuple(math.exp(max(*each, fmean(each))) for each in rises),
        tuple(groups[key][0].place for key in keys),
    )


def leader(
    groups: Mapping[str, list[Done]], alike: Callable[[Done], object], value: Callable[[Done], float | None], sign: int = -1
) -> tuple[str, str, Estimate | None] | None:
    """The group with the lowest mean value (`sign` 1: the highest), the next one, and how far apart they are, in pairs of cells
    that are `alike`. None where fewer than two groups were measured."""
    means = {name: estimate(by_replicate(cells, value).values()) for name, cells in groups.items()}
    line = sorted((name for name, mean in means.items() if mean is not None), key=lambda name: -sign * means[name].mean)
    if len(line) < 2:
        return None
    ends = (groups[line[0]], groups[line[1]]) if sign > 0 else (groups[line[1]], groups[line[0]])
    return line[0], line[1], paired(*ends, alike, value)


def control(found: Found, sweep: str = "control") -> Estimate | None:
    """What the same training does to the model that lost nothing: the rise of its loss over the untrained model's, by seed."""
    return estimate(by_replicate(done(found, sweep), lambda cell: cell.rise("tuned")).values())


def of_training(kept: Estimate | None) -> tuple[Verdict, ...]:
    """What the training did to the control, in words, beside which recoveries are told; nothing where no control was measured."""
    if kept is None:
        return ()
    if kept.low is not None and not kept.sign:
        said = "Whether the training itself makes the whole model better or worse cannot be told"
    else:
        said = f"The training itself made the whole model {'worse' if kept.mean > 0 else 'better'}"
    return (Verdict(said, f"the control has {as_ratio(kept, '.3f')} the untrained model's perplexity"),)
