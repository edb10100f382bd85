"""Divides documents into train, calibration and evaluation, whole and disjoint; knows nothing of where they come from."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence


def partition(documents: Mapping[str, str], held_out: float) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Train, calibration and evaluation parts of `documents` (text by key, for instance by title).

    `held_out` is the share of all words, from 0 to 0.5, that calibration and evaluation get each. They are filled with
    whole documents to just below it, and with at least one where there is one. The order is that of a hash of the keys:
    the same documents are divided alike on every machine and with every version of Python, in whatever order they come.
    """
    # Not random.shuffle: its order is Python's to change, and one more document would shuffle all the others.
    keys = sorted(documents, key=lambda key: hashlib.sha256(f"0:{key}".encode()).digest())
    texts = [documents[key] for key in keys]
    goal = held_out * words(texts)
    evaluation, rest = take(texts, goal)
    calibration, train = take(rest, goal)
    return tuple(train), tuple(calibration), tuple(evaluation)


def take(texts: Sequence[str], most: float) -> tuple[list[str], list[str]]:
    """The texts, in order, that together have at most `most` words, and the others: one too long for what is left is passed
    over. Where even the shortest is too long, it is taken alone."""
    taken, left = [], []
    for text in texts:
        size = len(text.split())
        if size <= most:
            taken.append(text)
            most -= size
        else:
            left.append(text)
    if not taken and left:
        shortest = min(left, key=lambda text: len(text.split()))
        left.remove(shortest)
        taken = [shortest]
    return taken, left


def words(texts: Iterable[str]) -> int:
    """How many words the texts have together, as white space divides them."""
    return sum(len(text.split()) for text in texts)
