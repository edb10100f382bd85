"""What pruning costs a real language model, by criterion and compensation: SmolLM2-135M, float32, nothing trained.

30 % and 50 % of the MLP's neurons, the same share of every layer; 22 % and 33 % of the heads, in the groups of three that share a
key, of which a layer has three: one group of every layer is 33 %, one of two layers out of three 22 %; and both together. The
value is the perplexity of the smaller model, the reference that of the dense one on the same 1,024 tokens, in blocks of 256.

Criteria, bias and least squares read 16,384 tokens of other articles (`benchmarks/_cells.py` says of which text); ablation, which
scores heads alone, 2,048; the sequential compensation is fitted to 8,192, and to more in the benchmark "peers". Of random the
median of three seeds counts. Beside them, with neurons alone, stand the pruners that PyPI carries, which compensate for nothing;
one that is not installed has no row. So few tokens to measure on tell a bad way to prune from a good one, and not two good ones
from each other.

Takes hours on two cores, so that it runs only when it is named. One that was interrupted goes on where it was.
"""

from collections.abc import Iterable, Iterator
from statistics import median

from benchmarks import Row
from benchmarks._cells import Cell, Setting, Workshop, smollm2
from benchmarks._peers import peers
from engine.record.catalogue import CRITERIA
from engine.record.recipe import Schedule

LAYERS = 30
NONE = Schedule(level=0.0)
SOME, MANY = Schedule(level=0.3), Schedule(level=0.5)
FEWER = Schedule(shape="custom", layers=tuple(1 / 3 if layer % 3 else 0.0 for layer in range(LAYERS)))
THIRD = Schedule(level=1 / 3)
SETTINGS = {
    "30 % of the neurons": Setting(NONE, SOME),
    "50 % of the neurons": Setting(NONE, MANY),
    "22 % of the heads": Setting(FEWER, NONE),
    "33 % of the heads": Setting(THIRD, NONE),
    "30 % of the neurons and 22 % of the heads": Setting(FEWER, SOME),
    "50 % of the neurons and 33 % of the heads": Setting(THIRD, MANY),
}
COMPENSATIONS = ("none", "bias", "least-squares", "sequential")
SEEDS = (0, 1, 2)
MEASURED = 1024  # tokens
SCORED, ABLATED = 16384, 2048  # tokens that criteria read
SEQUENTIAL = 8192  # tokens that a sequential compensation is fitted to


def measure() -> Iterator[Row]:
    """The dense model, then a row for each setting, criterion and compensation."""
    workshop, text = smollm2("quality")
    yield Row(f"dense, {MEASURED:,} tokens of {text}", workshop.dense(MEASURED), "ppl", None)
    for setting in SETTINGS:
        for cells in rows(setting):
            yield _row(workshop, cells)
    workshop.close()


def rows(setting: str) -> Iterator[tuple[Cell, ...]]:
    """What is measured of one setting; the cells of a row differ in their seed."""
    for criterion in CRITERIA.names():
        scores_neurons = "neurons" in CRITERIA.load(criterion).UNITS
        if not scores_neurons and SETTINGS[setting].neurons != NONE:
            continue
        scored = SCORED if scores_neurons else ABLATED
        for compensation in COMPENSATIONS:
            fitted = SEQUENTIAL if compensation == "sequential" else SCORED
            seeds = SEEDS if criterion == "random" else (0,)
            yield tuple(Cell(setting, criterion, compensation, scored, fitted, MEASURED, seed=seed) for seed in seeds)
    if SETTINGS[setting].heads == NONE:
        yield from ((Cell(setting, peer, "none", SCORED, 0, MEASURED),) for peer in peers())


def pivot(found: Iterable[tuple[str, float]], setting: str) -> str:
    """Of rows (what, ratio) those of one setting, as a Markdown table: criteria and peers down, compensations across."""
    ratios: dict[str, dict[str, float]] = {}
    for what, ratio in found:
        of, _, said = what.partition(": ")
        if of == setting:
            by, _, compensation = said.partition(" (")[0].rpartition(", ")
            ratios.setdefault(by, {})[compensation] = ratio
    lines = ["| criterion | " + " | ".join(COMPENSATIONS) + " |", "|---|" + "---:|" * len(COMPENSATIONS)]
    for by, found_by in ratios.items():
        cells = (f"{found_by[each]:,.3g}" if each in found_by else "" for each in COMPENSATIONS)
        lines.append(f"| {by} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _row(workshop: Workshop, cells: tuple[Cell, ...]) -> Row:
    values = [workshop.perplexity(cell, SETTINGS[cell.setting]) for cell in cells]
    what = f"{cells[0].setting}: {cells[0].by}, {cells[0].compensation}"
    if len(cells) > 1:
        what += " (median of " + ", ".join(f"{value:,.3g}" for value in values) + ")"
    return Row(what, median(values), "ppl", None, workshop.dense(MEASURED), "dense")
