"""What a training does where memory runs out: the same steps with less of it, one thing after another; knows no optimizer.

    fewer sequences at once, half as many each time   the batch stays, and up to rounding and to dropout the step
    activations computed again on the way back        the same numbers, about a third more time
    the CPU, for the rest of this training            its memory is another one

Only then is the training given up. What was done is told, once for each thing. Where the system says nothing and kills the
process, the next one does without one thing more before it does anything else.
"""

import gc
from collections.abc import Callable, Generator
from typing import TypeVar

import torch

from engine.failures import Shortage
from engine.record.lifecycle import Degraded
from engine.record.memory import give_back
from engine.record.training import ARMS
from engine.recovery.stepper import HalfMade, Stepper

T = TypeVar("T")
CPU = torch.device("cpu")
KILLED = "memory ran out (the worker was killed, which is what the system does then)"


def trying(do: Callable[[], T], stepper: Stepper, arm: str, step: int) -> Generator[Degraded, None, T]:
    """Do what takes memory in a step of that number (from 0), with less and less of it; returns what came of it.

    Raises `Shortage`, one sentence on what was tried, where nothing is left to do without, and where a step is half made.
    """
    for _ in range(stepper.owed):
        stepper.owed -= 1
        yield _spared(stepper, arm, step + 1, KILLED)
    while True:
        try:
            return do()
        except HalfMade:
            raise
        except Shortage as error:
            why = error.why
        gc.collect()  # not before: the error held all that was computed
        give_back()  # what the C library keeps for itself is of no use to whoever asks the system
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        yield _spared(stepper, arm, step + 1, why)


def _spared(stepper: Stepper, arm: str, step: int, why: str) -> Degraded:
    """Change one thing, and say what, in a step of that number (from 1)."""
    stepper.spared, where = True, f"step {step} of {ARMS[arm]}"
    at_once = min(stepper.piece, -(-stepper.tuning.batch_size // stepper.ranks.count))
    if at_once > 1:
        stepper.piece = -(-at_once // 2)
        asked = f"{at_once} sequences at once in {where}"
        return Degraded(asked, f"{stepper.piece} at once from there on, their gradients added up", why, arm, step)
    if stepper.can_recompute:
        stepper.recompute()
        return Degraded(f"keeping the activations of {where}", "computed again on the way back from there on", why, arm, step)
    if stepper.device != CPU and stepper.ranks.count == 1:
        before = stepper.device
        stepper.move(CPU)
        return Degraded(f"{where} on {before}", "the CPU for the rest of this training", why, arm, step)
    tried = "one sequence at a time" + (" and with activations computed again" if stepper.recomputes else "")
    raise Shortage(why, f"{where}, also with {tried}; lower the sequence length or recover by LoRA")
