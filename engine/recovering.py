"""What a Tune comes to, as events: a model made ready by its method, trained, and left with what it has learnt.

`engine.recovery.methods` says what trains and what is lowered, `engine.recovery.loop` trains; this file knows where the models
come from, the pruned one, the control and the teacher. Knows no screen, and writes no checkpoint.
"""

from collections.abc import Generator
from dataclasses import asdict, replace

from torch import LongTensor, nn

from engine.desk import Desk
from engine.evaluation.perplexity import evaluate
from engine.failures import Shortage, is_fatal, telling_shortage
from engine.interrupted import TWICE
from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from engine.pruning.unfold import unfold
from engine.record.bookmark_names import folder_of, release
from engine.record.catalogue import METHODS
from engine.record.commands import Tune, fingerprint
from engine.record.disk import Unwritten
from engine.record.errors import BadInput, PeerLost, blaming
from engine.record.events import (
    Degraded,
    Event,
    RoundRefused,
    StepTrained,
    TrainingResumed,
    TuningStarted,
    Validated,
    WentBack,
)
from engine.record.training import ARMS
from engine.recovery import checkpoints
from engine.recovery.bookmarks import Bookmark, Bookmarks
from engine.recovery.checkpoints import Checkpoint
from engine.recovery.checksums import Damaged
from engine.recovery.loop import train
from engine.recovery.loss import Teacher
from engine.recovery.methods import Course, Pupil
from engine.recovery.ranks import ranks
from engine.recovery.retention import check_room
from engine.recovery.stepper import Diverged
from engine.report import size_of

VALIDATION_TOKENS = 4096  # of the calibration split, which training does not read
Events = Generator[Event, None, None]


