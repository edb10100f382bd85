"""What a search for a budget of parameters finds beside the whole grid, and with how many measurements.

The neurons' shares of the front, the middle and the back block, five each, 125 cells measured without training, by least squares,
on the built-in models; the heads' where a fifth of the neurons is gone; and the neurons' shares of six layers, three each, 729
cells. The grid is measured whole; a search is given a share of the dense model's parameters, and what it found is held against
the best of the grid's cells that fit. Goals: a tenth of the measurements, and a perplexity within 1 % of the grid's best.
"""

from collections.abc import Iterator

from benchmarks import Row
from engine import Sweep, load, sweep
from engine.record.cells import SweepBestFound, SweepCellDone
from engine.report import size_of

MODELS = ("gpt2-tiny", "opt-tiny", "pythia-tiny")
PARTS = {"blocks": (3, [0, 0.2, 0.4, 0.6, 0.8]), "layers": (6, [0, 0.3, 0.6])}  # how many of them, and their shares
# Of each kind of unit and each parts of the model what else the recipe has, and the budgets.
GRIDS = {
    ("neurons", "blocks"): ({"heads": {"level": 0}}, (0.9, 0.8, 0.7)),
    ("heads", "blocks"): ({"neurons": {"level": 0.2}}, (0.85, 0.8, 0.76)),
    ("neurons", "layers"): ({"heads": {"level": 0}}, (0.95, 0.9, 0.85)),
}
MEMORY = 10**9


def measure() -> Iterator[Row]:
    """For each model, kind and budget what was found over what there is; then how many cells a search measured at most."""
    most = dict.fromkeys(PARTS, 0)
    for model in MODELS:
        for kind, parts in GRIDS:
            for row, measured in searches(model, kind, parts):
                most[parts] = max(most[parts], measured)
                yield row
    for parts, (count, shares) in PARTS.items():
        what = f"measurements of one search over {parts}, at most"
        yield Row(what, most[parts], "cells", 0.1, len(shares) ** count, "the grid's cells")


def searches(model: str, kind: str, parts: str, tokens: int = 2048) -> Iterator[tuple[Row, int]]:
    """A row for each budget, and how many cells were measured for it."""
    (more, budgets), (count, shares) = GRIDS[kind, parts], PARTS[parts]
    recipe = {"model": model, "calibration": {"tokens": 4096}, "evaluation": {"tokens": tokens, "sequence_length": 256}} | more
    axes = {f"{kind}.{parts}.{part}": shares for part in range(count)}
    cells = [event for event in sweep(Sweep(recipe, axes), memory=MEMORY) if isinstance(event, SweepCellDone)]
    dense = size_of(load(model).model)[0]
    for budget in budgets:
        events = list(sweep(Sweep(recipe, axes, "search", budget=budget), memory=MEMORY))
        found = next(event for event in events if isinstance(event, SweepBestFound))
        fit = [cell.perplexity for cell in cells if cell.parameters <= budget * dense]
        what = f"{model}, {kind} of {parts}, {budget:.0%} of the parameters"
        yield Row(what, found.perplexity, "ppl", 1.01, min(fit), f"the best of {len(fit)} cells that fit"), found.measured
