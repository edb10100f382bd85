"""Reading a Wikipedia dump: prose, without the markup and the lists that surrounded it."""

from engine.text.dump import prose


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
