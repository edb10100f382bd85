"""What this process holds in memory: now, at most, and given back where it is free; and what it may take besides. Knows nothing
of what it is held for.

Held is what is resident: weights that were only mapped from a file count once they were read. What may be taken is bounded by
the machine, and in a container or a job by the limits of its control groups. What the system has ended because memory ran out is
known from a counter of its own, that of this process's control group where there is one.
"""

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # Linux alone has them
# The C library answers large requests with pages of their own, which go back when they are freed, but learns to stop doing so: a
# pass over SmolLM2 that needs 75 MB then grew the process by 900. Fixed thresholds keep it from learning, so that what a command
# takes can be told before. A measurement of a built-in model takes up to half as much time again with them, a training step a
# seventh: every page is made anew. Read when a process starts.
THRESHOLDS = {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TOP_PAD_": str(16 * 2**20)}
TRIM, TOP_PAD, MMAP, ARENAS = -1, -2, -3, -8  # M_TRIM_THRESHOLD and so on, as mallopt(3) has them
AT_FIRST = 128 * 2**10  # M_TRIM_THRESHOLD of a process that nobody has told


def hold_steady() -> None:
    """The same for a process that has started without them, or has kept what it freed for a while; nothing where there is another
    C library than GNU's."""
    _set({MMAP: int(THRESHOLDS["MALLOC_MMAP_THRESHOLD_"]), TOP_PAD: int(THRESHOLDS["MALLOC_TOP_PAD_"]), TRIM: AT_FIRST})


def keep_freed() -> None:
    """The opposite, for what takes the same again and again, a training or a sweep: what is freed stays for what comes
    next, up to 128 MB, and threads that begin after this take from there too. In a thread with a store of its own, which shrinks
    at once, a training step took 1.6 times as long."""
    _set({MMAP: 32 * 2**20, TRIM: 128 * 2**20, ARENAS: 1})


def _set(options: Mapping[int, int]) -> None:
    try:
        library = ctypes.CDLL(None)
        for name, value in options.items():
            library.mallopt(name, value)
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


@dataclass(frozen=True)
class Bound:
    """What bounds the memory of this process: the machine, or a control group with a limit (`grouped`), such as a container's;
    the bytes that are in use there, by all processes, and all bytes that there are. Files that the system only keeps at hand are
    not in use: it lets go of them for whoever asks."""

    used: int
    total: int
    grouped: bool = False

    @property
    def left(self) -> int:
        """The bytes that may still be taken."""
        return max(0, self.total - self.used)


def bound(root: Path = Path("/")) -> Bound:
    """Of the machine, this process's control group and those above it, the one that leaves the least. `root` is where the
    system's files lie."""
    machine = psutil.virtual_memory()
    groups = (_limit_of(group, first) for group, first in _groups(root))
    bounds = [Bound(machine.total - machine.available, machine.total), *(each for each in groups if each is not None)]
    return min(bounds, key=lambda each: each.left)


def available() -> int:
    """The bytes that this process may still take."""
    return bound().left


def kills(root: Path = Path("/")) -> int | None:
    """How many processes the system has killed so far because memory ran out: of this process's control group, or of the nearest
    above it that counts them; of the whole machine where none does. None where the system does not tell. `root` is where its
    files lie."""
    for group, first in _groups(root):
        if (count := _killed(group / ("memory.oom_control" if first else "memory.events"))) is not None:
            return count
    return _killed(root / "proc/vmstat")


def _groups(root: Path) -> Iterator[tuple[Path, bool]]:
    """The folders of this process's control groups that may know of memory, each before the one above it, and whether it is of
    version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        # Version 1 has a tree for each controller, version 2 one for all, which names none here.
        top, own = "sys/fs/cgroup/memory" if controllers else "sys/fs/cgroup", Path(place.lstrip("/"))
        for group in (own, *own.parents):  # inside a container the group's own path may be one that is only there outside
            yield root / top / group, bool(controllers)


def _limit_of(group: Path, first: bool) -> Bound | None:
    """The limit of a control group and what is in use in it; None where it has none, or the system does not tell."""
    most, now = ("memory.limit_in_bytes", "memory.usage_in_bytes") if first else ("memory.max", "memory.current")
    cached = ("total_active_file", "total_inactive_file") if first else ("active_file", "inactive_file")
    try:
        total, used = (int((group / name).read_text(encoding="ascii")) for name in (most, now))
        told = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        # In a group that has read many files the limit is soon reached, though most of it is theirs and could be had.
        return Bound(max(0, used - sum(int(told.get(name, 0)) for name in cached)), total, True)
    except (OSError, ValueError):  # the second for "max", which is no limit
        return None


def _killed(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
