"""One frozen dataclass ↔ one JSON line, stamped with its number and time; knows no particular event or command.

A line ends in a checksum of all that stands before it, so that one that was changed since is told from one of another version,
whose names and fields are not known here. Lines of versions before the checksums are read unchecked.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from engine.record.errors import shorten
from engine.record.fields import explain


@dataclass(frozen=True)
class Stamped:
    """A line as it was written: its number in the file (from 0), seconds since the epoch, and what it says."""

    seq: int
    at: float
    fact: Any


@dataclass(frozen=True)
class Unreadable:
    """A line whose class `name` is known and whose fields do not fit it: which field, and one sentence why.

    One that is `damaged` is not as it was written: `name` is what it seems to have been, "" where that is not to be seen. Where
    it is `astray` the lines are what is not as they were written: some are gone, there twice, or elsewhere.
    """

    name: str
    field: str
    reason: str
    damaged: bool = False
    astray: bool = False


TORN = b" torn\n"  # what closes off a line that was never written to its end
CHECK = b', "check": "'  # the last key of a line: the CRC-32 of what stands before it, in eight hexadecimal digits


def encode(fact: Any, kind: str, seq: int, at: float) -> bytes:
    """One JSON line, newline included: `seq`, `at`, the class's name under the key `kind`, the fields, and the checksum.

    Raises `ValueError` for NaN and infinity: a number that was not measured is None.
    """
    said = spelt(fact, kind, seq, at)[:-1]
    return said + CHECK + _digits(said) + b'"}\n'


def spelt(fact: Any, kind: str, seq: int, at: float) -> bytes:
    """The same without checksum and newline."""
    plain = {field.name: getattr(fact, field.name) for field in fields(fact)}
    record = {"seq": seq, "at": at, kind: type(fact).__name__} | plain
    return json.dumps(record, allow_nan=False, ensure_ascii=False, default=_plain).encode()


def decode(line: bytes, kind: str, classes: Mapping[str, type]) -> Stamped | None:
    """Read one line back; None for a line that was never written to its end, and for an event whose class is not in `classes` (a
    newer writer's). What cannot be known of a line is `Unreadable`: one that is not as it was written, a field that does not fit
    its class, and a command whose class is not there, since somebody waits for an answer."""
    line = line.removesuffix(b"\n")
    if not line or line.endswith(TORN[:-1]):
        return None
    said, check, digits = line.rpartition(CHECK)
    if check and digits != _digits(said) + b'"}':
        return _damaged(line, kind, classes)
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # json's and Unicode's errors are both ValueErrors
        # Older writers closed a torn line off by a newline alone: it lacks the end that every line has.
        return _damaged(line, kind, classes) if line.endswith(b"}") else None
    if not isinstance(record, dict) or not {kind, "seq", "at"} <= set(record) or not isinstance(record[kind], str):
        return _damaged(line, kind, classes)
    record.pop("check", None)
    if record[kind] not in classes:
        if kind != "command":
            return None
        why = f"{shorten(record[kind])} is no command of this version of Espalier; ask for it in the version that it is of."
        return Stamped(record["seq"], record["at"], Unreadable(record[kind], "", why))
    name, seq, at = (record.pop(key) for key in (kind, "seq", "at"))
    try:
        return Stamped(seq, at, _adapter(classes[name]).validate_python(record))
    except ValidationError as error:
        return Stamped(seq, at, Unreadable(name, *explain(error)))


def is_checked(line: bytes) -> bool:
    """Whether a line, as bytes, has a checksum."""
    return CHECK in line


def _damaged(line: bytes, kind: str, classes: Mapping[str, type]) -> Stamped:
    named = re.search(rb'"%s": "([A-Za-z]+)"' % kind.encode(), line)
    name = named[1].decode() if named else ""
    return Stamped(-1, 0.0, Unreadable(name if name in classes else "", "", "it is not as it was written.", damaged=True))


def _digits(said: bytes) -> bytes:
    return b"%08x" % zlib.crc32(said)


@cache
def _adapter(of: type) -> TypeAdapter:
    return TypeAdapter(of)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} cannot be written to a run folder")
