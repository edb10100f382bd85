"""Prose of about a hundred articles from English Wikipedia; no network needed. Knows nothing of tokens or models.

The library gensim ships an excerpt of a real Wikipedia dump for its own documentation, and it is read here with gensim's
dump reader. The articles are split by title: about 90 % train, 5 % calibration, 5 % evaluation, no article in two parts.
"""

import bz2
import re
from collections.abc import Iterator
from pathlib import Path

from gensim.corpora.wikicorpus import extract_pages, filter_wiki
from gensim.test.utils import datapath

from engine.record.errors import BadInput
from engine.text.corpora import Splits
from engine.text.partition import partition

LABEL = "Wikipedia sample"
SOURCE = "built in"
LICENCE = "CC BY-SA 3.0 (the articles' authors on English Wikipedia)"

DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
HELD_OUT = 0.055  # of all words, for calibration and for evaluation each, filled with whole articles
SHORTEST_ARTICLE = 100  # words; below are redirects, disambiguation pages and stubs
SHORTEST_LINE = 8  # words; below are captions, table cells and list entries rather than sentences

# Sections that hold lists of links and books. What remains of them once the templates are gone is noise.
APPARATUS = re.compile(
    r"(see also|(foot)?notes.*|references.*|citations|further reading|(selected )?bibliography|(primary |secondary )?sources|"
    r"external links|works cited|literature|(selected )?filmography|(selected )?discography)",
    re.IGNORECASE,
)
HEADING = re.compile(r"^(=+)\s*(.*?)\s*=+$")


def read(where: str = "") -> Splits:
    """The splits of the sample; `where` must be empty, as there is only one. Takes about two seconds."""
    if where:
        raise BadInput(f"corpus 'wikipedia-sample:{where}' is not known: the sample takes nothing after its name.")
    train, calibration, evaluation = partition(dict(articles(Path(datapath(DUMP)))), HELD_OUT)
    return Splits("wikipedia-sample", train, calibration, evaluation, LICENCE)


def articles(dump: Path) -> Iterator[tuple[str, str]]:
    """Title and prose of every article in a bz2 Wikipedia dump, without redirects, stubs and pages of other namespaces."""
    with bz2.open(dump) as pages:
        for title, markup, _ in extract_pages(pages, ("0",)):
            text = prose(filter_wiki(markup or ""))
            if len(text.split()) >= SHORTEST_ARTICLE:
                yield title, text


def prose(text: str) -> str:
    """The sentences of an article, one paragraph a line.

    `filter_wiki` leaves headings, bullets, emphasis, table cells and the brackets around what was a template: those go.
    """
    kept, skipped_level = [], 0
    for line in text.splitlines():
        heading = HEADING.match(line.strip())
        if heading:
            level = len(heading[1])
            if not skipped_level or level <= skipped_level:
                skipped_level = level if APPARATUS.fullmatch(heading[2]) else 0
        elif not skipped_level and (sentence := _sentence(line)):
            kept.append(sentence)
    return "\n".join(kept)


def _sentence(line: str) -> str:
    line = re.sub(r"'{2,}", "", line).lstrip("*#:; \t")
    line = re.sub(r"\((\s*[,;:])+\s*", "(", line)  # "(; born 1885)" once the pronunciation before the semicolon is gone
    line = re.sub(r"\(\s*\)", "", line)
    line = " ".join(line.split())
    line = re.sub(r" ([,.;:)])", r"\1", line)
    # A line that starts in the small lost its subject with a template; one that ends in a colon lost its list.
    whole = not line[:1].islower() and line.endswith((".", "!", "?", '."', '!"', '?"', ".)"))
    return line if whole and "|" not in line and len(line.split()) >= SHORTEST_LINE else ""
