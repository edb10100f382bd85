"""What a grid of shares costs beside measuring its cells one by one: the neurons' shares of the front, the middle and the back
block, five each, 125 cells measured without training; with no compensation, where there is least to share, and least squares; on
the built-in gpt2-tiny and, where it is installed, on SmolLM2-135M.

The sweep is carried out whole: model, text, statistics, plans. One by one, the same is loaded and gathered once, and a cell is
planned, compensated, laid over the model by gates and measured. Every twelfth cell of the sweep is then measured so too, at once,
lest one see a quicker machine than the other; their mean, times the cells, stands for the loop. Goals: half of the loop's time on
gpt2-tiny, 0.4 on SmolLM2 by least squares, a recipe's default, and numbers that agree to 1e-4. With no compensation the
language-model head, which no two cells share, weighs as much as eight of SmolLM2's layers: by the count 0.44 of the loop is left
there, and no goal is set. Held are states and narrower layers, of at most 1 GB.
"""

import time
from collections.abc import Iterator
from statistics import mean

from benchmarks import Row
from engine import Recipe, Sweep, sweep
from engine.pruning.rounds import Round
from engine.record.catalogue import file_of, packaged
from engine.record.cells import SweepCellDone
from engine.record.commands import Load, preview_of
from engine.record.steps import ended
from engine.workbench import Workbench

SHARES = [0, 0.2, 0.4, 0.6, 0.8]
AXES = {f"neurons.blocks.{block}": SHARES for block in range(3)}
MEMORY = 10**9
EVERY = 12
# Tokens to measure on, and the most of the loop's time that is allowed, by compensation.
MODELS = {
    "gpt2-tiny": (8192, {"none": 0.5, "least-squares": 0.5}),
    "smollm2-135m": (1024, {"none": None, "least-squares": 0.4}),
}


def measure() -> Iterator[Row]:
    """For each model and compensation the sweep over the loop, the largest difference between their numbers, the bytes held."""
    for model, (tokens, goals) in MODELS.items():
        kept = packaged(model)
        if kept is not None and file_of(kept) is None:
            continue
        for compensation, goal in goals.items():
            yield from grid(model, compensation, tokens, goal)


def grid(model: str, compensation: str, tokens: int, goal: float | None) -> Iterator[Row]:
    """Three rows for one grid."""
    asked = Sweep(_recipe(model, compensation, tokens), AXES)
    alone = _OneByOne(asked.cells[0].recipe)
    events, shared, spent, most, apart, seconds = sweep(asked, memory=MEMORY), 0, 0.0, 0, [], []
    while True:
        start = time.perf_counter()
        event = next(events, None)
        spent += time.perf_counter() - start
        if event is None:
            break
        if not isinstance(event, SweepCellDone):
            continue
        most, shared = max(most, event.kept), shared + 1
        if shared % EVERY == EVERY // 2:
            start = time.perf_counter()
            perplexity = alone.perplexity(asked.cells[event.number].recipe)
            seconds.append(time.perf_counter() - start)
            apart.append(abs(event.perplexity / perplexity - 1))
    loop = alone.seconds + mean(seconds) * len(asked.cells)
    what = f"{model}, {len(asked.cells)} cells of {tokens:,} tokens, {compensation}"
    yield Row(what, spent, "s", goal, loop, f"one by one, from {len(seconds)} cells")
    yield Row(f"{what}: the largest relative difference", max(apart), "", 1e-4)
    yield Row(f"{what}: held of what cells share", most / 1e6, "MB", MEMORY / 1e6)


def _recipe(model: str, compensation: str, tokens: int) -> dict[str, object]:
    recipe = {"model": model, "compensation": compensation, "heads": {"level": 0}, "calibration": {"tokens": 4096}}
    return recipe | {"evaluation": {"tokens": tokens, "sequence_length": 256}}


class _OneByOne:
    """The model and its text, loaded once, on which cells are measured by themselves; `seconds` is what that took."""

    def __init__(self, recipe: Recipe):
        start = time.perf_counter()
        bench = Workbench()
        for _ in bench.handle(Load(recipe.model, recipe.corpus, recipe.device, recipe.precision, recipe.seed)):
            pass
        self._desk = bench.desk
        ended(self._desk.evaluate(self._desk.model, recipe.evaluation))  # the baseline, which a sweep measures as well
        for _ in self._desk.rounds(preview_of(recipe)):
            pass
        ended(self._desk.known(recipe.compensation, recipe.calibration))
        self.seconds = time.perf_counter() - start

    def perplexity(self, recipe: Recipe) -> float:
        """That of one recipe's pruning, gated."""
        desk = self._desk
        plan = [step for step in desk.rounds(preview_of(recipe)) if isinstance(step, Round)][-1].plan
        known = ended(desk.known(recipe.compensation, recipe.calibration))
        desk.overlay.lay(plan, recipe.compensation, known, recipe.ridge, recipe.add_biases)
        found = ended(desk.evaluate(desk.model, recipe.evaluation))
        desk.overlay.off()
        return found.perplexity
