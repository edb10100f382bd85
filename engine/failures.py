"""What torch raises where memory or an accelerator gives out: which error is which, in words; knows no model and mends nothing.

Memory that ran out is told in many ways, of which only one has a class of its own. After it everything is as it was before the
request, and less can be asked for. After any other error of an accelerator (an index out of range on it, a kernel that crashed, a
card that fell off the bus) the process cannot use that accelerator any more, nor read what lies in its memory.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError

from engine.record.errors import BadInput

SHORT = re.compile(  # the last three are what oneDNN, the C++ library and Python say on a CPU
    r"out of memory|can(no|')t allocate memory|not enough memory|DefaultCPUAllocator|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED|"
    r"RESOURCE_EXHAUSTED|could not create a (primitive|memory object)$|bad_alloc|can't start new thread",
    re.IGNORECASE,
)
FATAL = re.compile(r"\b(CUDA|HIP|XPU|cuDNN|CUBLAS) (driver )?error|device-side assert", re.IGNORECASE)
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
AMOUNT = re.compile(r"tried to allocate ([0-9.]+ [KMGT]iB|[0-9]+ bytes)", re.IGNORECASE)


class Shortage(BadInput):
    """Memory that was not there; `why` says so in a clause. It has no `field`: the recipe was possible, only not on this machine
    as it is now."""

    def __init__(self, why: str, where: str):
        super().__init__(f"{why[0].upper()}{why[1:]} in {where}.")
        self.why = why


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the accelerator or of the machine."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, (RuntimeError, SafetensorError)) and SHORT.search(str(error)) is not None


def is_fatal(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, says that this process cannot use its accelerator any more."""
    while error is not None:
        if isinstance(error, RuntimeError) and not is_shortage(error):
            if isinstance(error, torch.AcceleratorError) or FATAL.search(str(error)):
                return True
        error = error.__cause__ or error.__context__
    return False


def first_fatal(error: BaseException) -> str:
    """What the accelerator said, in a clause: the first line of the oldest error that `is_fatal`, what came after it being its
    doing."""
    said = ""
    while error is not None:
        if is_fatal(error):
            said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        error = error.__cause__ or error.__context__
    return said.rstrip(".")


def in_short(error: BaseException) -> str:
    """What ran out, in a clause."""
    found = AMOUNT.search(str(error))
    return "memory ran out" + (f" ({_readable(found[1])} more were asked for)" if found else "")


def in_a_line(error: BaseException) -> str:
    """What an error says, in one line that names its kind where it is not one of ours, for people."""
    if isinstance(error, BadInput):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def _readable(amount: str) -> str:
    """An amount of memory as torch writes it: in a unit of its own, or in bytes however many."""
    count, unit = amount.split()
    if unit != "bytes":
        return amount
    power = min(len(UNITS) - 1, max(0, int(count).bit_length() - 1) // 10)
    return f"{int(count) / 1024**power:.3g} {UNITS[power]}"


@contextmanager
def telling_shortage(doing: str) -> Iterator[None]:
    """Inside, memory that runs out is a `Shortage`: one sentence that names what was being done.

    The error that it came of goes on holding everything that was computed, until the `Shortage` is let go. Whoever tries again
    does so outside of the `except`.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError, SafetensorError) as error:
        if not is_shortage(error):
            raise
        raise Shortage(in_short(error), f"{doing}; close other programs, or ask for fewer or shorter sequences") from error
