"""Tests of engine/record/digests.py: one bit makes another digest, and the order of names does not."""

import hashlib

from engine.record.digests import digest, digest_of


def test_a_file_is_told_by_its_bytes(tmp_path):
    """As the standard library digests them; a flipped bit is seen."""
    path = tmp_path / "file"
    path.write_bytes(b"espalier")
    assert digest(path) == hashlib.sha256(b"espalier").hexdigest()
    path.write_bytes(b"espalies")
    assert digest(path) != hashlib.sha256(b"espalier").hexdigest()


def test_an_object_is_told_by_what_it_says():
    """Not by the order in which it says it."""
    assert digest_of({"a": 1, "b": [2.5]}) == digest_of({"b": [2.5], "a": 1}) != digest_of({"a": 1, "b": [2.6]})
