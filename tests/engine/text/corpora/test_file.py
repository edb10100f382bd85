"""A user's own text: what is refused, and how it is divided."""

import pytest

from engine.record.errors import BadInput
from engine.text.corpora import read_corpus
from tests.engine.text.corpora.test_corpora import write_text


def test_a_short_text_is_refused(tmp_path):
    """Nine paragraphs of a hundred words are under a thousand."""
    with pytest.raises(BadInput, match="900 words"):
        read_corpus(f"file:{write_text(tmp_path, 'text.txt', 0, paragraphs=9)}")


def test_a_text_without_spaces_is_not_too_short(tmp_path):
    """Forty paragraphs of a hundred words or more in Chinese, of which each is a document."""
    (tmp_path / "text.txt").write_text("\n\n".join(f"{number}，春眠不觉晓，处处闻啼鸟。" * 20 for number in range(40)))
    splits = read_corpus(f"file:{tmp_path / 'text.txt'}")
    assert [len(part) for part in (splits.train, splits.calibration, splits.evaluation)] == [32, 4, 4]


def test_a_folder_is_divided_by_file(tmp_path):
    """Every document of every part is one of the files, whole."""
    for number in range(20):
        write_text(tmp_path, f"{number}.md", 100 * number, paragraphs=2)
    splits = read_corpus(f"file:{tmp_path}")
    files = {file.read_text() for file in tmp_path.iterdir()}
    assert {*splits.train, *splits.calibration, *splits.evaluation} == files
    assert (len(splits.train), len(splits.calibration), len(splits.evaluation)) == (16, 2, 2)


def test_the_name_says_where_the_text_is(tmp_path):
    """The protocol of a perplexity names the file; its licence is the user's to know."""
    spec = f"file:{write_text(tmp_path, 'text.txt', 0)}"
    assert (read_corpus(spec).name, read_corpus(spec).licence) == (spec, None)
