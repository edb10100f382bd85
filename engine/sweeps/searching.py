"""The cell of a sweep that does least damage for a budget of parameters, found with a tenth of the measurements.

What a cell should cost is known before any is measured: the sum of its layers' predicted damages (`engine.pruning.damage`). Of
those that fit, the cell that should cost least is measured; then weights of the parts of the model, its blocks or, where the axes
are over layers, its layers, are fitted to all that has been measured, what they leave is carried to the cells nearby, and next is
the cell that promises most to cost less than all so far. Predictions rank the units of a layer well, and less well what one part
costs beside another, and what losing most of it costs beside half.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from engine.desk import Desk
from engine.pruning.allocate import KINDS, parts_of
from engine.pruning.damage import NEEDS, predicted
from engine.pruning.plan import Unit, parameters_removed
from engine.pruning.sensitivity import sensing
from engine.record.cells import SweepBestFound, SweepCellDone
from engine.record.commands import Load
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.lifecycle import Progressed
from engine.record.recipe import Recipe
from engine.record.schedules import block_of_layers
from engine.record.sweep import OF_LAYERS, Sweep
from engine.sweeps.measuring import FAILURES, ModelAndText, failed, reason
from engine.workbench import Workbench

PART = 0.1  # of the cells may be measured
LEAST = 0.05  # of the common weight is the least that a part's weight may be
TINY = 1e-300
HOLD = 0.3  # how strongly the parts' weights are held to one common weight, in units of the damages' mean square
NEAR = 0.5  # how far what the weights leave is carried: of the widest difference between two cells in what goes from a part
DOUBT = 0.05  # of what the weights leave is each cell's own, as a part of its variance


def searched(asked: Sweep, done: Mapping[int, SweepCellDone], memory: int, folder: Path | None = None) -> Iterator[Event]:
    """Measure a tenth of the cells, those that an earlier process has `done` counted in. The last event is a `SweepBestFound`,
    where any cell that fits could be measured.

    Raises `BadInput` where no cell fits the budget.
    """
    cells = {cell.number: cell for cell in asked.cells}
    recipe = next(cell.recipe for cell in asked.cells if cell.recipe is not None)
    with closing(Workbench(folder)) as bench:
        yield from bench.handle(Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, recipe.seed))
        shared, anatomy, sizes, counts = ModelAndText(bench, memory), bench.desk.loaded.anatomy, {}, {}
        for cell in asked.cells:
            try:
                if cell.recipe is None:
                    raise BadInput(cell.error)
                plan = (yield from shared.planned(cell)).plan.plan
                sizes[cell.number] = anatomy.parameters - parameters_removed(plan, anatomy)
                counts[cell.number] = {kind: _counted(getattr(plan, kind), len(anatomy.layers)) for kind in KINDS}
            except FAILURES as error:
                yield failed(cell, reason(error))
        fit = [number for number, size in sizes.items() if size <= asked.budget * anatomy.parameters]
        if not fit:
            least = min(sizes.values(), default=anatomy.parameters) / anatomy.parameters
            raise BadInput(f"budget {asked.budget} is met by no cell: the smallest leaves {least:.3f} of the parameters.")
        places = _places(asked, len(anatomy.layers))
        damages = yield from _damages(bench.desk, recipe, counts, places)
        shares = _shares(counts, places)
        found = {number: one for number, one in done.items() if one.status == "done" and number in sizes}
        tried = set(found)
        while len(tried) < max(1, int(PART * len(cells))):
            taken = [counts[number] for number in tried]  # as many units of each layer are the same units
            waiting = [number for number in fit if number not in tried and counts[number] not in taken]
            if not waiting:
                break
            number = waiting[int(_promise(damages, shares, found, waiting).argmax())]
            tried.add(number)
            for event in shared.measured([cells[number]], []):
                yield event
                if isinstance(event, SweepCellDone) and event.status == "done":
                    found[number] = event
    good = [one for number, one in found.items() if number in fit]
    if good:
        best = min(good, key=lambda one: one.perplexity)
        yield SweepBestFound(best.number, dict(best.set), best.perplexity, best.parameters, len(tried), len(fit))


def _places(asked: Sweep, layers: int) -> tuple[int, ...]:
    """The part of the model that each layer is in, from 0: itself where the axes are over layers, else its block."""
    return tuple(range(layers)) if any(name.startswith(OF_LAYERS) for name in asked.axes) else block_of_layers(layers)


def _damages(
    desk: Desk, recipe: Recipe, counts: Mapping[int, Mapping[str, Sequence[int]]], places: Sequence[int]
) -> Generator[Progressed, None, dict[int, Tensor]]:
    """What each cell should cost in nats per token, [kinds · parts] in float64, by how many units of a kind go in each layer;
    `places` has the part that each layer is in."""
    model, anatomy, calibration = desk.model, desk.loaded.anatomy, recipe.calibration
    blocks = desk.calibration_blocks(calibration)  # [n, length]
    scores = yield from desk.scores(recipe.criterion, calibration, recipe.seed)
    parts = parts_of(scores, anatomy, {kind: getattr(recipe, kind) for kind in KINDS}, recipe.protect)
    statistics = yield from desk.evidence.statistics(blocks, NEEDS)
    sensitivity = yield from sensing(model, anatomy, blocks)
    how, found = (recipe.compensation, recipe.ridge, recipe.add_biases), {}
    curves = predicted(model, anatomy, parts, statistics, sensitivity, *how)
    for number, gone in counts.items():
        damage = torch.zeros(len(KINDS), 1 + max(places), dtype=torch.float64)  # [kinds, parts]
        for part, curve in zip(parts, curves, strict=True):
            if part.groups:
                at = gone[part.kind][part.layer] // len(part.groups[0])
                damage[list(KINDS).index(part.kind), places[part.layer]] += curve[at]
        found[number] = damage.flatten()  # [kinds · parts]
    return found


def _counted(units: Iterable[Unit], layers: int) -> list[int]:
    counts = [0] * layers
    for layer, _ in units:
        counts[layer] += 1
    return counts


def _shares(counts: Mapping[int, Mapping[str, Sequence[int]]], places: Sequence[int]) -> dict[int, Tensor]:
    """How much goes from each part in each cell, [kinds · parts] in float64, from the least to the most among the cells as 0 to
    1; 0 where all are alike."""
    where, gone = torch.tensor(places), []  # [layers]
    for count in counts.values():
        gone.append([float(torch.tensor(count[kind])[where == part].sum()) for kind in KINDS for part in range(1 + max(places))])
    taken = torch.tensor(gone, dtype=torch.float64)  # [cells, kinds · parts]
    least, most = taken.amin(0), taken.amax(0)  # [kinds · parts]
    return dict(zip(counts, (taken - least) / (most - least).clamp(min=1), strict=True))


def _promise(
    damages: Mapping[int, Tensor], shares: Mapping[int, Tensor], found: Mapping[int, SweepCellDone], cells: Sequence[int]
) -> Tensor:
    """How much each of the `cells` promises, [cells]: by how much its rise is expected to be below the lowest that was measured.

    Its rise is foretold by the weights that were fitted, with what those leave of the rises that were measured nearby: the mean
    of a Gaussian process over the shares, whose deviation says how sure that is. What is told and what is unknown both promise
    something. The lowest rise that is foretold promises most where nobody promises anything, and before any was measured.
    """
    weights = _weights(damages, found)  # [kinds · parts]
    rises = torch.stack([damages[number] for number in cells]) @ weights  # [cells]
    if not found:
        return -rises
    at, seen = (torch.stack([shares[number] for number in some]) for some in (cells, found))  # [cells or measured, kinds · parts]
    measured = torch.tensor([_rise(one) for one in found.values()], dtype=torch.float64)  # [measured]
    left = measured - torch.stack([damages[number] for number in found]) @ weights  # [measured]
    alike, near = _near(seen, seen) + DOUBT * torch.eye(len(left), dtype=torch.float64), _near(at, seen)
    told = torch.linalg.solve(alike, near.T).T  # [cells, measured]: how much of what is left of each is carried here
    better = measured.min() - (rises + told @ left)  # [cells]
    unsure = left.square().mean().sqrt() * (1 - (told * near).sum(1)).clamp(min=0).sqrt()  # [cells]
    z = better / unsure.clamp(min=TINY)  # [cells]
    normal = torch.distributions.Normal(torch.zeros_like(z), torch.ones_like(z))
    expected = better * normal.cdf(z) + unsure * normal.log_prob(z).exp()  # [cells]
    return expected if float(expected.max()) > 0 else better


def _near(one: Tensor, other: Tensor) -> Tensor:
    """How alike the shares [n, kinds · parts] and [m, kinds · parts] are, [n, m], from 0 to 1."""
    return torch.exp(-torch.cdist(one, other).square() / (2 * NEAR**2))


def _rise(cell: SweepCellDone) -> float:
    return math.log(cell.perplexity / cell.perplexities["baseline"])


def _weights(damages: Mapping[int, Tensor], found: Mapping[int, SweepCellDone]) -> Tensor:
    """What to multiply the predicted damages with, [kinds · parts]: fitted to the rises that were measured by ridge regression
    around the one weight that fits best, and none below a twentieth of that."""
    width = len(next(iter(damages.values())))
    if not found:
        return torch.ones(width, dtype=torch.float64)  # [kinds · parts]
    rise = torch.tensor([_rise(one) for one in found.values()], dtype=torch.float64)  # [measured]
    damage = torch.stack([damages[number] for number in found])  # [measured, kinds · parts]
    total = damage.sum(1)  # [measured]
    common = float(total @ rise) / max(float(total @ total), TINY)
    if common <= 0:
        return torch.ones(width, dtype=torch.float64)  # nothing rises: there is nothing to be told from it
    scale = damage.square().mean(0).sqrt().clamp(min=TINY)  # [kinds · parts]
    units = damage / scale  # [measured, kinds · parts]
    start = common * scale  # [kinds · parts]
    system = units.T @ units / len(rise) + HOLD * torch.eye(width, dtype=torch.float64)  # [kinds · parts, kinds · parts]
    moved = start + torch.linalg.solve(system, units.T @ (rise - units @ start) / len(rise))  # [kinds · parts]
    return torch.maximum(moved, LEAST * start) / scale  # [kinds · parts]
