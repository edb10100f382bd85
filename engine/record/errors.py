"""Errors with words for people: how an input is refused, and what a run can lose and go on without; knows no input."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What a person would take for the path of a file: it has a separator, no line break, and more than one part.
PATH = re.compile(r"(file:)?(~|\.{1,2}|[A-Za-z]:)?[/\\][^\n]*[/\\][^\n]*\Z")


class BadInput(ValueError):
    """An input that cannot be used. The message is one sentence: the field, its value, what is allowed, what to do.

    `field` is the dotted recipe field that the input came from, "" where that is not known (`blaming` adds it).
    """

    field = ""


class Away(BadInput):
    """What a run began with and cannot have again: files that were moved, were changed or lie on a disk that is away; a device.
    It `awaits` that, and `why` says what is wrong in a clause. Once it is back the run can go on."""

    def __init__(self, what: str, error: BadInput):
        self.why = str(error).removeprefix(f"{error.field}: ").split("; ")[0].rstrip(".")
        self.awaits = what
        super().__init__(f"{what[0].upper()}{what[1:]} cannot be had again ({self.why}); put it back and ask again.")


class AcceleratorLost(RuntimeError):
    """An accelerator that this process cannot use any more. The run can be gone on with in another process; `why` says what the
    accelerator said, in a clause."""

    def __init__(self, why: str):
        super().__init__(f"The accelerator failed ({why}).")
        self.why = why


class PeerLost(RuntimeError):
    """Another of the processes that train together is gone. Nothing is wrong with the run: it can be gone on with."""

    def __init__(self) -> None:
        super().__init__("Another of the processes that trained together was lost.")


class UnknownName(BadInput):
    """A name that is in no list; the message offers the nearest one, of `known` and of `besides`, then all that are known."""

    def __init__(self, kind: str, name: object, known: Iterable[str], besides: Iterable[str] = ()):
        names = list(known)
        near = difflib.get_close_matches(str(name), [*names, *besides], n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        super().__init__(f"{kind} {shorten(name)} is not known{hint}; known are {', '.join(names)}.")


@contextmanager
def blaming(field: str) -> Iterator[None]:
    """Note on every `BadInput` that passes which recipe field it came from, unless somebody nearer to it has."""
    try:
        yield
    except BadInput as error:
        error.field = error.field or field
        raise


@contextmanager
def naming(field: str) -> Iterator[None]:
    """The same for errors of what does not know which field it works for: the sentence begins with its name, unless it did."""
    with blaming(field):
        try:
            yield
        except BadInput as error:
            if str(error).startswith(field):
                raise
            raise BadInput(f"{field}: {error}") from error


def counted(number: int, what: str) -> str:
    """How many there are, in words: "1 layer", "1,024 layers"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def every_reason(reasons: Iterable[str]) -> str:
    """Why some cells failed: the reason that all have, or each with the number of cells that have it, the most frequent first."""
    many = Counter(reasons).most_common()
    return many[0][0] if len(many) == 1 else " ".join(f"{counted(number, 'cell')}: {why}" for why, number in many)


def shorten(value: object, limit: int = 60) -> str:
    """`repr(value)`, cut to `limit` characters, so that a pasted book does not become an error message.

    A path keeps its two ends: it is the last part that tells one file from another.
    """
    text = repr(str(value)) if isinstance(value, Path) else repr(value)
    if len(text) <= limit:
        return text
    is_path = isinstance(value, Path) or (isinstance(value, str) and PATH.match(value) is not None)
    kept = 2 * (limit - 1) // 3 if is_path else 0
    return f"{text[: limit - 1 - kept]}…{text[len(text) - kept :]}"
