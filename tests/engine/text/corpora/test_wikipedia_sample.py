"""The Wikipedia sample: prose, without the markup and the lists that surrounded it."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.text.corpora import read_corpus
from engine.text.corpora.wikipedia_sample import pretraining
from engine.text.partition import words

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def splits():
    """The sample, read once for this file."""
    return read_corpus("wikipedia-sample")


def test_there_is_enough_of_it(splits):
    """A hundred thousand words to train on, and above 20,000 to calibrate and to measure on, in at least five articles each."""
    assert sum(map(words, splits.train)) > 100_000
    assert min(sum(map(words, part)) for part in (splits.calibration, splits.evaluation)) > 20_000
    assert min(len(splits.calibration), len(splits.evaluation)) >= 5


def test_the_built_in_models_have_read_no_word_of_the_splits(splits):
    """More than half of the sample is theirs alone: no article of it, and no paragraph, is in any split."""
    theirs = pretraining()
    ours = (*splits.train, *splits.calibration, *splits.evaluation)
    assert sum(map(words, theirs)) > sum(map(words, ours))
    paragraphs = [{line for text in texts for line in text.splitlines() if line} for texts in (theirs, ours)]
    assert not set(theirs).intersection(ours) and not paragraphs[0] & paragraphs[1]


def test_no_markup_is_left(splits):
    """Neither links, templates, tables, tags, emphasis, headings nor redirects; and nearly no bracket lost its inside."""
    text = "\n".join([*splits.train, *splits.calibration, *splits.evaluation])
    assert not re.findall(r"\[\[|\{\{|\}\}|\{\||'''|<ref|</|#REDIRECT|==|\n\n|  |\(\s*[,;)]", text)


def test_what_was_parsed_once_is_read_without_the_parser(splits):
    """A second process gets the same text and need not bring in gensim."""
    assert read_corpus("wikipedia-sample") == splits  # fills this test's cache
    code = (
        "import hashlib, sys; from engine.text.corpora import read_corpus\n"
        "splits = read_corpus('wikipedia-sample')\n"
        "assert 'gensim' not in sys.modules, 'parsed again'\n"
        "print(hashlib.sha256(repr(splits).encode()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == hashlib.sha256(repr(splits).encode()).hexdigest(), done.stderr
