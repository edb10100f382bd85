"""What a benchmark is; measures nothing itself.

A benchmark is one file of this folder; those whose names begin with an underscore are parts of one. Its docstring says what is
measured and how, and

    def measure() -> Iterator[Row]

measures it. `python -m benchmarks [NAME ...]` runs those that are named, or all that take minutes, prints one table, and leaves
each one's rows in `results/NAME.json` with that docstring, and the machine and the versions they were measured on.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table. `goal` is the most that is allowed: of value / reference where there is a reference, else of value;
    None where nothing is promised and the number is published as it came out.

    `reference` is in the unit of `value`, and `against` says in words what it was measured on. The goal is a promise of the
    project on a machine at rest; missing it is shown, and fails nothing.
    """

    what: str
    value: float
    unit: str
    goal: float | None
    reference: float | None = None
    against: str = ""

    @property
    def ratio(self) -> float | None:
        """The value over the reference; None where there is none."""
        return None if self.reference is None else self.value / self.reference

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is kept; None where there is none."""
        return None if self.goal is None else (self.value if self.ratio is None else self.ratio) <= self.goal
