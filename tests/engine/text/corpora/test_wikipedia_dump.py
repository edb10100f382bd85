"""A Wikipedia dump of the user's own: packed or not, whole or not, a dump or not."""

import bz2
import os
from pathlib import Path

import pytest

from engine.record.errors import BadInput
from engine.text.corpora import read_corpus, wikipedia_dump
from engine.text.corpora.wikipedia_sample import DUMP, datapath

HEAD = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo><sitename>Wikipedia</sitename></siteinfo>'


def page(title: str, text: str, namespace: int = 0) -> str:
    """One page as a dump has it."""
    revision = f"<revision><id>1</id><text>{text}</text></revision>"
    return f"<page><title>{title}</title><ns>{namespace}</ns><id>1</id>{revision}</page>"


def article(number: int) -> str:
    """Prose of more than a hundred words that no other number gives."""
    return " ".join(f"The tree of number {number} has the branch {place} in the old garden." for place in range(20))


def write_dump(path: Path, articles: int = 40) -> Path:
    """A dump of so many articles, with a redirect, a stub and a page of another namespace among them; packed by its suffix."""
    pages = [page(f"Tree {number}", article(number)) for number in range(articles)]
    pages[1:1] = [page("Tree", "#REDIRECT [[Tree 0]]"), page("Stub", "A tree is tall."), page("Talk:Tree", article(-1), 1)]
    text = f"{HEAD}{''.join(pages)}</mediawiki>".encode()
    path.write_bytes(bz2.compress(text) if path.suffix == ".bz2" else text)
    return path


def documents(splits) -> set[str]:
    """All documents, whatever their part."""
    return {*splits.train, *splits.calibration, *splits.evaluation}


def test_a_dump_is_the_same_text_packed_or_not(tmp_path):
    """Articles only, each in one part, and about as the shares say."""
    packed = read_corpus(f"wikipedia-dump:{write_dump(tmp_path / 'a.xml.bz2')}")
    plain = read_corpus(f"wikipedia-dump:{write_dump(tmp_path / 'b.xml')}")
    assert documents(packed) == {article(number) for number in range(40)}
    assert (packed.train, packed.calibration, packed.evaluation) == (plain.train, plain.calibration, plain.evaluation)
    assert (len(packed.train), len(packed.calibration), len(packed.evaluation)) == (36, 2, 2)
    assert packed.name == f"wikipedia-dump:{tmp_path / 'a.xml.bz2'}" and "CC BY-SA" in packed.licence


def test_the_sample_is_a_dump_like_any_other():
    """Both come from one reader: the documents of the dump that gensim ships are those of the built-in sample."""
    from engine.text.corpora.wikipedia_sample import pretraining

    splits = read_corpus(f"wikipedia-dump:{datapath(DUMP)}")
    assert documents(splits) == documents(read_corpus("wikipedia-sample")) | set(pretraining())


def test_no_more_than_the_first_articles_are_read(tmp_path, monkeypatch):
    """What follows them is not even looked at: here it is missing."""
    monkeypatch.setattr(wikipedia_dump, "ARTICLES", 10)
    path = write_dump(tmp_path / "a.xml")
    whole = path.read_text()
    path.write_text(whole[: whole.index("Tree 20")])
    assert documents(read_corpus(f"wikipedia-dump:{path}")) == {article(number) for number in range(10)}


def test_another_file_at_the_same_path_is_read_anew(tmp_path):
    """What is kept is of one file, told by its size and time."""
    path = write_dump(tmp_path / "a.xml", 4)
    first = read_corpus(f"wikipedia-dump:{path}")
    write_dump(path, 5)
    os.utime(path, (1, 1))
    assert len(documents(first)) == 4 and len(documents(read_corpus(f"wikipedia-dump:{path}"))) == 5


BROKEN = {
    "half a bz2": ("a.xml.bz2", lambda path: path.write_bytes(path.read_bytes()[:-40]), "cut short.*fetch it again"),
    "a bad bz2": ("a.xml.bz2", lambda path: path.write_bytes(b"BZh9" + b"x" * 99), "damaged"),
    "half an XML": ("a.xml", lambda path: path.write_bytes(path.read_bytes()[:-400]), "cut short|no Wikipedia dump"),
    "plain text": ("a.xml", lambda path: path.write_text("The tree of the garden."), "no Wikipedia dump"),
    "another XML": ("a.xml", lambda path: path.write_text("<html><body/></html>"), "no Wikipedia dump"),
    "nothing": ("a.xml", lambda path: path.write_bytes(b""), "no Wikipedia dump"),
    "an archive": ("a.xml", lambda path: path.write_bytes(b"PK\3\4" + bytes(99)), "no Wikipedia dump"),
    "no articles": ("a.xml", lambda path: path.write_text(f"{HEAD}{page('Tree', 'Short.')}</mediawiki>"), "0 articles"),
    "a page without a title": ("a.xml", lambda path: path.write_text(f"{HEAD}<page><ns>0</ns></page></mediawiki>"), "no Wiki"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_no_whole_dump_is_refused(how, tmp_path):
    """In one sentence that names the file."""
    name, breaking, why = BROKEN[how]
    path = write_dump(tmp_path / name)
    breaking(path)
    with pytest.raises(BadInput, match=why) as refused:
        read_corpus(f"wikipedia-dump:{path}")
    assert "corpus dump" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("where", ["", "nowhere.xml.bz2", "."])
def test_a_path_that_is_no_file_is_refused(where):
    """The message says what to write."""
    with pytest.raises(BadInput, match="write wikipedia-dump:PATH"):
        read_corpus(f"wikipedia-dump:{where}")
