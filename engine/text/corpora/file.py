"""A text of your own: a UTF-8 text file, or a folder of .txt and .md files. Knows nothing of tokens or models.

It is split by document, about 80 % train, 10 % calibration, 10 % evaluation, and the same file is always split alike. A
folder has one document a file; a single file is divided between paragraphs. Documents that occur twice are read once.
"""

from engine.record.errors import BadInput, shorten
from engine.text.corpora import Splits
from engine.text.documents import read_documents
from engine.text.partition import partition, words

LABEL = "Text file or folder"
SOURCE = "your file"
TAKES = "PATH"
ASKS = "Write the path of a text file, or of a folder of .txt and .md files."

HELD_OUT = 0.1  # of all words, for calibration and for evaluation each
SHORTEST = 1000  # words; a tenth of less is no text to measure on


def read(where: str) -> Splits:
    """The splits of the file or folder at the path `where`; `BadInput` where it is missing, empty, too short or binary."""
    if not where:
        raise BadInput("corpus 'file' needs a path; write file:PATH with a text file or a folder of .txt and .md files.")
    documents = read_documents(where, at_least=3)
    count = sum(map(words, documents))
    if count < SHORTEST:
        raise BadInput(f"corpus file {shorten(where)} is too short: it has {count} words; give at least {SHORTEST}.")
    train, calibration, evaluation = partition({document: document for document in documents}, HELD_OUT)
    return Splits(f"file:{where}", train, calibration, evaluation, None)
