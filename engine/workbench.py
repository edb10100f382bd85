"""Command in, events out: the one file that knows every stage of an experiment; knows nothing of screens and processes.

    Load → Score → Suggest, Preview, Prune, SetGate → Evaluate, Sample → Tune, and its control → Cut → Save      Undo, Reset: back

`handle(command)` is a generator. The caller drives it: pausing is not asking for the next event, stopping is closing it. A
command that raises `BadInput`, or that is stopped, leaves the model as it was; only a Tune that ended before its end, once it had
learnt something, keeps that, and `after_end` says so.
"""

from collections.abc import Generator
from pathlib import Path

import torch
from torch import nn

from engine.cutting import cutting
from engine.desk import Desk
from engine.failures import telling_shortage
from engine.fit import estimate, foretell, to_load
from engine.measured import Measured
from engine.models.load import check_same, degraded, finding, finding_again, read
from engine.planning import planned, planning, suggested
from engine.pruning.checkpoint import save
from engine.pruning.cut import cut
from engine.pruning.plan import Plan, Scores
from engine.record import commands as ask
from engine.record import events as tell
from engine.record.bookmark_names import release
from engine.record.errors import Away, BadInput, blaming, naming
from engine.record.memory import resident
from engine.record.recipe import Calibration, Recipe
from engine.record.schedules import reached
from engine.record.state import RunState
from engine.record.steps import ended
from engine.recovering import Recovery
from engine.recovery import checkpoints
from engine.recovery.loop import arithmetic
from engine.report import about, compared, loaded_as, pick_device, residuals, texts_as, write_scores
from engine.text.corpora import read_corpus
from engine.text.texts import Texts

Events = Generator[tell.Event, None, None]


