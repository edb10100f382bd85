"""The model and its text as they stand between two commands: what is laid over the model, and the checkpoints behind it.

Knows no command: `engine.workbench` decides what is done to it, and when. Every change ends in a checkpoint, so that an undo, or
another process, can bring back any stand.
"""

import math
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import LongTensor, nn

from engine.evaluation.perplexity import Evaluation, batches, total
from engine.models.fingerprint import fingerprint_of
from engine.models.load import Loaded, load_again
from engine.pruning.compensate import NEEDS, RIDGE
from engine.pruning.compensation_warnings import doubts
from engine.pruning.evidence import Evidence
from engine.pruning.overlay import Overlay
from engine.pruning.plan import Plan, Scores
from engine.pruning.rounds import Round, planning
from engine.pruning.statistics import Statistics
from engine.pruning.suggest import Proposal, suggesting_share
from engine.pruning.zeroing import silence
from engine.record import folder as files
from engine.record.commands import Preview, Prune, Suggest
from engine.record.disk import Unwritten
from engine.record.errors import BadInput, blaming, shorten
from engine.record.events import CheckpointSaved, Event, GatesChanged, PlanMade, Undone
from engine.record.faults import only
from engine.record.lifecycle import Degraded, Progressed
from engine.record.recipe import Calibration, Measuring
from engine.recovery import checkpoints, retention
from engine.recovery.checkpoints import LOADED, Checkpoint, Origin
from engine.recovery.checksums import Damaged
from engine.recovery.stepper import TOO_MUCH
from engine.report import compensated, counts, residuals, size_of
from engine.text.texts import Texts


