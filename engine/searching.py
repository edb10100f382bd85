"""The cell of a sweep that does least damage for a budget of parameters, found with a tenth of the measurements.

What a cell should cost is known before any is measured: the sum of its layers' predicted damages (`engine.pruning.damage`). Of
those that fit, the cell that should cost least is measured; then weights of the blocks are fitted to all that has been measured,
and so on. Predictions rank the units of a layer well, and less well what one block of layers costs beside another.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from engine.desk import Desk
from engine.ground import FAILURES, Ground, failed, reason
from engine.pruning.allocate import KINDS, parts_of
from engine.pruning.damage import NEEDS, predicted
from engine.pruning.plan import Plan, Unit, parameters_removed
from engine.pruning.sensitivity import sensing
from engine.record.cells import SweepBestFound, SweepCellDone
from engine.record.commands import Load
from engine.record.errors import BadInput
from engine.record.events import Event
from engine.record.lifecycle import Progressed
from engine.record.recipe import Recipe
from engine.record.schedules import block_of_layers
from engine.record.sweep import Sweep
from engine.workbench import Workbench

PART = 0.1  # of the cells may be measured
LEAST = 0.05  # of the common weight is the least that a block's weight may be
TINY = 1e-300
HOLD = 0.3  # how strongly the blocks' weights are held to one common weight, in units of the damages' mean square


def searched(asked: Sweep, done: Mapping[int, SweepCellDone], memory: int, folder: Path | None = None) -> Iterator[Event]:
    """Measure a tenth of the cells, those that an earlier process has `done` counted in. The last event is a `SweepBestFound`.

    Raises `BadInput` where no cell fits the budget.
    """
    cells = {cell.number: cell for cell in asked.cells}
    recipe = next(cell.recipe for cell in asked.cells if cell.recipe is not None)
    with closing(Workbench(folder)) as bench:
        yield from bench.handle(Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, recipe.seed))
        ground, anatomy, plans = Ground(bench, memory), bench.desk.loaded.anatomy, {}
        for cell in asked.cells:
            try:
                if cell.recipe is None:
                    raise BadInput(cell.error)
                yield from ground.plan(cell)
                plans[cell.number] = ground.wishes[cell.number].plan
            except FAILURES as error:
                yield failed(cell, reason(error))
        sizes = {number: anatomy.parameters - parameters_removed(plan, anatomy) for number, plan in plans.items()}
        fit = [number for number, size in sizes.items() if size <= asked.budget * anatomy.parameters]
        if not fit:
            least = min(sizes.values(), default=anatomy.parameters) / anatomy.parameters
            raise BadInput(f"budget {asked.budget} is met by no cell: the smallest leaves {least:.3f} of the parameters.")
        damages = yield from _damages(bench.desk, recipe, plans)
        found = {number: one for number, one in done.items() if one.status == "done" and number in plans}
        tried = set(found)
        while len(tried) < max(1, int(PART * len(cells))) and not tried.issuperset(fit):
            weights = _weights(damages, found)
            number = min((one for one in fit if one not in tried), key=lambda one: float(damages[one] @ weights))
            tried.add(number)
            for event in ground.measured([cells[number]], []):
                yield event
                if isinstance(event, SweepCellDone) and event.status == "done":
                    found[number] = event
    good = [one for number, one in found.items() if number in fit]
    if good:
        best = min(good, key=lambda one: one.perplexity)
        yield SweepBestFound(best.number, dict(best.set), best.perplexity, best.parameters, len(tried), len(fit))


def _damages(desk: Desk, recipe: Recipe, plans: Mapping[int, Plan]) -> Generator[Progressed, None, dict[int, Tensor]]:
    """What each plan should cost in nats per token, [kinds · blocks] in float64."""
    model, anatomy, calibration = desk.model, desk.loaded.anatomy, recipe.calibration
    blocks = desk.texts.blocks("calibration", calibration.sequence_length, calibration.tokens, "calibration")  # [n, length]
    scores = yield from desk.scores(recipe.criterion, calibration, recipe.seed)
    parts = parts_of(scores, anatomy, {kind: getattr(recipe, kind) for kind in KINDS}, recipe.protect)
    statistics = yield from desk.evidence.statistics(blocks, NEEDS)
    sensitivity = yield from sensing(model, anatomy, blocks)
    how = (recipe.compensation, recipe.ridge, recipe.add_biases)
    curves = predicted(model, anatomy, parts, statistics, sensitivity, *how)
    block, found = block_of_layers(len(anatomy.layers)), {}
    for number, plan in plans.items():
        gone = {kind: _counted(getattr(plan, kind), len(anatomy.layers)) for kind in KINDS}
        damage = torch.zeros(len(KINDS), 3, dtype=torch.float64)  # [kinds, blocks]
        for part, curve in zip(parts, curves, strict=True):
            if part.groups:
                at = gone[part.kind][part.layer] // len(part.groups[0])
                damage[list(KINDS).index(part.kind), block[part.layer]] += curve[at]
        found[number] = damage.flatten()  # [kinds · blocks]
    return found


def _counted(units: Iterable[Unit], layers: int) -> list[int]:
    counts = [0] * layers
    for layer, _ in units:
        counts[layer] += 1
    return counts


def _weights(damages: Mapping[int, Tensor], found: Mapping[int, SweepCellDone]) -> Tensor:
    """What to multiply the predicted damages with, [kinds · blocks]: fitted to the rises that were measured by ridge regression
    around the one weight that fits best, and none below a twentieth of that."""
    width = len(next(iter(damages.values())))
    if not found:
        return torch.ones(width, dtype=torch.float64)  # [kinds · blocks]
    rises = [math.log(one.perplexity / one.perplexities["baseline"]) for one in found.values()]
    rise = torch.tensor(rises, dtype=torch.float64)  # [measured]
    damage = torch.stack([damages[number] for number in found])  # [measured, kinds · blocks]
    total = damage.sum(1)  # [measured]
    common = float(total @ rise) / max(float(total @ total), TINY)
    if common <= 0:
        return torch.ones(width, dtype=torch.float64)  # nothing rises: there is nothing to be told from it
    scale = damage.square().mean(0).sqrt().clamp(min=TINY)  # [kinds · blocks]
    units = damage / scale  # [measured, kinds · blocks]
    start = common * scale  # [kinds · blocks]
    system = units.T @ units / len(rise) + HOLD * torch.eye(width, dtype=torch.float64)  # [kinds · blocks, kinds · blocks]
    moved = start + torch.linalg.solve(system, units.T @ (rise - units @ start) / len(rise))  # [kinds · blocks]
    return torch.maximum(moved, LEAST * start) / scale  # [kinds · blocks]
