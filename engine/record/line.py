"""One frozen dataclass ↔ one JSON line, stamped with its number and time; knows no particular event or command."""

import json
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
    """A line whose class `name` is known and whose fields do not fit it: which field, and one sentence why."""

    name: str
    field: str
    reason: str


def encode(fact: Any, kind: str, seq: int, at: float) -> bytes:
    """One JSON line, newline included: `seq`, `at`, the class's name under the key `kind`, then the fields.

    Raises `ValueError` for NaN and infinity: a number that was not measured is None.
    """
    plain = {field.name: getattr(fact, field.name) for field in fields(fact)}
    record = {"seq": seq, "at": at, kind: type(fact).__name__} | plain
    return (json.dumps(record, allow_nan=False, ensure_ascii=False, default=_plain) + "\n").encode()


def decode(line: bytes, kind: str, classes: Mapping[str, type]) -> Stamped | None:
    """Read one line back; None for a line that is torn, or no line of ours, and for an event whose class is not in `classes` (a
    newer writer's). What cannot be known of a line is `Unreadable`: a field that does not fit its class, and a command whose
    class is not there, since somebody waits for an answer."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # json's and Unicode's errors are both ValueErrors
        return None
    if not isinstance(record, dict) or not {kind, "seq", "at"} <= set(record):
        return None
    if str(record[kind]) not in classes:
        if kind != "command" or not isinstance(record[kind], str):
            return None
        why = f"{shorten(record[kind])} is no command of this version of Espalier; ask for it in the version that it is of."
        return Stamped(record["seq"], record["at"], Unreadable(record[kind], "", why))
    name, seq, at = (record.pop(key) for key in (kind, "seq", "at"))
    try:
        return Stamped(seq, at, _adapter(classes[name]).validate_python(record))
    except ValidationError as error:
        return Stamped(seq, at, Unreadable(name, *explain(error)))


@cache
def _adapter(of: type) -> TypeAdapter:
    return TypeAdapter(of)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} cannot be written to a run folder")