class Desk:
    """One loaded model with one text; `close()` takes gates and hooks off the model."""

    def __init__(self, loaded: Loaded, texts: Texts, device: str, precision: torch.dtype, folder: Path | None):
        self._scratch = tempfile.TemporaryDirectory(prefix="espalier-") if folder is None else None
        self.checkpoints = Path(self._scratch.name if self._scratch else folder) / "checkpoints"
        self.loaded = loaded
        self.model: nn.Module = loaded.model
        self.texts = texts
        self.device = device
        self.precision = precision
        self.overlay = Overlay(loaded.model, loaded.anatomy)
        kept = self.checkpoints.parent / "artifacts" / "statistics"  # without a folder too: in memory are those of one text only
        self._evidence = partial(Evidence, loaded.model, loaded.anatomy, kept)  # of the weights as they are by then
        self.evidence = self._evidence()
        first = None if folder is None else files.beginning(folder)
        self.carries_out = first.fact.recipe if first else None  # what the run began with, whatever recipe.json says by now
        self.of = Origin(first.at if first else None, fingerprint_of(loaded.model))  # which every checkpoint carries
        self.stand = LOADED
        self.parents: dict[str, str | None] = {}  # checkpoint → the one before it, also where that cannot be read any more
        self._faults, self._short, self._measurements = only("checkpoint"), only("measuring"), 0
        self._fell: list[Degraded] = []  # what `restore` could not bring back, until somebody tells it

    def close(self) -> None:
        """Give the model back bare of gates and hooks."""
        self.overlay.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def dense(self) -> nn.Module:
        """Another copy of the model as it was loaded; read again rather than kept, since it is seldom needed. Raises `Away`."""
        return load_again(self.loaded, self.device, self.of.model)

    def calibration_blocks(self, calibration: Calibration) -> torch.LongTensor:
        """What a calibration reads, [n, length]: no more tokens than it asks for, and fewer where the split has no more."""
        return self.texts.blocks("calibration", calibration.sequence_length, calibration.tokens, "calibration")  # [n, length]

    def scores(self, criterion: str, calibration: Calibration, seed: int) -> Generator[Progressed, None, Scores]:
        """The scores of the model without what lies over it, on the calibration split."""
        blocks = self.calibration_blocks(calibration)
        with self.overlay.lifted(), blaming("criterion"):
            return (yield from self.evidence.scores(criterion, blocks, seed))

    def scores_of(
        self, criteria: tuple[str, ...], calibration: Calibration, seed: int
    ) -> Generator[Progressed, None, tuple[Scores, ...]]:
        """The same for several criteria, with one pass for all of them; raises `BadInput` for fewer than two different ones."""
        if len(criteria) < 2 or len(set(criteria)) < len(criteria):
            raise BadInput(f"criteria {shorten(list(criteria))} cannot be compared; name at least two, each once.")
        blocks = self.calibration_blocks(calibration)
        with self.overlay.lifted(), blaming("criteria"):
            return (yield from self.evidence.scores_of(criteria, blocks, seed))

    def known(self, method: str, calibration: Calibration) -> Generator[Progressed, None, Statistics | LongTensor | None]:
        """What a compensation goes by: None for "none", the text itself for "sequential", and for the others what was measured
        on the model without what lies over it."""
        if method == "none":
            return None
        blocks = self.calibration_blocks(calibration)
        if method == "sequential":
            return blocks
        with self.overlay.lifted():
            return (yield from self.evidence.statistics(blocks, NEEDS[method]))

    def rounds(self, wish: Prune | Preview) -> Generator[Progressed | Round, None, None]:
        """The rounds in which a plan is reached, on the model without what lies over it, which is back at the end."""
        blocks = self.calibration_blocks(wish.calibration)
        only, gone = (wish.only, Plan() if wish.revive else self.overlay.plan) if isinstance(wish, Prune) else (0, Plan())
        gone = gone if only > 1 else Plan()
        # The planning is closed before what lay over the model comes back: it may have a plan of its own there.
        with self.overlay.lifted(), closing(planning(self.evidence, self.overlay, blocks, wish, only, gone)) as steps:
            yield from steps

    def silence(self) -> None:
        """Have the closed units write nothing also with their gates open, so that the bare model predicts what this one does.

        Between rounds the bare model is what scores and compensation go by, and after a recovery it is not the one that the
        others were trained beside. A unit that a later round opens begins by writing nothing. `restore` takes it back.
        """
        self.overlay.settle()
        silence(self.model, self.loaded.anatomy, self.overlay.plan)
        self.evidence = self._evidence(changed=True)

    def suggest(self, wish: Suggest) -> Generator[Progressed, None, Proposal]:
        """What should do the least damage for a share of the parameters of the model without what lies over it."""
        blocks = self.calibration_blocks(wish.calibration)
        with self.overlay.lifted(), blaming("share"):
            return (yield from suggesting_share(self.evidence, self.overlay, blocks, wish))

    def evaluate(self, model: nn.Module, measuring: Measuring) -> Generator[Progressed, None, Evaluation]:
        """The perplexity of any model on the evaluation split. Raises `BadInput` for a model that has no finite one."""
        blocks = self.texts.blocks("evaluation", measuring.sequence_length, measuring.tokens, "evaluation")
        self._measurements += 1
        if self._short.strikes("measuring", self._measurements - 1):
            torch.empty(TOO_MUCH, dtype=torch.uint8, device=self.device)
        parts = []
        for part in batches(model, blocks):
            parts.append(part)
            yield Progressed("evaluation", sum(tokens for _, tokens in parts), blocks.numel() - len(blocks), "tokens")
        found = total(parts)
        if not math.isfinite(found.perplexity):
            advice = "prune it less" if self.stand.name else "its weights are damaged, or float32 is too coarse for them"
            raise BadInput(f"The model's perplexity is not finite ({found.nll / found.tokens:g} nats per token); {advice}.")
        return found

    def lay(
        self,
        plan: Plan,
        method: str,
        calibration: Calibration,
        known: Statistics | LongTensor | None,
        reason: str,
        *,
        ridge: float = RIDGE,
        add_biases: bool = True,
        made: PlanMade | None = None,
        silenced: bool = False,
    ) -> Iterator[Event]:
        """Lay a plan over the model, in place of what lies there, and checkpoint it.

        The event `made`, where the plan comes from scores, is told first, with what compensation is foretold to leave of the
        error and with the model's size. Whoever gives up before the last event, which tells the checkpoint, gets the model as it
        was. `silenced` says that the weights below are others than those of the checkpoint before.
        """
        before = self.stand
        with blaming("compensation"):
            records = yield from self.overlay.laying(plan, method, known, ridge, add_biases)
        changed = {"parent": before.name or None, "reason": reason, "plan": plan, "method": method, "calibration": calibration}
        changed |= {"ridge": ridge, "add_biases": add_biases}
        weights = self._bare() if silenced else None
        try:
            what = self.counts(plan)
            if made is not None:  # before anything is kept
                yield replace(made, **what, residuals=residuals(records))
            self._keep(replace(before, **changed), self.overlay.take()[2], weights)
            yield GatesChanged(**what, reason=reason)
            if method != "none":
                yield compensated(method, records)
            yield from doubts(records)
        except GeneratorExit:
            self.restore(before.name or None)
            raise
        yield CheckpointSaved(self.stand.name, self.stand.parent, reason)

    def keep_trained(self, steps: int, reason: str) -> Iterator[Event]:
        """Make the weights as training left them the model's own, and checkpoint them."""
        self.overlay.settle()
        self.evidence = self._evidence(changed=True)
        stand = replace(
            self.stand, parent=self.stand.name or None, reason=reason, method="none", trained=self.stand.trained + steps
        )
        self._keep(stand, {}, checkpoints.parameters_of(self.model))
        yield CheckpointSaved(self.stand.name, self.stand.parent, reason)

    def control(self) -> nn.Module:
        """The unpruned model, trained as much as this one was before its last recovery."""
        model = self.dense()
        if self.stand.control_at is not None:
            checkpoints.put_parameters(model, self._tensors(self.stand.control_at, "control"))
        return model

    @contextmanager
    def unpruned(self) -> Iterator[nn.Module]:
        """Inside, the model as it was loaded: this one, bare, as long as its weights are those, and else another copy."""
        if self.stand.weights is not None:
            yield self.dense()
            return
        with self.overlay.lifted():
            yield self.model

    def protocol(self, measuring: Measuring) -> tuple[str, int, int]:
        """How `evaluate` measures: the text, the tokens that are predicted, and the length of a sequence."""
        blocks = self.texts.blocks("evaluation", measuring.sequence_length, measuring.tokens, "evaluation")
        return self.texts.splits.name, blocks.numel() - len(blocks), measuring.sequence_length

    def keep_control(self, control: nn.Module) -> None:
        """Remember the control with this stand, so that a further recovery has one that went through the same."""
        self.stand = checkpoints.add_control(self.checkpoints, self.stand, control)

    def restore(self, name: str | None, anew: bool = False) -> None:
        """Bring back the model as it stood at a checkpoint; None is the model as it was loaded.

        `anew` reads weights also where they should be those that are there: training has left others. A checkpoint that is
        damaged gives way to the one before it, and so on, and `fallen_back` then has something to tell.
        """
        asked, why = name, ""
        while True:
            try:
                stand, weights, fitted = self._kept_at(name, anew)
                break
            except Damaged as error:
                name, why = self.parents.get(name), why or error.why
        if why:
            stands = f"checkpoint {stand.name}" if stand.name else "the model as it was loaded"
            self._fell.append(Degraded(f"checkpoint {asked}", stands, why))
        self.overlay.off()
        if weights:
            checkpoints.put_parameters(self.model, weights)
            self.evidence = self._evidence(changed=stand.weights is not None)
        self.overlay.put(stand.plan, stand.method, fitted)
        self.stand = stand

    def back(self, name: str | None, reason: str, anew: bool = False) -> Iterator[Event]:
        """`restore`, with the events that say so."""
        self.restore(name, anew)
        yield from self._told(reason)

    def fallen_back(self) -> Iterator[Event]:
        """What there is to say where `restore` found a checkpoint damaged, and has not said it yet; nothing where it did not."""
        if self._fell:
            yield from self._told("restored")

    def counts(self, plan: Plan) -> dict[str, Any]:
        """The fields that every event about a plan has, for the model as it stands, the biases that it was given counted in."""
        added = size_of(self.model)[0] - self.loaded.anatomy.parameters
        return counts(plan, self.loaded.anatomy, added)

    def _told(self, reason: str) -> Iterator[Event]:
        fell, self._fell = self._fell, []
        yield from fell
        yield Undone(self.stand.name or None)
        yield GatesChanged(**self.counts(self.stand.plan), reason=reason)

    def _keep(self, stand: Checkpoint, fitted: dict[str, torch.Tensor], weights: dict[str, torch.Tensor] | None) -> None:
        """Checkpoint the model, whose `weights` may be others by now. Where that cannot be written it is as it was before."""
        try:
            self.stand = checkpoints.write(self.checkpoints, replace(stand, of=self.of), fitted, weights, self._faults)
        except Unwritten:
            self.restore(self.stand.name or None, anew=weights is not None)
            raise
        self.parents[self.stand.name] = self.stand.parent
        retention.tidy(self.checkpoints, self.stand, self.parents)

    def _kept_at(self, name: str | None, anew: bool) -> tuple[Checkpoint, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """A stand, the parameters to put (none where they are there already), and what compensation made; else `Damaged`."""
        stand = checkpoints.read(self.checkpoints, name, self.of)
        self.parents.setdefault(stand.name, stand.parent)
        if stand.weights == self.stand.weights and not anew:
            weights = {}
        elif stand.weights is None:
            weights = checkpoints.parameters_of(self.dense())
        else:
            weights = self._tensors(stand.weights, "weights")
        return stand, weights, self._tensors(name, "fitted") if name else {}

    def _tensors(self, name: str, part: str) -> dict[str, torch.Tensor]:
        return checkpoints.tensors_of(self.checkpoints, name, part, self.model, self.of)

    def _bare(self) -> dict[str, torch.Tensor]:
        """All parameters without what lies over the model."""
        covered = {name: before for name, before in self.overlay.covered.items() if before is not None}
        given = self.overlay.covered.keys() - covered  # biases that compensation brought
        return {name: one for name, one in (checkpoints.parameters_of(self.model) | covered).items() if name not in given}
