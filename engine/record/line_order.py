"""Whether lines stand where they were written, by the numbers in them; knows no file and not what they say.

A writer counts the lines that are there and numbers its own with that. Where another one writes in between, the line comes to
stand behind its number, and others may have the same: that is no damage. But no line comes to stand before its number, unless
lines before it are gone, or stand elsewhere: after a line that was lost all do, and it is told once. A line that is the same as
an earlier one, number and time included, is a copy. Nothing shows lines that are missing at the end.
"""

from array import array
from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """The lines of these places (from 0, the last one included) are gone, or not there."""

    first: int
    last: int


@dataclass(frozen=True)
class Copy:
    """A line is that of an earlier place (from 0) once more."""

    of: int


class Places:
    """The lines of one file from its start, as far as they were seen."""

    def __init__(self):
        self.count = 0
        self._missing = 0  # how many lines are known to be missing
        self._seen = array("q")  # a hash of each line

    def see(self, line: bytes, number: int | None) -> Missing | Copy | None:
        """The next line, and the number in it (from 0; None where that cannot be relied on); what it shows to be wrong."""
        place, mark, found = self.count, hash(line), None
        if number is not None and number > place + self._missing:
            found = Missing(place + self._missing, number - 1)
            self._missing = number - place
        elif number is not None and number < place and mark in (before := self._seen[number:]):
            found = Copy(number + before.index(mark))
        self._seen.append(mark)
        self.count += 1
        return found
