"""What reading a text takes in memory, foretold from the sizes of its files before any is read; knows no model.

Foretold are texts of one's own, by their bytes, and the libraries that other texts are read with. How much a dump or a dataset
holds is not known before.
"""

import sys
from collections.abc import Iterable
from contextlib import suppress

from engine.record.catalogue import CORPORA
from engine.record.errors import BadInput
from engine.record.paths import typed
from engine.text.cache import path_of
from engine.text.documents import files_of

MB = 10**6
# Measured on English text of 5 to 40 MB: the documents, their groups and parts, and the words in them, until all is divided. The
# first megabytes lie in what reading a model has taken and let go of again.
OF_A_BYTE, FIRST = 5.6, 20 * MB
LIBRARIES = {"gensim": 50 * MB, "datasets": 85 * MB}  # once they are brought in


def to_take_in(corpus: str | dict[str, str]) -> int:
    """The bytes that reading this text takes, besides what reading a model takes anyhow; 0 where nothing is known of it."""
    if isinstance(corpus, dict):
        return _of_files(corpus.values())
    name, _, where = corpus.partition(":")
    if name == "file":
        return _of_files([where])
    entry = CORPORA.entries.get(name)
    library = entry.facts.get("LIBRARY") if entry is not None else None
    is_kept = entry is not None and bool(entry.facts.get("KEPT")) and path_of(name).exists()
    return 0 if library is None or library in sys.modules or is_kept else LIBRARIES[library]


def _of_files(places: Iterable[str]) -> int:
    size = 0
    for place in places:
        with suppress(BadInput, OSError):  # whoever reads it says what is wrong
            size += sum(file.stat().st_size for file in files_of(typed(place, "corpus file")))
    return max(0, round(OF_A_BYTE * size) - FIRST)
