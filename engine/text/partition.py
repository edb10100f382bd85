"""Divides documents into train, calibration and evaluation, whole and disjoint; knows nothing of where they come from."""

import hashlib
from collections.abc import Mapping, Sequence

UNSPACED = 20  # letters between two spaces, on average, that no script has which parts its words by them
LETTERS = 2  # in a word of such a script, about


def partition(documents: Mapping[str, str], held_out: float) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Train, calibration and evaluation parts of `documents` (text by key, for instance by title).

    `held_out` is the share of all words, from 0 to 0.5, that calibration and evaluation get each. They are filled with
    whole documents to just below it, and with at least one where there is one. The order is that of a hash of the keys:
    the same documents are divided alike on every machine and with every version of Python, in whatever order they come.
    """
    # Not random.shuffle: its order is Python's to change, and one more document would shuffle all the others.
    keys = sorted(documents, key=lambda key: hashlib.sha256(f"0:{key}".encode()).digest())
    texts = [documents[key] for key in keys]
    goal = held_out * sum(map(words, texts))
    evaluation, rest = take(texts, goal)
    calibration, train = take(rest, goal)
    return tuple(train), tuple(calibration), tuple(evaluation)


def take(texts: Sequence[str], most: float) -> tuple[list[str], list[str]]:
    """The texts, in order, that together have at most `most` words, and the others: one too long for what is left is passed
    over. Where even the shortest is too long, it is taken alone."""
    taken, left = [], []
    for text in texts:
        size = words(text)
        if size <= most:
            taken.append(text)
            most -= size
        else:
            left.append(text)
    if not taken and left:
        shortest = min(left, key=words)
        left.remove(shortest)
        taken = [shortest]
    return taken, left


def words(text: str) -> int:
    """How many words a text has, as white space divides them; of a script that does not part them, about."""
    count = len(text.split())
    return count if len(text) <= UNSPACED * count else len(text) // LETTERS
