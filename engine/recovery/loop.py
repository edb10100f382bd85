"""The training loop, plain: steps, the validation loss now and then, stopping early; knows nothing of gates, stages or files.

It is a generator. Whoever drives it pauses by not asking for the next step and stops by closing it; between two steps the
model is in the mode in which it came.
"""

import math
from collections.abc import Callable, Generator, Sequence
from functools import partial

import torch
from torch import LongTensor, Tensor, nn

from engine.evaluation.perplexity import AT_ONCE, Evaluation, evaluate
from engine.failures import in_a_line, is_fatal, telling_shortage
from engine.record.events import Degraded, StepTrained, TrainingResumed, Validated, WentBack
from engine.record.recipe import Tuning
from engine.record.training import ARMS
from engine.recovery.bookmarks import Bookmark, Bookmarks
from engine.recovery.loss import loss_of
from engine.recovery.memory_savings import trying
from engine.recovery.ranks import DONE, GO, STOPPED
from engine.recovery.schedule import batch
from engine.recovery.stepper import Diverged, Stepper
from engine.recovery.training_state import Place, keep, take_up
from engine.recovery.watch import Watch

HALVINGS = 4  # of the learning rate of one training, after a loss or a gradient that is no number; then it is given up
PER_WEIGHT = 4  # tensors in a bookmark: itself, two moments, and at most one copy
Events = Generator[StepTrained | Validated | WentBack | Degraded | TrainingResumed, None, None]
VALIDATIONS = 10  # points on the validation curve, besides the one before the first step


def train(
    model: nn.Module,
    blocks: LongTensor,
    held_out: LongTensor,
    tuning: Tuning,
    *,
    arm: str,
    seed: int,
    precision: torch.dtype,
    loss: Callable[[LongTensor], Tensor] | None = None,
    beside: Sequence[nn.Module] = (),
    part: tuple[int, int] | None = None,
    marks: Bookmarks | None = None,
    mark: Bookmark | None = None,
    shortages: int = 0,
    curve: bool = True,
) -> Events:
    """Train what requires a gradient in `model` on `blocks` `[n, length]`, lowering `loss` (None: that of the text), which may
    ask models `beside` this one.

    Yields each step, and the loss on `held_out` before the first, now and then, and after the last. Batches, dropout and the
    learning rate are functions of `seed` and the step alone; `part` (first, end) makes only those of all steps. Where validation
    says so, training ends early, and the weights end as they were at the lowest validation loss of this part. A guard that has
    never had anything to hold is told.

    A step whose loss or gradient is not finite is undone and made again, the rate halved from there on, on text of a later epoch:
    on its own it would end as it did. After `HALVINGS` of those `Diverged` is raised, and after a validation loss that is not
    finite. A `WentBack` before that says that the weights are now the best of which there was a copy; without one they are
    those of the last step. Where memory runs out the step is made again with less of it (`engine.recovery.memory_savings`), and
    where there is no way to, `Shortage` is raised; which weights are left then is told in the same way. `shortages` is how often
    that has ended a process since it began, or since the `mark`: it goes on as though it had been told so each time. Without a
    `curve` it is validated at both ends alone, unless the tuning looks at validations: the weights come to the same.

    Now and then a bookmark is written into `marks`. From a `mark` the training goes on where it was: on the CPU the steps, the
    losses and the weights are, to the bit, those of a training that was never interrupted.
    """
    stepper = Stepper(model, loss or partial(loss_of, model), tuning, seed, precision, beside)
    stepper.owed = shortages
    try:
        points = VALIDATIONS if curve or tuning.patience or tuning.guard else 1
        yield from _steps(stepper, blocks, held_out, arm, part or (0, tuning.steps), marks, mark, points)
    finally:
        stepper.close()


