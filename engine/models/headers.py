"""What the safetensors files of a model folder say of their tensors, from their headers alone; reads no weights.

A file begins with eight bytes, the length of what follows: JSON that names every tensor, its dtype, shape and place.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.models.reading import MISFITS, read_json, told
from engine.record.errors import BadInput, shorten

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LONGEST = 100_000_000  # bytes of a header; the format allows no more


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: its dtype as the file spells it (`F32`, `BF16`, `F8_E4M3` …), its shape and its bytes there."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


def entries(path: Path) -> list[Entry]:
    """The tensors of a safetensors file, in its order; raises `BadInput` for a file that is missing or begins otherwise."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > LONGEST:
                raise ValueError("it does not begin with the length of a header")
            facts = json.loads(file.read(length))
        return [_entry(name, one) for name, one in facts.items() if name != "__metadata__"]
    except (OSError, RecursionError, *MISFITS) as error:
        raise BadInput(f"{path.name} in {shorten(str(path.parent))} is no whole safetensors file: {told(error)}.") from error


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: one, or those of the index; none where it has neither.

    Raises `BadInput` for an index that is broken, or that names files which are not there or not in this very folder.
    """
    if (folder / WEIGHTS).is_file():  # it goes first in transformers too
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    facts, where = read_json(folder / INDEX), f"{INDEX} in {shorten(str(folder))}"
    for part in ("metadata", "weight_map"):
        if not isinstance(facts.get(part), dict):
            raise BadInput(f"{where} holds {shorten(facts.get(part))} as its {part}; it takes an object, so copy the file again.")
    files = facts["weight_map"].values()
    if wrong := [name for name in files if not isinstance(name, str) or Path(name).name != name]:
        raise BadInput(f"{where} speaks of the file {shorten(wrong[0])}; it takes names of files beside it.")
    if not files:
        raise BadInput(f"{where} speaks of no weights at all; copy the file again.")
    if gone := sorted({name for name in files if not (folder / name).is_file()}):
        raise BadInput(f"{where} speaks of {shorten(gone[0])}, which is not there; the model is incomplete.")
    return [folder / name for name in sorted(set(files))]


def dtypes(files: Sequence[Path]) -> dict[str, str]:
    """The dtype of every tensor of some files, by name; raises as `entries` does."""
    return {one.name: one.dtype for path in files for one in entries(path)}


def _entry(name: str, facts: dict) -> Entry:
    begin, end = facts["data_offsets"]
    return Entry(name, str(facts["dtype"]), tuple(int(width) for width in facts["shape"]), int(end) - int(begin))
