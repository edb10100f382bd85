"""Ways to recover, one a file: each says what trains and what is lowered; none knows steps, optimizers, text or files.

The contract. The file's name is the method's name in a recipe, its docstring the help text that people read, and

    LABEL   what a menu calls it

a literal, read without importing the file. One function:

    begin(pupil, tuning, seed) -> Course

makes a model ready: afterwards exactly the parameters that `requires_grad` train, and `Course.loss` is lowered. Until it ends the
model is evaluated as it is then. It ends in one of two ways, after which the model has the modules, the parameters and the flags
with which it came: `keep` makes what was learnt the model's own weights, with the same logits up to rounding, and `drop` gives
it up. Whatever a method puts on, a closed gate stays closed, and `begin` changes no logit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import LongTensor, Tensor, nn

from engine.models.anatomy import Anatomy
from engine.record.catalogue import METHODS
from engine.recovery.loss import Teacher

__all__ = ["METHODS", "Course", "Pupil"]  # the registry of this folder; it lives in the record, where the page can read it too


def nothing() -> None:
    """What there is to do where nothing was put on."""


@dataclass(frozen=True)
class Pupil:
    """A model that is to be trained, and its `Anatomy`.

    `teacher(frozen)` gives the dense model: a copy, or, where the weights of the pupil are those of the dense model and stay
    `frozen`, the pupil itself without what lies over it. `rehang` hangs the gates on the model's modules as they are now, and is
    to be called whenever some were replaced.
    """

    model: nn.Module
    anatomy: Anatomy
    teacher: Callable[[bool], Teacher]
    rehang: Callable[[], None] = nothing


@dataclass(frozen=True)
class Course:
    """A recovery that has begun. `loss` takes `[batch, length]` tokens and gives a scalar with its gradient.

    `in_place` says that the model's own weights train: `drop` cannot bring those back, whoever drops it does. `beside` are other
    models that `loss` asks, which have to be where the pupil is.
    """

    loss: Callable[[LongTensor], Tensor]
    keep: Callable[[], None] = nothing
    drop: Callable[[], None] = nothing
    in_place: bool = False
    beside: tuple[nn.Module, ...] = ()
