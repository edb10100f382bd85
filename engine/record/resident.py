"""What this process holds in memory: now, at most, and given back where it is free; knows nothing of what it is held for.

Held is what is resident: weights that were only mapped from a file count once they were read.
"""

import ctypes
from pathlib import Path

import psutil

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # Linux alone has them
# The C library answers large requests with pages of their own, which go back when they are freed, but learns to stop doing so: a
# pass over SmolLM2 that needs 75 MB then grew the process by 900. Fixed thresholds keep it from learning; a training step of a
# built-in model takes about 3 % more time of the processor with them. Read when a process starts.
THRESHOLDS = {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TOP_PAD_": str(16 * 2**20)}


def hold_steady() -> None:
    """The same for a process that has started without them; nothing where there is another C library than GNU's."""
    try:
        library = ctypes.CDLL(None)
        library.mallopt(-3, int(THRESHOLDS["MALLOC_MMAP_THRESHOLD_"]))  # M_MMAP_THRESHOLD
        library.mallopt(-2, int(THRESHOLDS["MALLOC_TOP_PAD_"]))  # M_TOP_PAD
    except (AttributeError, OSError, TypeError):
        return


def resident() -> int:
    """The bytes that this process holds now."""
    return psutil.Process().memory_info().rss


def peak() -> int | None:
    """The most bytes that it held since `forget_peak`; None where the system does not tell."""
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("VmHWM:")), None)
    return None if found is None else int(found.split()[1]) * 1024


def forget_peak() -> None:
    """Begin anew with what is held now; where the system cannot, the peak stays that of the whole process."""
    try:
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return


def give_back() -> None:
    """Give freed memory back to the system, so that what is resident is what is in use; nothing where there is no way to."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library than GNU's; Windows takes no None
        return
