"""The Wikipedia sample: prose, without the markup and the lists that surrounded it."""

import re

import pytest

from engine.text.corpora import read_corpus
from engine.text.corpora.wikipedia_sample import prose


@pytest.fixture(scope="module")
def splits():
    """The sample, read once for this file."""
    return read_corpus("wikipedia-sample")


def test_there_is_enough_of_it(splits):
    """A third of a million words to train on, and above 20,000 to calibrate and to measure on, in at least five articles each."""
    words = {part: sum(len(text.split()) for text in getattr(splits, part)) for part in ("train", "calibration", "evaluation")}
    assert words["train"] > 330_000
    assert min(words["calibration"], words["evaluation"]) > 20_000
    assert min(len(splits.calibration), len(splits.evaluation)) >= 5


def test_no_markup_is_left(splits):
    """Neither links, templates, tables, tags, emphasis, headings nor redirects; and nearly no bracket lost its inside."""
    text = "\n".join([*splits.train, *splits.calibration, *splits.evaluation])
    assert not re.findall(r"\[\[|\{\{|\}\}|\{\||'''|<ref|</|#REDIRECT|==|\n\n|  |\(\s*[,;)]", text)


def test_prose_keeps_sentences_and_drops_the_apparatus():
    """Headings, captions, list entries and everything under References go, up to the next section of the same level."""
    article = """
'''Espalier''' (; from French) is the art  of training trees against a wall.

221x221px
A caption without an end
== See also ==
* A long entry of a list with more than eight words in it.
=== Deeper ===
This sentence stands below a section that is only a list of links.
== History ==
is what a sentence looks like when a template was its subject.
* The Romans trained their trees against walls, as the gardeners of Europe did later.
{| class="wikitable" | a cell of a table that was never closed in the dump.
The kinds that are still in use in gardens today are these few:
"""
    assert prose(article) == (
        "Espalier (from French) is the art of training trees against a wall.\n"
        "The Romans trained their trees against walls, as the gardeners of Europe did later."
    )
