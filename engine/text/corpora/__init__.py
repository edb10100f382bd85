"""What there is to read, and the contract of a source; knows nothing of tokens or models.

Every other file in this folder is one source: its docstring is the help text, `LABEL` the words in the menu, `SOURCE`
where the text comes from ("built in", "needs the network" or "your file"), and `read(where)` returns its `Splits`. One that
must be told what to read after a colon says what in `TAKES`, for instance "PATH", and asks for it in `ASKS`, a sentence. `KEPT`
says that reading takes its time but once: it is kept under the source's name in `engine.text.cache`. `LIBRARY` is a package that
reading brings in, and that takes memory (`engine.text.sizes`).
"""

from dataclasses import dataclass

from engine.record.catalogue import CORPORA
from engine.record.errors import BadInput, shorten


@dataclass(frozen=True)
class Splits:
    """One text in three disjoint parts, each a tuple of documents.

    `train` is what recovery trains on, `calibration` what criteria and compensation look at, `evaluation` what perplexity
    is measured on. `licence` is the licence of the text, None where it is not known (a user's own file).
    """

    name: str
    train: tuple[str, ...]
    calibration: tuple[str, ...]
    evaluation: tuple[str, ...]
    licence: str | None


def read_corpus(spec: str | dict[str, str]) -> Splits:
    """Read the text that `spec` names.

    `spec` is the name of a file in this folder (`"wikipedia-sample"`), a name with what to read after a colon
    (`"file:PATH"`), or the three paths of `paths.py` as a dict. Raises `UnknownName` for a name that is not here, and
    `BadInput` for a text that cannot be used.
    """
    if isinstance(spec, dict):
        return CORPORA.load("paths").read(spec)
    if not isinstance(spec, str) or not spec.strip():
        raise BadInput(f"corpus {shorten(spec)} is not a corpus; give a name ({', '.join(CORPORA.names())}) or three paths.")
    name, _, where = spec.partition(":")
    return CORPORA.load(name.strip()).read(where.strip())
