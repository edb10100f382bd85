"""Tests of engine/text/sizes.py: what reading a text takes is foretold from its files, without reading any."""

import sys

from engine.text.sizes import FIRST, LIBRARIES, OF_A_BYTE, to_take_in


def text(path, size: int):
    """A file of so many bytes, of which nothing is on the disk."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_texts_of_ones_own_count_by_their_bytes(tmp_path):
    """A file, a folder of files, three paths; a short one lies in what reading the model takes."""
    large = text(tmp_path / "large.txt", 40_000_000)
    (tmp_path / "folder").mkdir()
    for name in ("one.md", "two.txt", "three.bin"):
        text(tmp_path / "folder" / name, 20_000_000)
    wanted = round(OF_A_BYTE * 40_000_000) - FIRST
    assert to_take_in(f"file:{large}") == to_take_in(f"file:{tmp_path / 'folder'}") == wanted
    small = str(text(tmp_path / "small.txt", 1000))
    paths = {"train": str(large), "calibration": small, "evaluation": small}
    assert to_take_in(paths) == wanted + round(OF_A_BYTE * 2000)
    assert to_take_in(f"file:{small}") == 0


def test_a_library_counts_until_it_is_there(tmp_path, monkeypatch):
    """And not where the text was kept by an earlier process."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    for name in LIBRARIES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert to_take_in("wikipedia-sample") == LIBRARIES["gensim"]
    assert to_take_in("hub:org/text") == LIBRARIES["datasets"]
    kept = tmp_path / "cache" / "texts" / "wikipedia-sample.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert to_take_in("wikipedia-sample") == 0
    monkeypatch.setitem(sys.modules, "datasets", sys)
    assert to_take_in("hub:org/text") == 0


def test_what_cannot_be_read_is_left_to_whoever_reads_it():
    """Which says what is wrong, in a sentence."""
    assert to_take_in("file:/nowhere/at/all.txt") == to_take_in("file:") == to_take_in("no-such-corpus") == 0
