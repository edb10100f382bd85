"""The memory that this process takes for what is asked of it, as events; knows no command and brings in no torch."""

from collections.abc import Iterator
from types import ModuleType

import psutil

from engine.record.events import Event
from engine.record.lifecycle import CommandFinished, CommandRefused, CommandStarted, CommandStopped, MemorySampled
from engine.record.resident import forget_peak, give_back, peak, resident

OVER = (CommandFinished, CommandRefused, CommandStopped)


def in_use(accelerator: tuple[int | None, int | None] = (None, None)) -> MemorySampled:
    """What is in use now; of an accelerator the bytes in use and its total."""
    system = psutil.virtual_memory()
    return MemorySampled(resident(), system.total - system.available, system.total, *accelerator, peak=peak())


def accelerator_in_use(torch: ModuleType) -> tuple[int | None, int | None]:
    """The bytes in use on the CUDA device and its total; None and None where there is none, or none was used yet."""
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None, None
    free, total = torch.cuda.mem_get_info()
    return total - free, total


def watched(events: Iterator[Event], torch: ModuleType) -> Iterator[Event]:
    """The same events, and before the end of each command the most that the process held for it."""
    for event in events:
        if isinstance(event, CommandStarted):
            give_back()  # what the command before has let go of is none of this one's
            forget_peak()
        if isinstance(event, OVER):
            yield in_use(accelerator_in_use(torch))
        yield event
