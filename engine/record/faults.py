"""Faults that are asked for, so that what happens after one can be seen and tested; knows no model and does no harm by itself.

    ESPALIER_FAULTS="loss@3x2, gradient@7" python -m engine run RECIPE.json

Without that variable nothing is asked for. `docs/testing.md` lists the kinds.
"""

import errno
import os
import re

from engine.record.errors import BadInput, shorten

VARIABLE = "ESPALIER_FAULTS"
KINDS = ("loss", "gradient", "memory", "device", "measuring", "bookmark", "checkpoint", "log", "export")
ONE = re.compile(rf"({'|'.join(KINDS)})@([1-9][0-9]*)(?:x([1-9][0-9]*))?")


def without(kind: str) -> dict[str, str]:
    """The variable with the faults of that kind left out, for a process in which they cannot happen; {} where none is asked."""
    words = os.environ.get(VARIABLE, "")
    left = ", ".join(word.strip() for word in words.split(",") if not word.strip().startswith(f"{kind}@"))
    return {VARIABLE: left} if words else {}


def only(kind: str) -> "Faults":
    """The faults of one kind, for who has no command to refuse: what is no list of faults is left to who has."""
    words = (word.strip() for word in os.environ.get(VARIABLE, "").split(","))
    return Faults(",".join(word for word in words if word.startswith(f"{kind}@") and ONE.fullmatch(word)))


def full() -> OSError:
    """What the system says where a disk is full."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Faults:
    """The faults of one training: `KIND@STEP` once at that step, from 1, or `KIND@STEPxTIMES` at so many tries from there on; of
    other things than steps in the same way.

    `asked` is what the variable says where it is None. Raises `BadInput` for what is no list of such words.
    """

    def __init__(self, asked: str | None = None):
        words = os.environ.get(VARIABLE, "") if asked is None else asked
        self._left: list[tuple[str, int, int]] = []  # kind, first step, how many times still
        for word in filter(None, (word.strip() for word in words.split(","))):
            found = ONE.fullmatch(word)
            if found is None:
                raise BadInput(
                    f"{VARIABLE} has {shorten(word)}; write KIND@STEP or KIND@STEPxTIMES, KIND one of {', '.join(KINDS)}."
                )
            self._left.append((found[1], int(found[2]), int(found[3] or 1)))

    def past(self, step: int) -> None:
        """So many steps are made already, by another process: what was due in them has struck."""
        self._left = [one for one in self._left if one[1] > step]

    def strikes(self, kind: str, step: int) -> bool:
        """Whether a fault of that kind is due in the try that begins, of the step of that number (from 0); it is spent then."""
        for place, (asked, first, times) in enumerate(self._left):
            if asked == kind and step + 1 >= first and times:
                self._left[place] = (asked, first, times - 1)
                return True
        return False