class Recovery:
    """The recovery of the model on a desk, and then of its control. `steps` counts those whose weights the model now has.

    `marked` says that bookmarks are to be written. Where there is one of the same command at the same checkpoint, it goes on from
    that: of a process that has ended, or of a training whose checkpoint found no room on the disk. `shortages` is how many
    processes were killed in it because memory ran out. One that is `given_up` comes to the bookmark and no further. Without a
    `curve` it is validated where something hangs on it.
    """

    def __init__(
        self, desk: Desk, command: Tune, marked: bool = False, shortages: int = 0, given_up: bool = False, curve: bool = True
    ):
        self.desk, self.command, self._shortages, self._given_up, self._curve = desk, command, shortages, given_up, curve
        self.steps = 0
        self._marked = marked and ranks().count == 1  # of several processes each would need its own
        self._weights = desk.stand.weights  # as they were before it
        self._teacher: Teacher | None = None  # a copy of the dense model, once somebody needed one

    def recover(self) -> Events:
        """Train the model as it stands, gates closed. Whoever closes this keeps the steps so far, and so does any error but of a
        training that diverged, which keeps those to which it went back, and of an accelerator, of which nothing can be read.
        Where another process that trains as well is lost nothing is kept: the training can be made again, as it was asked for.
        Raises `BadInput` where it is given up."""
        desk, tuning = self.desk, self.command.tuning
        copies = 2 if tuning.control and self.command.part[0] == self.command.part[1] else 1
        check_room(desk.checkpoints.parent, copies * size_of(desk.model)[1])
        plan = desk.overlay.plan
        model = cut(desk.model, plan) if tuning.cut_first else desk.model
        pupil = Pupil(model, desk.loaded.anatomy, self._taught, desk.overlay.rehang)
        if tuning.cut_first:
            pupil = Pupil(model, dissect(model), lambda frozen: self._copy())
        course, went_back = None, False
        try:
            mark = yield from self._newest("tuned")
            self._give_up(mark is None)
            course = self._begin(pupil)
            for event in self._train(model, course, "tuned", self.command.part[0], mark):
                match event:
                    case TrainingResumed() | StepTrained() | Validated() | WentBack():
                        self.steps = event.step - self.command.steps(self.command.part[0])[0]
                went_back = isinstance(event, WentBack)
                yield event
                self._give_up(isinstance(event, TrainingResumed))
        except BaseException as error:
            unharmed = isinstance(error, Exception) and not isinstance(error, Diverged | PeerLost) and not is_fatal(error)
            if self.steps and (isinstance(error, GeneratorExit) or unharmed or went_back):
                self._keep(course, model, plan)
            elif course is not None:
                course.drop()
                if self.steps and course.in_place and not tuning.cut_first:
                    desk.restore(desk.stand.name or None, anew=True)
                self.steps = 0
            raise
        self._keep(course, model, plan)

    def _give_up(self, is_there: bool) -> None:
        """Where it is given up, come to its end once there is nothing more to be had of earlier processes."""
        if self._given_up and is_there:
            kept = f"; what it had learnt in {self.steps:,} steps is kept" if self.steps else ""
            raise BadInput(f"Tune was given up: {TWICE}{kept}.")

    def _keep(self, course: Course, model: nn.Module, plan: Plan) -> None:
        course.keep()
        if model is not self.desk.model:
            unfold(self.desk.model, model, plan)

    def refusal(self) -> tuple[Event, ...]:
        """What there is to say where one of several rounds has ended with a validation perplexity above the guard, and is to be
        undone; nothing where it is to be kept."""
        (part, parts), guard = self.command.part, self.command.tuning.guard
        perplexity = evaluate(self.desk.model, self._held_out()).perplexity if guard and parts > 1 else 0.0
        if perplexity <= guard:
            return ()
        self.steps = 0
        stands = f"the model as it was after round {part - 1}" if part > 1 else "the model as it was before"
        why = f"its recovery ended with a validation perplexity of {perplexity:,.4g}, above the guard of {guard:,.4g}"
        refused = RoundRefused(part, parts, perplexity, guard)
        return refused, Degraded(f"round {part} of {parts} and those after it", stands, why)

    def control(self, before: Checkpoint | None, rounds: int) -> Generator[Event, None, nn.Module | None]:
        """Train the unpruned model just the same, in so many of the rounds as were kept, and keep it beside the model. `before`
        is the stand that was recovered (None: the one before that of the model). The recovery is done by now: a control that
        fails takes nothing from it, but None is what there is then, and an event says why. One for which the disk has no room
        is there to be measured; no later recovery has it."""
        why, control = "an earlier recovery ran without one, so no unpruned model had the same training", None
        try:
            at = self.desk.checkpoints  # damaged: how much training the model had before cannot be known
            before = checkpoints.before_rounds(at, before or checkpoints.read(at, self.desk.stand.parent, self.desk.of))
            if not rounds:
                why = "no round was kept, and so the model was not trained either"
            elif before.trained == before.control:
                with telling_shortage("the control"):
                    control = yield from self._control(rounds)
        except (Diverged, Damaged, Shortage) as error:
            why, control = str(error), None
        if control is None:
            yield Degraded("a control", "none", why)
        elif not self.desk.stand.has_own_control:
            try:
                self.desk.keep_control(control)
            except Unwritten as error:
                yield Degraded("a control for later recoveries as well", "one to measure now", error.why)
        return control

    def _control(self, rounds: int) -> Generator[Event, None, nn.Module]:
        """The same method, loss and teacher, and its own early stop. One that a process had kept before it went down is done:
        trained once more, it would have had twice the training of the model."""
        model, fresh = self.desk.control(), self.desk.stand.control_at is None
        if self.desk.stand.has_own_control:
            return model
        pupil = Pupil(
            model,
            dissect(model),
            # A control that was not trained before is the dense model: frozen, it is its own teacher.
            lambda frozen: Teacher(model) if frozen and fresh else self._copy(),
        )
        mark = yield from self._newest("control")
        for part in range(mark.plain["part"] if mark else 1, rounds + 1):
            if part > 1:
                pupil = replace(pupil, teacher=lambda frozen: self._copy())
            course = self._begin(pupil)
            yield from self._train(model, course, "control", part, mark)
            course.keep()
            mark = None
        return model

    def release(self) -> None:
        """Remove all bookmarks."""
        if self._marked:
            release(self.desk.checkpoints.parent)

    def _begin(self, pupil: Pupil) -> Course:
        tuning = self.command.tuning
        with blaming("tuning"):
            return METHODS.load(tuning.method).begin(pupil, tuning, self.command.seed)

    def _bookmarks(self, arm: str, with_base: bool = False, **part: int) -> Bookmarks:
        of = asdict(self.desk.of) | {"asked": fingerprint(self.command), "stand": self.desk.stand.name, "arm": arm} | part
        reserve = size_of(self.desk.model)[1]  # for the checkpoint after it
        return Bookmarks(folder_of(self.desk.checkpoints), of, with_base=with_base, reserve=reserve)

    def _newest(self, arm: str) -> Generator[Degraded, None, Bookmark | None]:
        """The bookmark from which an arm goes on; None where it begins."""
        if not self._marked:
            return None
        mark, damaged = self._bookmarks(arm).newest()
        for why in damaged:
            yield Degraded(f"the newest bookmark of {ARMS[arm]}", "the one before it" if mark else "its start", why)
        return mark

    def _train(self, model: nn.Module, course: Course, arm: str, part: int, mark: Bookmark | None) -> Events:
        command, desk = self.command, self.desk
        tuning, precision = command.tuning, desk.precision
        blocks = desk.texts.blocks("train", tuning.sequence_length, None, "tuning")
        held_out, steps = self._held_out(), command.steps(part)
        yield TuningStarted(arm, tuning.method, tuning.steps, str(precision).removeprefix("torch."), steps[0])
        how = {"arm": arm, "seed": command.seed, "precision": precision, "part": steps, "mark": mark}
        how |= {"shortages": self._shortages, "curve": self._curve}
        if self._marked:
            # What a control's LoRA has added to the weights in earlier parts no checkpoint has.
            how["marks"] = self._bookmarks(arm, part > 1 and arm == "control" and not course.in_place, part=part)
        yield from train(model, blocks, held_out, tuning, loss=course.loss, beside=course.beside, **how)

    def _held_out(self) -> LongTensor:
        """What training is validated on, [n, length]."""
        return self.desk.texts.blocks("calibration", self.command.tuning.sequence_length, VALIDATION_TOKENS, "tuning")

    def _taught(self, frozen: bool) -> Teacher:
        """The dense model for the model on the desk: the same weights, where they are those that were loaded and stay frozen."""
        if frozen and self._weights is None:
            return Teacher(self.desk.model, self.desk.overlay.seeing_through())
        return self._copy()

    def _copy(self) -> Teacher:
        if self._teacher is None:
            self._teacher = Teacher(self.desk.dense())
        return self._teacher
