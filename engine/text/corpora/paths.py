"""Three texts of your own, one to train on, one to calibrate on, one to measure on. Knows nothing of tokens or models.

Each is a UTF-8 text file or a folder of .txt and .md files. A text that stands in two of them is refused: what is measured
on must not have been trained on.
"""

from itertools import combinations

from engine.record.errors import BadInput, shorten
from engine.record.paths import typed
from engine.text.corpora import Splits
from engine.text.documents import read_documents

LABEL = "Three text files"
SOURCE = "your file"

PARTS = ("train", "calibration", "evaluation")


def read(where: dict[str, str]) -> Splits:
    """The splits at `{"train": PATH, "calibration": PATH, "evaluation": PATH}`.

    Raises `BadInput` for other keys, for a path that is missing, empty or binary, and where two parts share a path (or one
    lies inside the other) or a document.
    """
    if not isinstance(where, dict):
        raise BadInput(f"corpus 'paths:{where}' needs three paths; give an object with {', '.join(PARTS)}, each a path.")
    if set(where) != set(PARTS) or not all(isinstance(path, str) for path in where.values()):
        raise BadInput(f"corpus {shorten(where)} does not name three paths; give exactly {', '.join(PARTS)}, each a path.")
    for first, second in combinations(PARTS, 2):
        one, other = (typed(where[part], f"corpus path {part}").resolve() for part in (first, second))
        if one == other or one in other.parents or other in one.parents:
            raise BadInput(f"corpus paths {first} and {second} overlap at {shorten(where[second])}; give each its own text.")
    documents = {part: read_documents(where[part]) for part in PARTS}
    for first, second in combinations(PARTS, 2):
        shared = set(documents[first]).intersection(documents[second])
        if shared:
            text = shorten(min(shared))
            raise BadInput(f"corpus paths {first} and {second} both hold the text {text}; take it out of one of them.")
    return Splits("paths", *(documents[part] for part in PARTS), None)