def _steps(
    stepper: Stepper,
    blocks: LongTensor,
    held_out: LongTensor,
    arm: str,
    part: tuple[int, int],
    marks: Bookmarks | None,
    mark: Bookmark | None,
    points: int,
) -> Events:
    tuning, (first, end) = stepper.tuning, part
    watch = Watch(stepper.trained, tuning.patience, tuning.guard)
    every, why, undone = max(1, tuning.steps // points), "", 0
    if mark is not None:
        place, resumed = take_up(mark, stepper, watch)
        yield resumed
    else:
        place = Place(first, (yield from _validated(stepper, held_out, arm, first)))
        watch.see(first, place.found.loss)
        yield place.found
    if marks is not None:
        marks.begin(PER_WEIGHT * sum(one.nbytes for one in stepper.trained))
    try:
        while stepper.ranks.hear(GO if place.step < end and not why else DONE, stepper.device) == GO:
            step = place.step
            try:
                measured, rate = yield from trying(partial(_made, stepper, blocks, step, undone), stepper, arm, step)
            except Diverged as error:
                if place.halvings == HALVINGS:
                    told = f"{str(error)[:-1]}, and the rate was halved {HALVINGS} times; lower the learning rate."
                    raise Diverged(told) from error
                place.halvings, undone = place.halvings + 1, undone + 1
                yield _slowed(stepper, arm, step, error)
                if place.found.step != step:
                    place.found = yield from _validated(stepper, held_out, arm, step)
                    yield place.found
                watch.danger(step, place.found.loss)
                continue
            place.step, undone = step + 1, 0
            yield StepTrained(arm, place.step, tuning.steps, measured, rate)
            if place.step % every == 0 or place.step == end:
                place.found = yield from _validated(stepper, held_out, arm, place.step)
                with telling_shortage(f"step {place.step} of {ARMS[arm]}, in which the best weights are kept"):
                    why = watch.see(place.step, place.found.loss)
                yield place.found
            if marks is not None and not why and place.step < end and marks.due(place.step):
                yield from keep(marks, stepper, watch, place)
    except GeneratorExit:
        if not stepper.ranks.number:
            stepper.ranks.hear(STOPPED, stepper.device)
        raise
    except Exception as error:
        if watch.keeps and not is_fatal(error):
            watch.go_back()
            yield WentBack(arm, watch.best, place.step, in_a_line(error))
        raise
    if watch.never_guarded and part == (0, tuning.steps):  # of a part the guard judges the end
        above = "the validation perplexity was above it from the first step to the last"
        yield Degraded(f"a guard of {tuning.guard:,.4g} in {ARMS[arm]}", "none", above)
    if watch.looks and watch.best != place.step:
        watch.go_back()
        yield WentBack(arm, watch.best, place.step, why or "the validation loss was lowest there")


def _made(stepper: Stepper, blocks: LongTensor, step: int, undone: int) -> tuple[float, float]:
    """Make the step of that number, after so many tries that were undone: its loss and its learning rate."""
    tuning = stepper.tuning
    with telling_shortage(f"step {step + 1}"):
        tokens = batch(blocks, step + undone * tuning.steps, tuning.batch_size, stepper.seed)  # [batch, length]
    return stepper.step(tokens, step)


def _slowed(stepper: Stepper, arm: str, step: int, error: Diverged) -> Degraded:
    """Halve the rate from a step on that was undone, and say so."""
    stepper.pace /= 2
    why = str(error)[0].lower() + str(error)[1:-1]
    did = f"made again with {stepper.pace:g} of the learning rate from there on"
    return Degraded(f"step {step + 1} of {ARMS[arm]}", did, why, arm, step + 1)


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """The dtype that training computes in: as asked, or for "auto" bfloat16 where the hardware multiplies in it.

    Elsewhere bfloat16 is emulated and slower than float32. On two cores of a CPU with AVX-512 BF16 a step of a 2-million
    parameter GPT-2 took 0.6 of its float32 time.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == "cpu":
        able = torch.cpu.get_capabilities()
        fast = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


def _validated(stepper: Stepper, held_out: LongTensor, arm: str, step: int) -> Generator[Degraded, None, Validated]:
    def read() -> Evaluation:
        with telling_shortage(f"step {step + 1}"), stepper.ranks.alike(stepper.device):
            return evaluate(stepper.model, held_out, min(AT_ONCE, stepper.piece) if stepper.spared else AT_ONCE)

    found = yield from trying(read, stepper, arm, step)
    if not math.isfinite(found.nll):
        raise Diverged(f"The validation loss after step {step} is {found.nll / found.tokens}; lower the learning rate.")
    return Validated(arm, step, found.nll / found.tokens, found.tokens)
