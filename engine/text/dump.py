"""Reads a Wikipedia dump with gensim: the title and the prose of each article. Knows nothing of which articles are wanted."""

import bz2
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import ParseError

from gensim.corpora.wikicorpus import extract_pages, filter_wiki

from engine.record.errors import BadInput, shorten
from engine.text.partition import words

SHORTEST_ARTICLE = 100  # words; below are redirects, disambiguation pages and stubs
SHORTEST_LINE = 8  # words; below are captions, table cells and list entries rather than sentences

# Sections that hold lists of links and books. What remains of them once the templates are gone is noise.
APPARATUS = re.compile(
    r"(see also|(foot)?notes.*|references.*|citations|further reading|(selected )?bibliography|(primary |secondary )?sources|"
    r"external links|works cited|literature|(selected )?filmography|(selected )?discography)",
    re.IGNORECASE,
)
# How a whole sentence ends, in Latin writing, and in Chinese and Japanese, Indic, Arabic, Urdu and Armenian. The text that the
# built-in models were trained on is read by the first line: one more mark there would make it another.
LATIN = (".", "!", "?", '."', '!"', '?"', ".)")
OTHERS = tuple(end + mark for end in "。！？।॥؟۔։" for mark in ("", "”", "」", "』", ")", "）"))
HEADING = re.compile(r"^(=+)\s*(.*?)\s*=+$")


def articles(dump: Path) -> Iterator[tuple[str, str]]:
    """Title and prose of every article in a Wikipedia dump, as XML or as XML in bz2, one after another as they stand there.

    Redirects, stubs and pages of other namespaces are left out. Raises `BadInput` for a file that is no such dump, or that ends
    before its end, when the reading comes to that.
    """
    with _opened(dump) as pages:
        steps = extract_pages(pages, ("0",))
        while (page := _next(steps, dump)) is not None:
            title, markup, _ = page
            text = prose(filter_wiki(markup or ""))
            if words(text) >= SHORTEST_ARTICLE:
                yield title, text


def _opened(dump: Path) -> BinaryIO:
    try:
        with dump.open("rb") as file:
            packed = file.read(3) == b"BZh"
        return bz2.open(dump) if packed else dump.open("rb")
    except OSError as error:
        raise BadInput(f"corpus dump {shorten(str(dump))} cannot be read ({error.strerror}); give the path of a dump.") from error


def _next(steps: Iterator[tuple], dump: Path) -> tuple | None:
    try:
        return next(steps, None)
    except EOFError as error:
        raise BadInput(f"corpus dump {shorten(str(dump))} is cut short: its bz2 has no end; fetch it again.") from error
    except OSError as error:
        raise BadInput(f"corpus dump {shorten(str(dump))} is damaged ({error}); fetch it again.") from error
    except ParseError as error:
        if error.position > (1, 0) and "no element" in str(error):
            raise BadInput(f"corpus dump {shorten(str(dump))} is cut short: its XML has no end; fetch it again.") from error
        raise BadInput(_no_dump(dump, str(error))) from error
    except (ValueError, AttributeError, RuntimeError) as error:  # another kind of XML; a page without a title; an empty file
        raise BadInput(_no_dump(dump, str(error))) from error


def _no_dump(dump: Path, why: str) -> str:
    return (
        f"corpus dump {shorten(str(dump))} is no Wikipedia dump ({shorten(why, 80)}); give the pages-articles file of one, as "
        ".xml or .xml.bz2."
    )


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
    whole = not line[:1].islower() and line.endswith(LATIN + OTHERS)
    return line if whole and "|" not in line and words(line) >= SHORTEST_LINE else ""
