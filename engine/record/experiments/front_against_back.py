"""Front against back.

If only so many neurons may go, should more of them go from the front layers or from the back ones, and is that the same for every
architecture?

Linear and exponential schedules of the same level and the same steepness are held against their mirror images: more gone from the
back beside as many more gone from the front, on the three built-in architectures and the model that is asked for. At one level
the same is done with the first layer left whole, since what seems to be the front's may be that layer's alone, and held against
what that level costs otherwise. The back is the better place where its perplexity is lower beyond the spread over criteria and
the seeds of random; for all models together, the models are the replicates.
"""

import re
from collections.abc import Iterable, Mapping

from engine.record.catalogue import builtin_models
from engine.record.done_cells import Done, Found, done, paired, ratios
from engine.record.errors import counted
from engine.record.figure import Figure, Table, Verdict
from engine.record.scale import CHANCE, Form, both, repeated, scale_of
from engine.record.spread import Estimate, as_percent, as_ratio, estimate
from engine.record.sweep import Sweep

STEEPNESS = (0.25, 0.5, 2, 4)
LEVELS = (0.3, 0.5)
BETTER = {
    1: "the front is the better place to prune", -1: "the back is the better place to prune",
    0: "where more should go cannot be told",
}  # fmt: skip
SPARED = ", first layer whole"  # in the names of sweeps


def sweeps(model: str, form: Form) -> Mapping[str, Sweep]:
    """The same grid for each model: shape, steepness and level of the neurons."""
    found = {}
    for name in dict.fromkeys((*(each.name for each in builtin_models()), model)):
        scale = scale_of(name, form)
        axes = {"neurons.shape": ["linear", "exponential"], "neurons.steepness": list(STEEPNESS)}
        found |= repeated(scale, _called(name), scale.recipe, axes | {"neurons.level": list(LEVELS)})
        spared = scale.recipe | {"protect": {"first": 1}}
        found |= repeated(scale, _called(name) + SPARED, spared, axes | {"neurons.level": list(LEVELS[:1])})
    return found


def answer(found: Found) -> tuple[Verdict, ...]:
    """Where more should go, on each model and on all of them."""
    told = {name: back_over_front(found, name) for name in models(found)}
    told = {name: more for name, more in told.items() if more is not None}
    if not told:
        return (Verdict("Whether more should go from the front or from the back cannot be told yet"),)
    whole = _together(found, told)
    what = f"with more gone from the back perplexity is {as_ratio(whole, '.3f')} that of the mirror image"
    said = [Verdict(f"Over {counted(len(told), 'model')}: {BETTER[whole.sign]}", what)]
    said += [Verdict(f"On {name}: {BETTER[more.sign]}", as_ratio(more, ".3f")) for name, more in told.items()]
    spared, alike = (_together(found, told, kind, LEVELS[0]) for kind in (SPARED, ""))
    if spared and alike:
        at = f"at a level of {as_percent(LEVELS[0])} it is {as_ratio(alike, '.3f')}, and with the first layer whole"
        said.append(Verdict(f"With the first layer whole: {BETTER[spared.sign]}", f"{at} {as_ratio(spared, '.3f')}"))
    return tuple(said)


def models(found: Found) -> tuple[str, ...]:
    """The models of which cells were measured, by the names of their sweeps."""
    return tuple(dict.fromkeys(name.removesuffix(f", {CHANCE}") for name in found if SPARED not in name))


def back_over_front(found: Found, name: str, spared: str = "", level: float | None = None) -> Estimate | None:
    """How much higher the loss of one model is with more gone from the back than with as much more gone from the front, at one
    level or at all; with `SPARED` of the sweep that leaves the first layer whole, which has one."""
    cells = [cell for cell in done(found, *both(name + spared)) if level in (None, cell.cell.set["neurons.level"])]
    back, front = ([cell for cell in cells if (_steepness(cell) > 1) == more] for more in (True, False))
    return paired(back, front, _mirrored, Done.rise)


def figures(found: Found) -> tuple[Figure, ...]:
    """Perplexity over steepness for every model: at each level, and at the first of them with the first layer whole."""
    over, axis = "perplexity over the whole model's", "steepness: the back block's share over the front's"
    drawn = []
    for level, spared in (*((level, "") for level in LEVELS), (LEVELS[0], SPARED)):
        lines = [ratios(name, _at(found, name + spared, level), _steepness) for name in models(found)]
        curves = tuple(line for line in lines if line.x)
        name = f"level-{level * 100:.0f}{'-first-layer-whole' if spared else ''}"
        title = f"Front against back, {as_percent(level)} of the neurons gone{spared}"
        drawn.append(Figure(name, "curves", title, axis, over, curves, log_x=True, log_y=True))
    return tuple(drawn)


def table(found: Found) -> Table:
    """A row for each model, level and steepness, over shapes, criteria and seeds, with and without the first layer."""
    rows = []
    for name in models(found):
        for level, spared in (*((level, "") for level in LEVELS), (LEVELS[0], SPARED)):
            line = ratios(name, _at(found, name + spared, level), _steepness)
            rows += [(name + spared, level, *row) for row in zip(line.x, line.y, line.low, line.high, strict=True)]
    return Table(("model", "level", "steepness", "perplexity ratio", "lowest", "highest"), tuple(rows))


def _at(found: Found, name: str, level: float) -> list[Done]:
    return [cell for cell in done(found, *both(name)) if cell.cell.set["neurons.level"] == level]


def _together(found: Found, names: Iterable[str], spared: str = "", level: float | None = None) -> Estimate | None:
    """The same for all these models, each of which is a replicate."""
    each = (back_over_front(found, name, spared, level) for name in names)
    return estimate(more.mean for more in each if more is not None)


def _called(model: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")


def _steepness(cell: Done) -> float:
    return cell.cell.set["neurons.steepness"]


def _mirrored(cell: Done) -> tuple[str, float, float]:
    """What a cell has in common with its mirror image."""
    steepness = _steepness(cell)
    return cell.cell.set["neurons.shape"], max(steepness, 1 / steepness), cell.cell.set["neurons.level"]
