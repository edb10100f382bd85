"""Work done in steps, as generators whose value is what it comes to; knows nothing of what the steps are.

Between two steps a caller can report, hold or stop. Whoever has nothing to do in between wants the value alone.
"""

from collections.abc import Callable, Generator
from typing import TypeVar

Step = TypeVar("Step")
Told = TypeVar("Told")
Value = TypeVar("Value")


def ended(steps: Generator[object, None, Value]) -> Value:
    """The value of a generator that is run to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def retold(steps: Generator[Step, None, Value], tell: Callable[[Step], Told]) -> Generator[Told, None, Value]:
    """The same steps in other words, and the same value."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        yield tell(step)
