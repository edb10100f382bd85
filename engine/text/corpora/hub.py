"""Any dataset with a column of text, from the hub or a folder of parquet, JSON or CSV files. Knows nothing of tokens or models.

Write `hub:ORG/NAME`, `hub:ORG/NAME/CONFIG` or `hub:FOLDER`. The column is "text", or "content", or the only one of strings. The
splits train, validation (calibration here) and test (evaluation) are kept where they are there; a missing one is taken from
train, by the hash of each text. Only the beginning is read: of train two million words, of the others 200,000. It is read anew,
over the network, each time that a run loads it.
"""

from collections.abc import Mapping

from engine.record.errors import BadInput, shorten
from engine.record.paths import kind_of, typed
from engine.text.corpora import Splits
from engine.text.partition import partition

LABEL = "Dataset of the hub"
SOURCE = "needs the network"
LIBRARY = "datasets"
TAKES = "ID[/CONFIG]"
ASKS = "Write the id of a dataset, as org/name or org/name/configuration, or the path of a folder of parquet, JSON or CSV files."

MOST = {"train": 2_000_000, "validation": 200_000, "test": 200_000}  # words
NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
HELD_OUT = 0.1  # of the words of train, for each split that is missing
FEWEST = 3  # texts that differ


def read(where: str) -> Splits:
    """The splits of the dataset that `where` names; `BadInput` where it cannot be read, has no text or too few texts."""
    if not where:
        raise BadInput("corpus 'hub' needs a dataset; write hub:ID or hub:ID/CONFIG with its id on the hub, or hub:FOLDER.")
    from engine.text.rows import open_dataset, texts  # brings in `datasets`, which takes its second

    path, config = _place(where)
    opened = open_dataset(path, config)
    found = {}
    for split, names in NAMES.items():
        name = next((name for name in names if name in opened.splits), None)
        if name is not None:
            found[split] = texts(opened, name, MOST[split])
    if "train" not in found:  # one split of another name, or test alone
        first = found.pop("test", None) or texts(opened, next(iter(opened.splits)), MOST["train"])
        found = {"train": first}
    train, calibration, evaluation = _apart(found)
    if min(map(len, (train, calibration, evaluation))) == 0:
        count = sum(map(len, found.values()))
        raise BadInput(
            f"corpus hub {shorten(where)} has {count} texts that differ, and {FEWEST} are needed to keep apart what is trained "
            "on and what is measured on; choose a larger one."
        )
    return Splits(f"hub:{where}", train, calibration, evaluation, opened.licence)


def _place(where: str) -> tuple[str, str | None]:
    """The id or the path of a dataset, and the name of its configuration (None: its only one)."""
    folder = typed(where, "corpus hub")
    if kind_of(folder, "corpus hub") == "folder":
        try:
            next(folder.iterdir(), None)
        except OSError as error:  # which the library takes for a folder without files
            raise BadInput(f"corpus hub {shorten(str(folder))} cannot be read ({error.strerror}); give another.") from error
        return str(folder), None
    parts = where.split("/")
    if len(parts) > 3 or not all(parts):
        raise BadInput(f"corpus hub {shorten(where)} is neither a folder here nor the id of a dataset; write ORG/NAME[/CONFIG].")
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else None


def _apart(found: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Train, calibration and evaluation, where the dataset has them; no text is in two, since some datasets repeat themselves."""
    evaluation = found.get("test", ())
    seen = set(evaluation)
    calibration = tuple(text for text in found.get("validation", ()) if text not in seen)
    seen.update(calibration)
    train = tuple(text for text in found["train"] if text not in seen)
    if evaluation and calibration:
        return train, calibration, evaluation
    rest, first, second = partition({text: text for text in train}, HELD_OUT)
    if evaluation:
        return (*rest, *second), first, evaluation
    if calibration:
        return (*rest, *first), calibration, second
    return rest, first, second
