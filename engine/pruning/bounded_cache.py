"""Results that later work may need again, within a bound of bytes; knows neither what they are nor how they were made.

What is needed last is dropped first, which is the best that can be done where what comes is known: Belady (1966), "A study of
replacement algorithms for a virtual-storage computer".
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

NEVER = float("inf")


@dataclass
class BoundedCache:
    """At most `most` bytes of values by key. `next_use(key)` says how far ahead a key is needed again (`NEVER`: it is not)."""

    most: int
    next_use: Callable[[Hashable], float]
    held: int = 0  # bytes
    _values: dict[Hashable, tuple[Any, int]] = field(default_factory=dict)

    def get(self, key: Hashable) -> Any:
        """The value of a key; None where there is none, or no longer."""
        return self._values[key][0] if key in self._values else None

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of so many bytes, unless it is needed later than what would have to go for it."""
        if key in self._values or size > self.most or self.next_use(key) == NEVER:
            return
        self._values[key] = (value, size)
        self.held += size
        while self.held > self.most:
            self.drop(max(self._values, key=self.next_use))

    def drop(self, key: Hashable) -> None:
        """Let one value go."""
        self.held -= self._values.pop(key)[1]

    def tidy(self) -> None:
        """Let go of all that is not needed again."""
        for key in [key for key in self._values if self.next_use(key) == NEVER]:
            self.drop(key)
