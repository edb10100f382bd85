"""Whether a run fits into memory, as foretold and as it was: the part of a run's state that is about that; measures nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.record.lifecycle import MemoryEstimated, MemorySampled


@dataclass(frozen=True)
class Room:
    """By command ("Load", "Score" …), the newest last: the last estimate, and the most bytes that the worker was seen to hold
    meanwhile."""

    estimates: Mapping[str, MemoryEstimated] = field(default_factory=dict)
    peaks: Mapping[str, int] = field(default_factory=dict)

    def foretold(self, estimate: MemoryEstimated) -> "Room":
        """With one more estimate; what was measured of that command before belonged to another."""
        peaks = {command: peak for command, peak in self.peaks.items() if command != estimate.command}
        earlier = {command: one for command, one in self.estimates.items() if command != estimate.command}
        return replace(self, estimates={**earlier, estimate.command: estimate}, peaks=peaks)

    def seen(self, command: str, samples: Iterable[MemorySampled]) -> "Room":
        """With what was sampled while that command was carried out ("": none was)."""
        most = max((sample.process if sample.peak is None else sample.peak for sample in samples), default=0)
        if not command or most <= self.peaks.get(command, 0):
            return self
        return replace(self, peaks={**self.peaks, command: most})
