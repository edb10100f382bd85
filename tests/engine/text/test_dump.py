"""Reading a Wikipedia dump: prose, without the markup and the lists that surrounded it."""

from engine.text.dump import prose


def test_sentences_of_other_scripts_are_sentences():
    """Chinese has neither spaces nor Latin full stops, Hindi has a stop of its own, Arabic a question mark."""
    for line in (
        "这是一个关于植物的长句子，它讲述了许多事情和历史。",
        "यह एक बहुत लंबा वाक्य है जो कई चीज़ों के बारे में बताता है।",
        "هل هذه جملة طويلة جدا عن أشياء كثيرة وعن تاريخ العالم؟",
        "Это очень длинное предложение о многих вещах и о истории мира.",
    ):
        assert prose(line) == line
    assert prose("植物的。") == "" and prose("这是一个关于植物的长句子，它讲述了许多事情和历史") == ""


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
