"""Reads plain text files and folders of them into documents; knows nothing of what the documents are for."""

import os
import re
from pathlib import Path

from engine.record.errors import BadInput, counted, shorten
from engine.record.paths import kind_of, typed
from engine.text.partition import words

SUFFIXES = (".txt", ".md")
LARGEST = 200_000_000  # bytes; more is no text for one machine to prune on, and would be read into memory whole
SHORTEST_GROUP = 100  # words; paragraphs of one file go together until a group has as many, so that its parts stay together


def read_documents(where: str, at_least: int = 1) -> tuple[str, ...]:
    """The documents at the path `where`, without duplicates, in the order of their names and places.

    A folder gives one document a .txt or .md file, hidden ones left out; a file gives its paragraphs (separated by blank
    lines, or else by line ends) in groups of a hundred words or more. A folder of fewer than `at_least` files is read like
    one file. Raises `BadInput` where nothing is there, where it is not UTF-8 text, and for fewer documents than `at_least`.
    """
    path = typed(where, "corpus file")
    kind = kind_of(path, "corpus file")
    if not where.strip() or kind == "nothing":
        raise BadInput(f"corpus file {shorten(where)} is not there; give the path of a text file or of a folder of them.")
    if kind == "something else":  # a device or a pipe may have no end
        raise BadInput(f"corpus file {shorten(where)} is neither a file nor a folder; give a text file or a folder of them.")
    files = files_of(path)
    if sum(file.stat().st_size for file in files) > LARGEST:
        raise BadInput(f"corpus {shorten(where)} is larger than {LARGEST // 1_000_000} MB; give an excerpt of it.")
    texts = [text for text in map(_text, files) if text.strip()]
    if not texts:
        raise BadInput(f"corpus {shorten(where)} is empty; give a text file with words in it.")
    documents = texts if path.is_dir() and len(texts) >= at_least else [group for text in texts for group in _groups(text)]
    documents = tuple(dict.fromkeys(documents))
    if len(documents) < at_least:
        raise BadInput(
            f"corpus {shorten(where)} is too short: {counted(len(documents), 'document')} in it, or parts of one, that differ, "
            f"and {at_least} are needed to keep apart what is trained on and what is measured on; give a longer text, with an "
            "empty line between its paragraphs."
        )
    return documents


def files_of(path: Path) -> list[Path]:
    """The files that make up the text at a path; raises `BadInput` for a folder without any, and for what is no file in it."""
    if not path.is_dir():
        return [path]
    found = []
    for folder, inside, names in os.walk(path, onerror=_refuse):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        found += [Path(folder, name) for name in sorted(names) if name.endswith(SUFFIXES) and not name.startswith(".")]
    for file in found:
        if kind_of(file, "corpus file") != "file":
            raise BadInput(f"corpus file {shorten(str(file))} is no file that can be read; take it out of the folder.")
    if not found:
        raise BadInput(f"corpus folder {shorten(str(path))} has no {' or '.join(SUFFIXES)} files; give one that has.")
    return found


def _refuse(error: OSError) -> None:
    raise BadInput(f"corpus folder {shorten(str(error.filename))} cannot be read ({error.strerror}); take it out.") from error


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"corpus file {shorten(str(file))} cannot be read ({reason}); give a text file.") from error
    if b"\0" in raw:
        raise BadInput(f"corpus file {shorten(str(file))} is binary (it has a zero byte); give plain text in UTF-8.")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        place = f"byte {error.start} cannot be decoded"
        raise BadInput(f"corpus file {shorten(str(file))} is not UTF-8 text ({place}); save it as UTF-8.") from error


def _groups(text: str) -> list[str]:
    separator = "\n\n" if re.search(r"\n\s*\n", text.strip()) else "\n"
    groups, group, count = [], [], 0
    for paragraph in re.split(r"\n\s*\n" if separator == "\n\n" else r"\n", text.strip()):
        group.append(paragraph.strip())
        count += words(paragraph)
        if count >= SHORTEST_GROUP:
            groups.append(separator.join(group))
            group, count = [], 0
    if group:  # what is left is too short for a document of its own
        groups[-1:] = [separator.join([*groups[-1:], *group])]
    return groups
