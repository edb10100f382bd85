"""Reads a Wikipedia dump with gensim: the title and the prose of each article. Knows nothing of which articles are wanted."""

import bz2
import re
from collections.abc import Iterator
from pathlib import Path

from gensim.corpora.wikicorpus import extract_pages, filter_wiki

SHORTEST_ARTICLE = 100  # words; below are redirects, disambiguation pages and stubs
SHORTEST_LINE = 8  # words; below are captions, table cells and list entries rather than sentences

# Sections that hold lists of links and books. What remains of them once the templates are gone is noise.
APPARATUS = re.compile(
    r"(see also|(foot)?notes.*|references.*|citations|further reading|(selected )?bibliography|(primary |secondary )?sources|"
    r"external links|works cited|literature|(selected )?filmography|(selected )?discography)",
    re.IGNORECASE,
)
HEADING = re.compile(r"^(=+)\s*(.*?)\s*=+$")


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
