"""Three paths: each its own text."""

import shutil

import pytest

from engine.record.errors import BadInput
from engine.text.corpora import read_corpus
from tests.engine.text.corpora.test_corpora import PARTS, write_text


@pytest.fixture
def three(tmp_path):
    """Three files, one a part."""
    return {part: write_text(tmp_path, f"{part}.txt", 100 * place) for place, part in enumerate(PARTS)}


def test_each_part_is_its_file(three):
    """The words of a part are those of the path that was given for it."""
    splits = read_corpus(three)
    for place, part in enumerate(PARTS):
        assert getattr(splits, part)[0].startswith(f"w{100 * place}x0 ")


def test_the_same_file_twice_is_refused(three, tmp_path):
    """Also by another spelling of its path, and as a copy under another name."""
    again = f"{tmp_path}/../{tmp_path.name}/train.txt"
    with pytest.raises(BadInput, match="train and evaluation overlap"):
        read_corpus(three | {"evaluation": again})
    copy = shutil.copy(three["train"], tmp_path / "copy.txt")
    with pytest.raises(BadInput, match="train and evaluation both hold"):
        read_corpus(three | {"evaluation": str(copy)})


def test_a_folder_around_another_part_is_refused(three, tmp_path):
    """A folder holds the file that lies in it."""
    with pytest.raises(BadInput, match="overlap"):
        read_corpus(three | {"evaluation": str(tmp_path)})


@pytest.mark.parametrize("change", [{"test": "x"}, {"evaluation": None}, {"evaluation": 3}])
def test_other_keys_and_values_are_refused(three, change):
    """The message names the three keys."""
    with pytest.raises(BadInput, match="train, calibration, evaluation"):
        read_corpus(three | change)


def test_a_missing_part_is_refused(three):
    """Two paths are not three."""
    del three["calibration"]
    with pytest.raises(BadInput, match="three paths"):
        read_corpus(three)
