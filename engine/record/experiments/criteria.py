"""Criteria.

Which criterion finds the units that can go, and is any of them better than chance?

Every criterion takes the same levels of the heads, of the neurons and of both, uniformly; nothing makes up for what went and
nothing is trained. Heads go whole, so that several levels may come to the same. Random is drawn several times; ablation, which
measures every head by leaving it out, is the oracle where it can be afforded. A criterion beats chance where its perplexity is
lower than random's beyond the spread over random's seeds. A criterion without chance in it has one number on one model, so that
two of them are told apart over several models only. How alike criteria rank the units, whatever comes of it, is compared apart
from that: for any model on the page, under “Do the criteria agree?”.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from engine.record.catalogue import CRITERIA
from engine.record.done_cells import Done, Found, done, grouped, ratios
from engine.record.figure import Figure, Series, Table, Verdict
from engine.record.scale import CHANCE, Form, scale_of
from engine.record.spread import Estimate, as_ratio, estimate
from engine.record.sweep import Sweep

UNITS = {"neurons": ("neurons",), "heads": ("heads",), "heads and neurons": ("heads", "neurons")}
ORACLE = "many passes"  # what an oracle costs


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """For each kind of unit, and both: every criterion that scores it at every level, and random with its seeds."""
    scale, found = scale_of(model, form), {}
    for name, kinds in UNITS.items():
        able = [each for each in CRITERIA.names() if set(kinds) <= set(_facts(each)["UNITS"]) and each != CHANCE]
        able = [each for each in able if scale.oracle or _facts(each)["COST"] != ORACLE]
        if len(kinds) == 1:
            recipes, axes = {name: scale.recipe}, {f"{kinds[0]}.level": list(scale.levels)}
        else:  # two fields that go together are no axis: each of some levels is a sweep of its own
            recipes, axes = {f"{name}, {level * 100:.0f} percent": _both(scale.recipe, level) for level in scale.levels[1::2]}, {}
        for called, recipe in recipes.items():
            found[called] = Sweep(recipe, axes | {"criterion": able})
            found[f"{called}, {CHANCE}"] = Sweep(recipe | {"criterion": CHANCE}, axes, seeds=scale.draws)
    return found


def answer(found: Found) -> tuple[Verdict, ...]:
    """For each kind of unit: how many criteria beat chance, and which is lowest."""
    return tuple(_of_units(found, name) for name in UNITS)


def against_chance(found: Found, name: str) -> dict[str, Estimate]:
    """How much higher the loss is by each criterion than by random, for a kind of unit of `UNITS`: one replicate for each of
    random's seeds, each the mean over the levels that both were measured at. Levels that come to the same units count once."""
    groups = grouped(_unlike(_cells(found, name)), criterion_of)
    chance = grouped(groups.pop(CHANCE, ()), lambda cell: cell.cell.seed)
    told = {}
    for criterion, cells in groups.items():
        of_level = {level_of(cell): cell.rise() for cell in cells}
        differences = []
        for drawn in chance.values():
            pairs = [of_level[level_of(cell)] - cell.rise() for cell in drawn if level_of(cell) in of_level]
            differences += [sum(pairs) / len(pairs)] if pairs else []
        if differences:
            told[criterion] = estimate(differences)
    return told


def figures(found: Found) -> tuple[Figure, ...]:
    """For each kind of unit the perplexity over the level, a curve for each criterion; and all of them against chance."""
    over, drawn = "perplexity over the whole model's", []
    for name in UNITS:
        groups = grouped(_cells(found, name), criterion_of)
        curves = tuple(ratios(criterion, cells, level_of) for criterion, cells in sorted(groups.items()))
        axis, title = f"level: share of the {name} removed", f"Criteria choosing {name}"
        drawn.append(Figure(name.replace(" ", "-"), "curves", title, axis, over, curves, log_y=True, shares=True))
    bars = tuple(_bars(found, name) for name in UNITS if against_chance(found, name))
    axis = "perplexity over random's"
    drawn.append(
        Figure(
            "against-chance",
            "bars",
            "Criteria against chance, mean over the levels",
            "criterion",
            axis,
            bars,
            log_y=True,
            base=1.0,
        )
    )
    return tuple(drawn)


def table(found: Found) -> Table:
    """A row for each kind of unit, criterion and level; random's with the lowest and the highest of its seeds."""
    rows = []
    for name in UNITS:
        for criterion, cells in sorted(grouped(_cells(found, name), criterion_of).items()):
            line = ratios(criterion, cells, level_of)
            rows += [(name, criterion, *row) for row in zip(line.x, line.y, line.low, line.high, strict=True)]
    return Table(("units", "criterion", "level", "perplexity ratio", "lowest", "highest"), tuple(rows))


def criterion_of(cell: Done) -> str:
    """The criterion of a cell; a sweep without that axis is random's."""
    return cell.cell.set.get("criterion", CHANCE)


def level_of(cell: Done) -> float:
    """The level of a cell: on an axis, or in the name of its sweep."""
    told = next((value for name, value in cell.cell.set.items() if name.endswith(".level")), None)
    return int(cell.place.sweep.split(", ")[1].split()[0]) / 100 if told is None else told


def _of_units(found: Found, name: str) -> Verdict:
    told = against_chance(found, name)
    if not told:
        return Verdict(f"Removing {name}: which criteria beat chance cannot be told yet")
    better, worse = (sum(each.sign == sign for each in told.values()) for sign in (-1, 1))
    left = len(told) - better - worse
    lowest = min(told, key=lambda criterion: told[criterion].mean)
    many = f"{better or 'none'} of {len(told)} criteria"
    said = f"{many} {'beats' if better < 2 else 'beat'} chance"
    said += f", {worse} {'does' if worse == 1 else 'do'} worse" if worse else ""
    said += f", {left} cannot be told from it" if left else ""
    if left == len(told):
        said = f"{many} can be told from chance"
    return Verdict(f"Removing {name}: {said}", f"the lowest, {lowest}, has {as_ratio(told[lowest])} random's perplexity")


def _bars(found: Found, name: str) -> Series:
    told = sorted(against_chance(found, name).items())
    groups = grouped(_cells(found, name), criterion_of)
    ends = [(found.mean, found.mean) if found.low is None else (found.low, found.high) for _, found in told]
    return Series(
        name,
        tuple(criterion for criterion, _ in told),
        tuple(math.exp(found.mean) for _, found in told),
        tuple(math.exp(low) for low, _ in ends),
        tuple(math.exp(high) for _, high in ends),
        tuple(groups[criterion][0].place for criterion, _ in told),
    )


def _both(recipe: Mapping[str, Any], level: float) -> dict[str, Any]:
    return {**recipe, **{kind: {"level": level, "shape": "uniform"} for kind in ("heads", "neurons")}}


def _cells(found: Found, name: str) -> list[Done]:
    return done(found, *(sweep for sweep in found if sweep == name or sweep.startswith(f"{name}, ")))


def _unlike(cells: Iterable[Done]) -> list[Done]:
    """Without the cells of which as much is gone as at a lower level: heads go whole, and 30 % of six are 40 % of them."""
    falling = sorted(cells, key=level_of, reverse=True)
    told = {(criterion_of(cell), cell.cell.seed, cell.cell.parameters): cell for cell in falling}
    return sorted(told.values(), key=lambda cell: (cell.place.sweep, cell.place.number))


def _facts(criterion: str) -> Mapping[str, object]:
    return CRITERIA.entry(criterion).facts
