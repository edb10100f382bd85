"""What is known of a model's units from calibration text: statistics and scores, each gathered once; decides nothing.

Belongs to one set of weights: whoever trains or restores the model makes a new one.
"""

import math
from collections.abc import Generator, Sequence
from pathlib import Path

from torch import LongTensor, nn

from engine.models.anatomy import Anatomy
from engine.pruning import cache
from engine.pruning.calibration import calibrating
from engine.pruning.plan import Scores
from engine.pruning.statistics import Statistics, merged
from engine.record.catalogue import CRITERIA
from engine.record.errors import BadInput
from engine.record.lifecycle import Progressed


class Evidence:
    """The statistics and scores of one model, bare of gates and compensation, on blocks of calibration text.

    In `folder`, where one is given, statistics are kept for another process with the same model and text. The hash that finds
    them there looks at weights alone: a model with closed gates is given no folder. `changed` says that the weights are not as
    they were loaded: of all that are not, the folder keeps what was gathered of one.

    In memory are the statistics of one text, the last that was asked for: those of a large model take hundreds of megabytes.
    """

    def __init__(self, model: nn.Module, anatomy: Anatomy, folder: Path | None = None, changed: bool = False):
        self.model = model
        self.anatomy = anatomy
        self.folder = folder
        self.changed = changed
        self._hash: str | None = None
        self._statistics: dict[str, Statistics] = {}  # by the hash of the text: one at most
        self._scores: dict[tuple, Scores] = {}

    def statistics(self, blocks: LongTensor, needs: Sequence[str]) -> Generator[Progressed, None, Statistics | None]:
        """Gather what is needed and not known yet, in one pass, and add it to what is known; None where nothing is needed."""
        if not needs:
            return None
        text = cache.hash_of_text(blocks)
        if text not in self._statistics:
            self._statistics.clear()
        for need in needs:
            if self.folder is not None and not self._knows(text, (need,)):
                kept = cache.read(self.folder, self._model(), text, need, self.anatomy, self.changed)
                if kept is not None:
                    self._learn(text, kept)
        missing = [need for need in needs if not self._knows(text, (need,))]
        if missing:
            found = yield from calibrating(self.model, blocks, missing)
            if self.folder is not None:
                cache.write(self.folder, self._model(), text, found, self.anatomy, self.changed)
            self._learn(text, found)
        return self._statistics[text]

    def scores(self, criterion: str, blocks: LongTensor, seed: int) -> Generator[Progressed, None, Scores]:
        """Score every unit by a criterion, once for each text and seed.

        Raises `UnknownName` for an unknown one, and `BadInput` where a score is not finite, since such scores rank nothing.
        """
        key = (criterion, cache.hash_of_text(blocks), seed)
        if key in self._scores:
            return self._scores[key]
        entry = CRITERIA.load(criterion)
        found = yield from self.statistics(blocks, entry.NEEDS)
        if "STEPS" in CRITERIA.entry(criterion).facts:
            scores = yield from entry.scoring(self.model, self.anatomy, found, seed)
        else:
            scores = entry.score(self.model, self.anatomy, found, seed)
        if not all(math.isfinite(score) for of_layer in (*scores.heads, *scores.neurons) for score in of_layer):
            raise BadInput(f"criterion {criterion!r} finds scores that are no finite numbers; the model's weights are broken.")
        self._scores[key] = scores
        return scores

    def scores_of(
        self, criteria: Sequence[str], blocks: LongTensor, seed: int
    ) -> Generator[Progressed, None, tuple[Scores, ...]]:
        """The scores of several criteria, with one pass for all that they need; raises as `scores` does."""
        needs = dict.fromkeys(need for name in criteria for need in CRITERIA.load(name).NEEDS)
        yield from self.statistics(blocks, tuple(needs))
        found = []
        for name in criteria:
            found.append((yield from self.scores(name, blocks, seed)))
        return tuple(found)

    def has_scores(self, criterion: str, blocks: LongTensor, seed: int) -> bool:
        """Whether `scores` has nothing left to do."""
        return (criterion, cache.hash_of_text(blocks), seed) in self._scores

    def has_statistics(self, blocks: LongTensor, needs: Sequence[str]) -> bool:
        """Whether all that is needed is held in memory; what lies on disk does not count."""
        return self._knows(cache.hash_of_text(blocks), needs)

    def _knows(self, text: str, needs: Sequence[str]) -> bool:
        return text in self._statistics and self._statistics[text].gathered.issuperset(needs)

    def _learn(self, text: str, found: Statistics) -> None:
        self._statistics[text] = merged(self._statistics[text], found) if text in self._statistics else found

    def _model(self) -> str:
        if self._hash is None:
            self._hash = cache.hash_of(self.model)
        return self._hash
