"""Towards what the dense model predicts for every token, all likely continuations and not just the one that the text took, mixed
with the loss on the text. It says more per token than the text alone, and costs a forward pass of the dense model in each step.
The dense model is a second set of weights; where only LoRA's matrices train and the model was not trained before, it is the same
weights with the gates open. Source: Hinton, Vinyals and Dean 2015 (arXiv 1503.02531)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import LongTensor, Tensor

from engine.record.recipe import Tuning
from engine.recovery.adapters import Adapters
from engine.recovery.loss import Teacher, distilled
from engine.recovery.methods import Course, Pupil

LABEL = "Distillation"


def begin(pupil: Pupil, tuning: Tuning, seed: int) -> Course:
    """Have the dense model beside the pupil, or inside of it; the loss is that of `engine.recovery.loss.distilled`."""
    frozen = tuning.student == "lora"
    teacher = pupil.teacher(frozen)  # before anything is put on: it looks at the weights by their names
    if not frozen:
        return Course(partial(_loss, pupil, teacher, tuning), in_place=True, beside=(teacher.model,))
    adapters = Adapters(pupil.model, pupil.anatomy, tuning.rank, tuning.targets, seed, pupil.rehang)
    if teacher.model is pupil.model:
        teacher = Teacher(pupil.model, partial(_bare, teacher, adapters))
    return Course(partial(_loss, pupil, teacher, tuning), keep=adapters.merge, drop=adapters.remove, beside=(teacher.model,))


def _loss(pupil: Pupil, teacher: Teacher, tuning: Tuning, tokens: LongTensor) -> Tensor:
    return distilled(pupil.model, teacher, tokens, tuning.temperature, tuning.mix)


@contextmanager
def _bare(teacher: Teacher, adapters: Adapters) -> Iterator[None]:
    with teacher.apart(), adapters.off():
        yield
