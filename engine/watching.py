"""The memory that this process takes for what is asked of it, as events, and what there is left; carries no command out and
brings in no torch."""

from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from engine.record.events import Event
from engine.record.lifecycle import CommandFinished, CommandRefused, CommandStarted, CommandStopped, MemorySampled
from engine.record.memory import available, bound, forget_peak, give_back, hold_steady, keep_freed, peak, resident

if TYPE_CHECKING:
    import torch

OVER = (CommandFinished, CommandRefused, CommandStopped)
REPEATS = ("Tune",)  # what takes and frees the same, step for step


def in_use(accelerator: tuple[int | None, int | None] = (None, None)) -> MemorySampled:
    """What is in use now; of an accelerator the bytes in use and its total."""
    there = bound()
    return MemorySampled(resident(), there.used, there.total, *accelerator, peak=peak(), grouped=there.grouped)


def accelerator_in_use(torch: ModuleType) -> tuple[int | None, int | None]:
    """The bytes in use on the CUDA device and its total; None and None where there is none, or none was used yet."""
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None, None
    free, total = torch.cuda.mem_get_info()
    return total - free, total


def free_on(device: "torch.device") -> int:
    """The bytes that this process may still take on a device. What torch has of one of CUDA and does not use is free; of another
    accelerator nobody knows, and the machine's memory stands in."""
    if device.type != "cuda":
        return available()
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def suit(begun: CommandStarted) -> None:
    """Have this process keep what it frees for a command that takes as much again at once, which then takes an eighth less time
    and not more at most; for every other one hold steady, so that what it takes is what was told."""
    (keep_freed if begun.name in REPEATS else hold_steady)()


def watched(events: Iterator[Event], torch: ModuleType) -> Iterator[Event]:
    """The same events, and before the end of each command the most that the process held for it."""
    for event in events:
        if isinstance(event, CommandStarted):
            give_back()  # what the command before has let go of is none of this one's
            forget_peak()
        if isinstance(event, OVER):
            yield in_use(accelerator_in_use(torch))
        yield event
