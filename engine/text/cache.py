"""Keeps documents that were slow to make in the cache folder, for later processes; knows nothing of how they are made.

ESPALIER_HOME/cache/texts/wikipedia-sample.json     a line of JSON that says what they were made of, and a line with them
                          wikipedia-sample.lock     held by whoever is making them
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.record.exclusive import alone
from engine.record.folder import cache_home, write_atomic

Documents = dict[str, str]  # text by key, in their order


def documents_of(name: str, source: Mapping[str, object], make: Callable[[], Documents]) -> Documents:
    """The documents kept under `name`, where they were made of this very `source`; else what `make` returns, which is kept.

    `source` is whatever the documents depend on, in plain JSON. One process makes them and the others wait for it. What is
    damaged, or was made of something else, is made anew, and so is everything where nothing can be kept.
    """
    path = path_of(name)
    kept = _read(path, source)
    if kept is not None:
        return kept
    with alone(path.with_suffix(".lock")) as can_be_kept:
        kept = _read(path, source) if can_be_kept else None  # another process may have made them meanwhile
        if kept is None:
            kept = make()
            if can_be_kept:
                _write(path, source, kept)
    return kept


def path_of(name: str) -> Path:
    """Where the documents of that name are kept, whether there are any or not."""
    return cache_home() / "texts" / f"{name}.json"


def _read(path: Path, source: Mapping[str, object]) -> Documents | None:
    try:
        head, body = path.read_text(encoding="utf-8").split("\n", 1)
        if json.loads(head) != {"source": dict(source), "sha256": _sum(body)}:
            return None
        return json.loads(body)
    except (OSError, ValueError, RecursionError):
        return None


def _write(path: Path, source: Mapping[str, object], documents: Documents) -> None:
    body = json.dumps(documents, ensure_ascii=False) + "\n"
    try:
        write_atomic(path, json.dumps({"source": dict(source), "sha256": _sum(body)}) + "\n" + body)
    except OSError:
        return  # a full disk costs the next process its time and this one nothing


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
