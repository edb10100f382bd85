"""SmolLM2-135M pruned in many ways and measured each time, every number kept as it comes; knows no goal and no table.

The model is what the package carries: the instruct version in four bits, multiplied out to float32.

A cell is one way to prune and one number. Those that were measured before a benchmark was interrupted are read and not measured
again: they lie in the user's cache folder, under the name of the benchmark and a hash of the model and of the text, until it has
come to its end. Whoever has changed the engine meanwhile takes them away.

The text is that of WikiText, a file of whose articles (`ESPALIER_WIKITEXT` names it, for instance a split of WikiText-2) every
third is kept for evaluation and the others for calibration; without one it is the Wikipedia sample with its own splits.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import LongTensor, nn

from benchmarks._peers import peers
from engine import Recipe, cut, evaluate, load
from engine.models.load import Loaded
from engine.pruning.cache import hash_of, hash_of_text
from engine.pruning.compensate import RIDGE
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.rounds import Round, planning
from engine.pruning.suggest import compensation_goes_by
from engine.record.catalogue import CRITERIA
from engine.record.folder import cache_home
from engine.record.recipe import Schedule
from engine.record.steps import ended
from engine.text.blocks import pack
from engine.text.corpora import Splits, read_corpus
from engine.text.corpora.wikitext_2 import articles

MODEL, LENGTH = "smollm2-135m", 256
FILE = "ESPALIER_WIKITEXT"
PASS = ("rms", "mean", "covariance", "gradients", "entropy")  # what most criteria read, gathered once for all of them


@dataclass(frozen=True)
class Cell:
    """`by` is a criterion, or one of `benchmarks._peers`, which compensates for nothing. `scored`, `fitted` and `measured` are
    tokens: what the criterion reads, what the compensation reads, and what perplexity is measured on."""

    setting: str
    by: str
    compensation: str
    scored: int
    fitted: int
    measured: int
    allocation: str = "schedule"
    ridge: float = RIDGE
    seed: int = 0


@dataclass(frozen=True)
class Setting:
    """How many heads and neurons go, by layer."""

    heads: Schedule
    neurons: Schedule


class Workshop:
    """A model, its calibration and evaluation text, and what is known of it so far; close it when all is measured."""

    def __init__(self, name: str, loaded: Loaded, calibration: Iterable[str], evaluation: Iterable[str], length: int = LENGTH):
        self.loaded = loaded
        self.texts = {"calibration": tuple(calibration), "evaluation": tuple(evaluation)}
        self.length = length
        self.overlay = Overlay(loaded.model, loaded.anatomy)
        everything = hash_of(loaded.model)[:16] + hash_of_text(self.blocks("evaluation", None))[:16]
        self.folder = cache_home() / "benchmarks" / f"{name}-{everything}"
        self.evidence = Evidence(loaded.model, loaded.anatomy, self.folder)

    def blocks(self, split: str, tokens: int | None) -> LongTensor:
        """At most so many tokens of a split, from all over it, in blocks [n, length]."""
        return pack(self.texts[split], self.loaded.tokenizer, self.length, tokens)

    def dense(self, tokens: int) -> float:
        """The perplexity of the model as it is."""
        return self._kept(["dense", tokens], lambda: evaluate(self.loaded.model, self.blocks("evaluation", tokens)).perplexity)

    def perplexity(self, cell: Cell, setting: Setting) -> float:
        """The perplexity of the smaller model that a cell describes."""

        def measured() -> float:
            smaller = self._by_peer(cell, setting) if cell.by in peers() else self._by_us(cell, setting)
            return evaluate(smaller, self.blocks("evaluation", cell.measured)).perplexity

        return self._kept(list(asdict(cell).values()), measured)

    def close(self) -> None:
        """Forget what was kept for a next time: the benchmark has come to its end."""
        self.overlay.close()
        shutil.rmtree(self.folder)

    def _kept(self, key: list, measured: Callable[[], float]) -> float:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / "cells.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
        for of, value in lines:
            if of == key:
                return value
        start = time.perf_counter()
        value = measured()
        with file.open("a") as opened:
            opened.write(json.dumps([key, value]) + "\n")
        said = ", ".join(map(str, key))
        print(f"  {said}: {value:,.2f} ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)
        return value

    def _by_peer(self, cell: Cell, setting: Setting) -> nn.Module:
        gone = round(setting.neurons.level * self.loaded.anatomy.layers[0].neurons)
        return peers()[cell.by](self.loaded.model, self.blocks("calibration", cell.scored), gone)

    def _by_us(self, cell: Cell, setting: Setting) -> nn.Module:
        recipe = Recipe(
            model=self.loaded.name,
            criterion=cell.by,
            heads=setting.heads,
            neurons=setting.neurons,
            allocation=cell.allocation,
            compensation=cell.compensation,
            ridge=cell.ridge,
            seed=cell.seed,
        )
        scored, fitted = self.blocks("calibration", cell.scored), self.blocks("calibration", cell.fitted)
        if set(CRITERIA.load(cell.by).NEEDS) <= set(PASS):
            ended(self.evidence.statistics(scored, PASS))
        steps = planning(self.evidence, self.overlay, scored, recipe)
        plan = [step.plan for step in steps if isinstance(step, Round)][-1]
        known = ended(compensation_goes_by(self.evidence, fitted, cell.compensation))
        self.overlay.lay(plan, cell.compensation, known, cell.ridge)
        smaller = cut(self.loaded.model, plan)
        self.overlay.off()
        return smaller


def smollm2(name: str) -> tuple[Workshop, str]:
    """The workshop of the benchmark `name`, and what to call its text."""
    splits, said = _text()
    return Workshop(name, load(MODEL), splits.calibration, splits.evaluation), said


def _text() -> tuple[Splits, str]:
    if not os.environ.get(FILE):
        return read_corpus("wikipedia-sample"), "the Wikipedia sample"
    path = Path(os.environ[FILE]).expanduser()
    raw = path.read_bytes()
    found = articles(raw.decode().splitlines(keepends=True))
    calibration = tuple(article for at, article in enumerate(found) if at % 3)
    splits = Splits("wikitext", (), calibration, found[::3], None)
    return splits, f"WikiText ({path.name}, sha256 {hashlib.sha256(raw).hexdigest()[:12]})"
