"""What is known of a model's units from calibration text: statistics and scores, each gathered once; decides nothing.

Belongs to one set of weights: whoever trains or restores the model makes a new one.
"""

import math
from collections.abc import Generator

from torch import LongTensor, nn

from engine.models.anatomy import Anatomy
from engine.pruning.calibration import Statistics, calibrating
from engine.pruning.plan import Scores
from engine.record.catalogue import CRITERIA
from engine.record.errors import BadInput
from engine.record.lifecycle import Progressed


class Evidence:
    """The statistics and scores of one model, bare of gates and compensation, on blocks of calibration text."""

    def __init__(self, model: nn.Module, anatomy: Anatomy):
        self.model = model
        self.anatomy = anatomy
        self._statistics: dict[bytes, Statistics] = {}
        self._scores: dict[tuple, Scores] = {}

    def statistics(self, blocks: LongTensor, needs: tuple[str, ...]) -> Generator[Progressed, None, Statistics | None]:
        """Gather what is needed, together with what was gathered before, in one pass; None where nothing is needed."""
        if not needs:
            return None
        text = _text(blocks)
        known = self._statistics.get(text)
        if known is not None and known.gathered.issuperset(needs):
            return known
        wanted = frozenset(needs).union(known.gathered if known else ())
        steps = calibrating(self.model, blocks, wanted)
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                self._statistics[text] = end.value
                return end.value
            yield Progressed("calibration", done * blocks.shape[1], blocks.numel(), "tokens")

    def scores(self, criterion: str, blocks: LongTensor, seed: int) -> Generator[Progressed, None, Scores]:
        """Score every unit by a criterion, once for each text and seed.

        Raises `UnknownName` for an unknown one, and `BadInput` where a score is not finite, since such scores rank nothing.
        """
        key = (criterion, _text(blocks), seed)
        if key in self._scores:
            return self._scores[key]
        entry = CRITERIA.load(criterion)
        found = yield from self.statistics(blocks, entry.NEEDS)
        scores = entry.score(self.model, self.anatomy, found, seed)
        if not all(math.isfinite(score) for of_layer in (*scores.heads, *scores.neurons) for score in of_layer):
            raise BadInput(f"criterion {criterion!r} finds scores that are no finite numbers; the model's weights are broken.")
        self._scores[key] = scores
        return scores


def _text(blocks: LongTensor) -> bytes:
    """What tells texts apart: two limits may give as many blocks, and others."""
    return repr(tuple(blocks.shape)).encode() + blocks.numpy().tobytes()