class Workbench:
    """One model with one text, and all that is done to them. `folder` is where checkpoints and the export go (None: away);
    `sheltered` has every model on the CPU, whatever is asked. Without `curves` a training is told by numbers alone."""

    def __init__(self, folder: Path | None = None, recipe: Recipe | None = None, sheltered: bool = False, curves: bool = True):
        self.folder, self.sheltered, self._curves = folder, sheltered, curves
        self.recipe = recipe or Recipe()
        self._base = resident()  # what is held without any model
        self.desk: Desk | None = None
        self.measured: Measured | None = None  # of what is on the desk
        self._smaller: tuple[nn.Module | None, tell.ModelCut] | None = None
        self._forget()

    def handle(self, command: ask.Command) -> Events:
        """Carry out one command. Raises `BadInput` where that is impossible; see above for what has changed then."""
        if self.desk is None and not isinstance(command, ask.Load):
            raise BadInput(f"{type(command).__name__} needs a model; load one first.")
        if self.desk is not None:
            yield from self._fallen_back()
        if ask.passed_over(command, self._refused):
            return
        if (foretold := foretell(command, self.desk, self._base)) is not None:
            yield foretold
        match command:
            case ask.Load():
                yield from self._load(command)
            case ask.Score():
                scores = yield from self.desk.scores(command.criterion, command.calibration, command.seed)
                yield from self._tell(command.criterion, scores, command.calibration, command.seed)
            case ask.Agree():
                scores = yield from self.desk.scores_of(command.criteria, command.calibration, command.seed)
                yield compared(command.criteria, scores, self.desk.calibration_blocks(command.calibration).numel())
            case ask.Suggest():
                proposal = yield from self.desk.suggest(command)
                yield suggested(proposal, command, self.desk.loaded.anatomy)
            case ask.Preview():
                yield from self._preview(command)
            case ask.Prune():
                yield from self._prune(command)
            case ask.SetGate():
                yield from self._set_gate(command)
            case ask.Evaluate():
                yield from self.measured.evaluate(self.desk.model, command.stage, command.evaluation)
            case ask.Sample():
                yield self.measured.sample(self.desk.model, command.stage, command.prompt, command.seed, command.tokens)
            case ask.Tune():
                yield from self._tune(command)
            case ask.Cut():
                yield from self._cut(command)
            case ask.Save():
                yield from self._save()
            case ask.Undo() if not self.desk.stand.name:
                raise BadInput("There is nothing to undo: the model stands as it was loaded.")
            case ask.Undo():
                yield from self._back(self.desk.stand.parent, "undo")
            case ask.Reset():
                yield from self._back(None, "reset")
            case _:
                raise BadInput(f"{type(command).__name__} is for whoever drives the workbench, not for the workbench itself.")

    def after_end(self, command: ask.Command, how: str) -> Events:
        """What is left to say once `handle` came to an end before its own, `how` a key of `CUT_SHORT` (`engine.interrupted`):
        what a Tune keeps of its steps is saved and, where that can be, measured. Raises `Unwritten` where it cannot be saved."""
        self._shortages, self._trained = 0, None
        if not isinstance(command, ask.Tune) or self._recovery is None:
            return
        if not self._recovery.steps:
            self._recovery.release()
            return
        yield from self._keep_trained(f"tune, {how}")
        try:
            with telling_shortage("measuring what was kept"):
                yield from self.measured.trained(self.desk.model, "tuned", command)
        except BadInput as error:
            yield tell.Degraded("the perplexity of what was kept", "none", str(error)[:-1])

    def catch_up(self, command: ask.Load, state: RunState, left: str = "", shortages: int = 0) -> tuple[tell.Event, ...]:
        """Stand where an earlier process stood: the same model and text, at a checkpoint, with what was measured of it. There
        is nothing to say, unless the checkpoint is damaged: then which of those before it stands instead. `left`: how far the
        recovery that comes next has come (`Interrupted.recovery` of `engine.interrupted`). `shortages`: how many processes were
        killed in its training because memory ran out. Raises `Away` where model or text cannot be read, and changes nothing."""
        try:
            ended(self._load(command, state.model))
        except BadInput as error:
            raise Away(f"the {error.field or 'model'}", error) from error
        standing = state.before or state.standing
        self.desk.parents |= state.parents
        self.desk.restore(state.checkpoint)
        self.measured.recall(standing)
        told = tuple(self._fallen_back())
        self._trained_before, self._refused = left == "trained" and not told, 0 if told else state.refused_round
        self._shortages, self._given_up = shortages, left == "given up" and not told
        if told or not left:
            release(self.desk.checkpoints.parent)
        self._smaller = (None, standing.cut) if standing.cut is not None and not told else None  # to be cut again to be saved
        return told

    def close(self) -> None:
        """Take gates and hooks off the model and let everything go; harmless a second time."""
        if self.desk is not None:
            self.desk.close()
        self.desk = self._smaller = None

    def _fallen_back(self) -> Events:
        for event in self.desk.fallen_back():
            self._measure_anew("baseline")
            yield event

    def _forget(self) -> None:
        self._told: tuple | None = None  # the scores that were told last
        self._recovery: Recovery | None = None  # the last one, or the one that is under way
        self._refused = 0  # the round that its guard did not let pass, until the gates are changed again
        self._trained_before = False  # whether an earlier process has trained in the recovery that comes next
        self._trained: ask.Tune | None = None  # the one under way, once its model is trained and kept: it may be handled again
        self._shortages, self._given_up = 0, False  # deaths in it for want of memory; whether only what is kept of it is wanted

    def _load(self, command: ask.Load, told: tell.ModelLoaded | None = None) -> Events:
        """Load what is asked for; or again what an event has told of, and nothing else in its place."""
        yield tell.Progressed("reading the model", 0, 2, "parts")
        with blaming("device"):
            device = pick_device(command.device)
        if self.sheltered and device != "cpu":
            yield tell.Degraded(device, "the CPU", "an accelerator failed in this run a short while ago")
            device = "cpu"
        with naming("model"):
            folder = yield from (finding(command.model) if told is None else finding_again(told))
            if device == "cpu":
                yield estimate("Load", to_load(folder, command.corpus))
            loaded = read(command.model, folder, device=device)
            if told is not None:
                check_same(loaded, told)
        yield from degraded(loaded)
        yield tell.Progressed("reading the text", 1, 2, "parts")
        with blaming("corpus"):
            texts = Texts(read_corpus(command.corpus), loaded.tokenizer, loaded.anatomy.context, loaded.anatomy.vocabulary)
        text, precision = texts_as(texts), arithmetic(command.precision, torch.device(device))  # either may be refused
        yield loaded_as(loaded, device, precision)
        # Not before: whoever stops between the two events has loaded nothing, and the record of the run takes it back as well.
        self.close()
        self._forget()
        self.desk = Desk(loaded, texts, device, precision, self.folder)
        if told is None:
            release(self.desk.checkpoints.parent)  # the bookmarks of another model's recovery
        self.measured = Measured(self.desk, self._curves)
        yield text

    def _tell(self, criterion: str, scores: Scores, calibration: Calibration, seed: int) -> Events:
        told = (criterion, seed, calibration, self.desk.stand.weights)
        if told != self._told:
            artifact = write_scores(self.folder, criterion, scores)
            yield tell.UnitsScored(criterion, scores.heads, self.desk.calibration_blocks(calibration).numel(), artifact)
            self._told = told

    def _preview(self, command: ask.Preview) -> Events:
        desk = self.desk
        last, known = yield from planning(self.desk, self.folder, command, self._tell)
        with desk.overlay.lifted():
            with blaming("compensation"):
                how = (command.compensation, known, command.ridge, command.add_biases)
                records = yield from desk.overlay.laying(last.plan, *how)
            # Cut, which takes less time than it saves: somebody at a slider waits for this number.
            found = yield from desk.evaluate(cut(desk.model, last.plan), command.evaluation)
            what = desk.counts(last.plan) | {"residuals": residuals(records), "asked": ask.fingerprint(command)}
        length = command.evaluation.sequence_length
        yield tell.Previewed(**what, perplexity=found.perplexity, tokens=found.tokens, sequence_length=length)

    def _prune(self, command: ask.Prune) -> Events:
        desk, only = self.desk, command.only
        if only:
            level = reached(command.ramp, only, command.rounds)
            yield tell.RoundBegan(only, command.rounds, level, desk.stand.trained - desk.stand.control)
        try:
            last, known = yield from planning(desk, self.folder, command, self._tell)
            made = planned(last, command, desk.counts(last.plan))
            how = {"ridge": command.ridge, "add_biases": command.add_biases, "made": made, "silenced": only > 1}
            reason = f"prune, round {only} of {command.rounds}" if only else "prune"
            yield from desk.lay(last.plan, command.compensation, command.calibration, known, reason, **how)
        except BaseException:  # GeneratorExit too
            if only > 1:
                desk.restore(desk.stand.name or None, anew=True)
            raise
        self._measure_anew("baseline")
        self.measured.promised = None if only > 1 else last.promised

    def _set_gate(self, command: ask.SetGate) -> Events:
        overlay = self.desk.overlay
        units = self.desk.loaded.anatomy.with_key_of(command.layer, command.head)
        plan = Plan(overlay.plan.heads - units if command.open else overlay.plan.heads | units, overlay.plan.neurons)
        stand = self.desk.stand
        known = yield from self.desk.known(overlay.method, stand.calibration)
        how = {"ridge": stand.ridge, "add_biases": stand.add_biases}
        yield from self.desk.lay(plan, overlay.method, stand.calibration, known, "by hand", **how)
        self._measure_anew("baseline")

    def _measure_anew(self, *stages: str) -> None:
        """The model has changed: what was measured at other stages than these is another model's."""
        self.measured.keep(*stages)
        self._smaller, self._refused = None, 0

    def _tune(self, command: ask.Tune) -> Events:
        desk, (part, parts), marked = self.desk, command.part, self.folder is not None
        is_trained, passed = self._trained_before or self._trained is command, 0 < self._refused < part
        before = None if is_trained else desk.stand
        self._recovery = Recovery(desk, command, marked, self._shortages, self._given_up, self._curves)
        self._trained_before = self._given_up = False
        if before is not None and not passed:
            yield from self.measured.renew(command.evaluation)  # now: once it is trained the pruned model is gone
            yield from self._recovery.recover()
            if told := self._recovery.refusal():
                yield from told
                self._measure_anew("baseline")
                self._refused = part
                yield from desk.back(desk.stand.parent, "guard", anew=True)
            else:
                yield from self._keep_trained("tune" if parts == 1 else f"tune, round {part} of {parts}")
                self._trained = command
        rounds = self._refused - 1 if self._refused else parts
        if rounds and not passed:
            yield from self.measured.trained(desk.model, "tuned", command)
        if part == parts and command.tuning.control:
            control = yield from self._recovery.control(before, rounds)
            if control is not None:
                yield from self.measured.trained(control, "control", command)
        self._trained = None
        self._recovery.release()
        self._shortages = self._shortages if part < parts else 0  # the next of several rounds takes as much

    def _keep_trained(self, reason: str) -> Events:
        steps, self._recovery.steps = self._recovery.steps, 0
        for event in self.desk.keep_trained(steps, reason):
            self._measure_anew("baseline", "pruned")
            yield event
        self._recovery.release()

    def _cut(self, command: ask.Cut) -> Events:
        self._smaller = yield from cutting(self.desk, command.evaluation)
        yield self._smaller[1]
        yield from self.measured.evaluate(self._smaller[0], "cut", command.evaluation)

    def _save(self) -> Events:
        if self._smaller is None:
            raise BadInput("There is no smaller model to save; cut one first.")
        if self.folder is None:
            raise BadInput("This run has no folder to save the smaller model in; give it one.")
        desk, (smaller, costs) = self.desk, self._smaller
        history = checkpoints.line_of(desk.checkpoints, desk.stand)
        told = about(desk.loaded, desk.carries_out or self.recipe.model_dump(mode="json"), history, self.measured.found, costs)
        save(smaller or cut(desk.model, desk.overlay.plan), self.folder / "model", tokenizer=desk.loaded.tokenizer, about=told)
        yield tell.ModelSaved("model", sum(path.stat().st_size for path in (self.folder / "model").iterdir()))

    def _back(self, name: str | None, reason: str) -> Events:
        self._measure_anew("baseline")
        yield from self.desk.back(name, reason)
