"""Several processes that train one model together, each on its share of every batch; knows no model. Alone, nothing is shared.

`accelerate launch -m engine run RECIPE.json` starts them, and accelerate knows how they talk to one another and which device is
whose. Each loads and prunes by itself, by the same recipe and so alike, and adds its gradients to the others'. The first reads
what is asked and writes the run folder; before every step it says whether there is one, so that a pause or a stop is theirs too.
"""

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import broadcast, gather_object, reduce
from torch import LongTensor, Tensor

from engine.failures import Shortage, is_shortage
from engine.record.errors import BadInput, PeerLost
from engine.record.lifecycle import Degraded

GO, DONE, STOPPED = 1, 0, 2  # what the first process says before a step
PAUSE = timedelta(days=7)  # for so long a run may be held before the others take the first process for dead


class Left(BadInput):
    """The first process was stopped: the others have nothing to do any more."""


@dataclass(frozen=True)
class Ranks:
    """This process, from 0, and how many there are."""

    number: int = 0
    count: int = 1

    def share(self, tokens: LongTensor) -> LongTensor:
        """This process's sequences of a batch `[batch, length]`; raises `BadInput` for fewer sequences than processes."""
        if len(tokens) < self.count:
            raise BadInput(f"tuning.batch_size {len(tokens)} gives {self.count} processes less than a sequence each; raise it.")
        return tokens[self.number :: self.count]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over all processes in the place of each tensor."""
        if self.count > 1:
            for tensor in tensors:
                tensor.copy_(_sum(tensor))

    def others_here(self) -> tuple[int, ...]:
        """The process ids of the others that are on this machine. All processes have to ask at once."""
        if self.count == 1:
            return ()
        with _among_all():
            everyone = gather_object([(platform.node(), os.getpid())])
        return tuple(pid for node, pid in everyone if node == platform.node() and pid != os.getpid())

    @contextmanager
    def alike(self, device: torch.device) -> Iterator[None]:
        """Inside, each process by itself; they leave it together. Where memory has run out for one of them it is a `Shortage` for
        all, so that all do the same about it: one that went on would wait for the others for ever."""
        short = None
        try:
            yield
        except (RuntimeError, MemoryError, Shortage) as error:
            if self.count == 1 or not (isinstance(error, Shortage) or is_shortage(error)):
                raise
            short = error
        if self.count > 1 and _sum(torch.tensor([float(short is not None)], device=device)).item():
            raise short or Shortage("memory ran out in another process", "a step")

    def hear(self, word: int, device: torch.device) -> int:
        """What the first process says, who says `word`; raises `Left` where that is that it was stopped."""
        if self.count == 1:
            return word
        with _among_all():
            heard = int(broadcast(torch.tensor([word], device=device)).item())
        if heard == STOPPED and self.number:
            raise Left("The first process was stopped, and this one with it.")
        return heard


def ranks() -> Ranks:
    """Which of the processes this is that `accelerate launch` started; the only one where nobody did."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Ranks()
    state = _state()
    return Ranks(state.process_index, state.num_processes)


def left_alone() -> Degraded | None:
    """What there is to say where `accelerate launch` was asked for several processes and has started one: it tells that one where
    they would meet, and not how many they are."""
    asked = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    if not asked or "WORLD_SIZE" in os.environ:
        return None
    why = (
        "accelerate starts several only where it finds several GPUs; with ACCELERATE_USE_CPU=true and --multi_gpu it does on CPUs"
    )
    return Degraded("several processes", "one", why)


def own_device() -> str:
    """The device that this process is to compute on: an accelerator where there is one, and of several its own."""
    return str(_state().device)


def _sum(tensor: Tensor) -> Tensor:
    with _among_all():
        return reduce(tensor, "sum")


@contextmanager
def _among_all() -> Iterator[None]:
    """Inside, all processes wait for one another; what goes wrong there, memory aside, is that one is gone: `PeerLost`."""
    try:
        yield
    except RuntimeError as error:
        if is_shortage(error):
            raise
        raise PeerLost() from error


def _state() -> PartialState:
    together = {"timeout": PAUSE} if int(os.environ.get("WORLD_SIZE", "1")) > 1 else {}
    return PartialState(cpu=os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1", "yes"), **together)
