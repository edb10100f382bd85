"""Partition: whole documents, no document twice, the same every time."""

import random

from engine.text.partition import partition, take, words

DOCUMENTS = {f"document {number}": f"{number} " * (10 + number % 7) for number in range(200)}


def test_every_document_lands_in_one_part():
    """The three parts together are the documents, each once."""
    parts = partition(DOCUMENTS, 0.1)
    together = [text for part in parts for text in part]
    assert sorted(together) == sorted(DOCUMENTS.values())


def test_the_shares_are_those_asked_for():
    """Calibration and evaluation come to just below the share of all words, and train to the rest."""
    words = [sum(len(text.split()) for text in part) for part in partition(DOCUMENTS, 0.1)]
    assert 0.79 * sum(words) < words[0] < 0.83 * sum(words)
    assert all(0.09 * sum(words) < held <= 0.1 * sum(words) for held in words[1:])


def test_the_order_of_the_documents_does_not_matter():
    """A folder listed in another order is divided alike."""
    shuffled = list(DOCUMENTS.items())
    random.Random(0).shuffle(shuffled)
    assert partition(dict(shuffled), 0.1) == partition(DOCUMENTS, 0.1)


def test_few_documents_still_fill_every_part():
    """Of three documents each part gets one, though each is longer than a tenth."""
    parts = partition({"a": "a " * 30, "b": "b " * 20, "c": "c " * 10}, 0.1)
    assert [len(part) for part in parts] == [1, 1, 1]


def test_what_is_taken_comes_to_just_below_what_was_asked_for():
    """A text too long for what is left is passed over for a later one that fits; taken and left are all there was, in order."""
    texts = ["a " * 4, "b " * 9, "c " * 3]
    assert take(texts, 8) == (["a " * 4, "c " * 3], ["b " * 9])
    assert [words(text) for text in texts] == [4, 9, 3]


def test_a_script_without_spaces_has_words():
    """Two letters each, about; a long word among others is one."""
    assert words("春眠不觉晓，处处闻啼鸟。" * 50) == 300
    assert words("the incomprehensibilities of antidisestablishmentarianism") == 4
    parts = partition({f"{number}": f"{number} 春眠不觉晓处处闻啼鸟" * (10 + number % 7) for number in range(200)}, 0.1)
    sizes = [sum(map(len, part)) for part in parts]
    assert 0.08 * sum(sizes) < min(sizes) and max(sizes) == sizes[0]
