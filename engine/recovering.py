"""What a Tune comes to, as events: a model made ready by its method, trained, and left with what it has learnt.

`engine.recovery.methods` says what trains and what is lowered, `engine.recovery.loop` trains; this file knows where the models
come from, the pruned one, the control and the teacher. Knows no screen, and writes no checkpoint.
"""

from collections.abc import Generator
from dataclasses import replace

from torch import nn

from engine.desk import Desk
from engine.failures import Shortage
from engine.models.anatomy import dissect
from engine.pruning.cut import cut
from engine.pruning.plan import Plan
from engine.pruning.unfold import unfold
from engine.record.catalogue import METHODS
from engine.record.commands import Tune
from engine.record.errors import blaming
from engine.record.events import Event, StepTrained, TuningStarted, Validated, WentBack
from engine.recovery.loop import train
from engine.recovery.loss import Teacher
from engine.recovery.methods import Course, Pupil
from engine.recovery.retention import check_room
from engine.report import size_of

VALIDATION_TOKENS = 4096  # of the calibration split, which training does not read
Events = Generator[Event, None, None]


class Recovery:
    """The recovery of the model on a desk, and then of its control. `steps` counts those whose weights the model now has."""

    def __init__(self, desk: Desk, command: Tune):
        self.desk, self.command = desk, command
        self.steps = 0
        self._weights = desk.stand.weights  # as they were before it
        self._teacher: Teacher | None = None  # a copy of the dense model, once somebody needed one

    def recover(self) -> Events:
        """Train the model as it stands, gates closed. Whoever closes this keeps the steps so far, and so does a `Shortage`; a
        training that diverged keeps those to which it went back; after any other error the model is as it was."""
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
            course = self._begin(pupil)
            for event in self._train(model, course, "tuned", self.command.part[0]):
                match event:
                    case StepTrained() | Validated() | WentBack():
                        self.steps = event.step - self.command.steps(self.command.part[0])[0]
                went_back = isinstance(event, WentBack)
                yield event
        except BaseException as error:
            if self.steps and (isinstance(error, (GeneratorExit, Shortage)) or went_back):
                self._keep(course, model, plan)
            elif course is not None:
                course.drop()
                if self.steps and course.in_place and not tuning.cut_first:
                    desk.restore(desk.stand.name or None, anew=True)
                self.steps = 0
            raise
        self._keep(course, model, plan)

    def _keep(self, course: Course, model: nn.Module, plan: Plan) -> None:
        course.keep()
        if model is not self.desk.model:
            unfold(self.desk.model, model, plan)

    def control(self) -> Generator[Event, None, nn.Module]:
        """Train the unpruned model just the same and return it: the same method, loss and teacher, and its own early stop."""
        model, fresh = self.desk.control(), self.desk.stand.control_at is None
        pupil = Pupil(
            model,
            dissect(model),
            # A control that was not trained before is the dense model: frozen, it is its own teacher.
            lambda frozen: Teacher(model) if frozen and fresh else self._copy(),
        )
        for part in range(1, self.command.part[1] + 1):
            course = self._begin(pupil)
            yield from self._train(model, course, "control", part)
            course.keep()
            pupil = replace(pupil, teacher=lambda frozen: self._copy())
        return model

    def _begin(self, pupil: Pupil) -> Course:
        tuning = self.command.tuning
        with blaming("tuning"):
            return METHODS.load(tuning.method).begin(pupil, tuning, self.command.seed)

    def _train(self, model: nn.Module, course: Course, arm: str, part: int) -> Events:
        command, desk = self.command, self.desk
        tuning, precision = command.tuning, desk.precision
        blocks = desk.texts.blocks("train", tuning.sequence_length, None, "tuning")
        held_out = desk.texts.blocks("calibration", tuning.sequence_length, VALIDATION_TOKENS, "tuning")
        steps = command.steps(part)
        yield TuningStarted(arm, tuning.method, tuning.steps, str(precision).removeprefix("torch."), steps[0])
        how = {"arm": arm, "seed": command.seed, "precision": precision, "part": steps}
        yield from train(model, blocks, held_out, tuning, loss=course.loss, beside=course.beside, **how)

    def _taught(self, frozen: bool) -> Teacher:
        """The dense model for the model on the desk: the same weights, where they are those that were loaded and stay frozen."""
        if frozen and self._weights is None:
            return Teacher(self.desk.model, self.desk.overlay.seeing_through())
        return self._copy()

    def _copy(self) -> Teacher:
        if self._teacher is None:
            self._teacher = Teacher(self.desk.dense())
        return self._teacher
