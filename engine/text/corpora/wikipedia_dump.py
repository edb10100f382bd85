"""Prose from a Wikipedia dump of yours: its first 1,000 articles of 100 words or more. Knows nothing of tokens or models.

The file is a `pages-articles.xml.bz2` from dumps.wikimedia.org, or the same unpacked; the reader is that of the built-in
sample, which tells sentences by their capitals and full stops, those of Chinese, Hindi or Arabic too. Articles are split by the
hash of their title: about 90 % train, 5 % calibration, 5 % evaluation, no article in two parts. What was parsed is kept in the
cache folder.
"""

import hashlib

from engine.record.errors import BadInput, shorten
from engine.record.paths import kind_of, typed
from engine.text.articles import articles_of
from engine.text.corpora import Splits
from engine.text.partition import partition

LABEL = "Wikipedia dump"
SOURCE = "your file"
LIBRARY = "gensim"
TAKES = "PATH"
ASKS = "Write the path of a pages-articles.xml.bz2, or of the same unpacked."
LICENCE = "CC BY-SA (the articles' authors on Wikipedia; 4.0, and 3.0 for dumps from before June 2023)"

ARTICLES = 1000  # parsing takes about a minute, and recovery reads all that there is of the training part
FEWEST = 3
HELD_OUT = 0.05  # of all words, for calibration and for evaluation each, filled with whole articles


def read(where: str) -> Splits:
    """The splits of the dump at the path `where`; `BadInput` where it is missing, no dump, cut short or too little."""
    path = typed(where, "corpus dump")
    if kind_of(path, "corpus dump") != "file":
        raise BadInput(
            f"corpus 'wikipedia-dump:{shorten(where, 80)[1:-1]}' names no file; write wikipedia-dump:PATH with a dump, .xml or "
            ".xml.bz2."
        )
    stat = path.stat()
    name = f"wikipedia-dump-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    # Not a hash of the contents: a dump has gigabytes, and only its beginning is read.
    texts = articles_of(name, path, f"{stat.st_size} bytes of {stat.st_mtime_ns}", ARTICLES)
    if len(texts) < FEWEST:
        raise BadInput(
            f"corpus dump {shorten(str(path))} has {len(texts)} articles of 100 words or more, and {FEWEST} are needed to keep "
            "apart what is trained on and what is measured on; give a longer one."
        )
    return Splits(f"wikipedia-dump:{where}", *partition(texts, HELD_OUT), LICENCE)
