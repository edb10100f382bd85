"""Every weight that is left trains, on the text alone. The most that training can do, and the dearest: gradients and two moments
for each weight. Whatever the dense model knew and the text does not say may be forgotten."""

from functools import partial

from engine.record.recipe import Tuning
from engine.recovery.loss import loss_of
from engine.recovery.methods import Course, Pupil

LABEL = "Full"


def begin(pupil: Pupil, tuning: Tuning, seed: int) -> Course:
    """Nothing is put on: the model's own weights train."""
    return Course(partial(loss_of, pupil.model), in_place=True)
