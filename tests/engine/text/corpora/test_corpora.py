"""The contract of every corpus, and the one way to read them."""

import pytest

from engine.record.catalogue import CORPORA
from engine.record.errors import BadInput, UnknownName
from engine.text.corpora import Splits, read_corpus
from tests.engine.text.corpora.test_wikipedia_dump import write_dump

PARTS = ("train", "calibration", "evaluation")


def write_text(folder, name, start, paragraphs=30):
    """A file of paragraphs of 100 words that no other start gives."""
    text = "\n\n".join(" ".join(f"w{start + number}x{place}" for place in range(100)) for number in range(paragraphs))
    (folder / name).write_text(text)
    return str(folder / name)


def offline_spec(name, folder):
    """What to give `read_corpus` for one source, with files written to `folder` where it needs some."""
    if name == "file":
        return f"file:{write_text(folder, 'text.txt', 0)}"
    if name == "wikipedia-dump":
        return f"wikipedia-dump:{write_dump(folder / 'dump.xml')}"
    if name == "paths":
        return {part: write_text(folder, f"{part}.txt", 100 * place) for place, part in enumerate(PARTS)}
    return name


OFFLINE = tuple(name for name in CORPORA.names() if CORPORA.entry(name).facts["SOURCE"] != "needs the network")


@pytest.mark.parametrize("name", CORPORA.names())
def test_every_corpus_has_its_menu_entry(name):
    """A corpus says in its file what it is called, where its text comes from, and what it is."""
    entry = CORPORA.entry(name)
    assert entry.facts["LABEL"]
    assert entry.facts["SOURCE"] in ("built in", "needs the network", "your file")
    assert len(entry.help) > 40
    assert ("TAKES" in entry.facts) == ("ASKS" in entry.facts)


@pytest.mark.parametrize("name", OFFLINE)
def test_the_parts_are_disjoint_and_the_same_every_time(name, tmp_path):
    """No document, and no paragraph, of one part is in another; reading twice gives the same."""
    spec = offline_spec(name, tmp_path)
    splits = read_corpus(spec)
    assert isinstance(splits, Splits)
    assert read_corpus(spec) == splits
    lines = [{line for text in getattr(splits, part) for line in text.splitlines() if line} for part in PARTS]
    assert all(lines)
    assert not (lines[0] & lines[1] or lines[0] & lines[2] or lines[1] & lines[2])


@pytest.mark.parametrize("name", OFFLINE)
def test_train_is_the_largest_part(name, tmp_path):
    """Recovery trains on most of a text; where the user divides it, on what the user says."""
    splits = read_corpus(offline_spec(name, tmp_path))
    words = [sum(len(text.split()) for text in getattr(splits, part)) for part in PARTS]
    share = words[0] / sum(words)
    assert share == pytest.approx({"file": 0.8, "paths": 1 / 3, "wikipedia-dump": 0.9, "wikipedia-sample": 0.72}[name], abs=0.03)


def test_an_unknown_name_is_answered_with_the_nearest():
    """A slip of the keyboard costs one look at the message."""
    with pytest.raises(UnknownName, match="did you mean 'wikipedia-sample'"):
        read_corpus("wikipedia-smaple")


@pytest.mark.parametrize("spec", ["", "  ", None, 3, ["wikipedia-sample"]])
def test_what_names_no_corpus_is_refused(spec):
    """The message lists the names there are."""
    with pytest.raises(BadInput, match="wikipedia-sample"):
        read_corpus(spec)


@pytest.mark.parametrize("spec", ["wikipedia-sample:large", "file", "file:", "paths", "paths:a,b,c", "file:nowhere.txt"])
def test_a_name_with_the_wrong_thing_after_it_is_refused(spec):
    """Each source says what it takes after its name."""
    with pytest.raises(BadInput, match="give|takes nothing|needs a path"):
        read_corpus(spec)
