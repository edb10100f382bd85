"""Prose of about a hundred articles from English Wikipedia; no network needed. Knows nothing of tokens or models.

The library gensim ships an excerpt of a real Wikipedia dump for its own documentation, and it is read here with gensim's
dump reader. No article is in two parts: of all words about 6 in 10 are what the built-in models were trained on, and the
splits hold what they have never read: 3 in 10 train, half of one in 10 each calibration and evaluation.
"""

from importlib.util import find_spec
from pathlib import Path

from engine.record.digests import digest
from engine.record.errors import BadInput
from engine.text.articles import articles_of
from engine.text.corpora import Splits
from engine.text.partition import partition, take, words

LABEL = "Wikipedia sample"
SOURCE = "built in"
LIBRARY = "gensim"
KEPT = True
LICENCE = "CC BY-SA 3.0 (the articles' authors on English Wikipedia)"

DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
HELD_OUT = 0.055  # of all words, for calibration and for evaluation each, filled with whole articles
# For recovery, a little more than it reads by default. A model that has read its training text six times before, as ours once
# had, has nothing to learn from it: 200 steps on it closed 0.04 of the gap that they were to close.
FRESH = 0.28


def read(where: str = "") -> Splits:
    """The splits of the sample; `where` must be empty, as there is only one."""
    if where:
        raise BadInput(f"corpus 'wikipedia-sample:{where}' is not known: the sample takes nothing after its name.")
    train, calibration, evaluation, _ = _parts()
    return Splits("wikipedia-sample", train, calibration, evaluation, LICENCE)


def pretraining() -> tuple[str, ...]:
    """The articles that the built-in models were trained on. They are in no split: recovery is to read what is new."""
    return _parts()[3]


def _parts() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    dump = datapath(DUMP)
    texts = articles_of("wikipedia-sample", dump, digest(dump))
    known, calibration, evaluation = partition(texts, HELD_OUT)
    train, known = take(known, FRESH * sum(map(words, texts.values())))
    return tuple(train), calibration, evaluation, tuple(known)


def datapath(name: str) -> Path:
    """A file among those that gensim ships for its own documentation; found without importing gensim."""
    return Path(find_spec("gensim").origin).parent / "test" / "test_data" / name
