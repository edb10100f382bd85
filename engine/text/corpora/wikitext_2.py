"""WikiText-2, raw: 720 good and featured articles of English Wikipedia, from the hub. Knows nothing of tokens or models.

The official splits are kept: train, validation (calibration here) and test (evaluation). Merity, Xiong, Bradbury, Socher
(2016), "Pointer Sentinel Mixture Models".
"""

import re
from collections.abc import Iterable

from datasets import load_dataset
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HTTPError  # of whichever HTTP library this version of the hub's client is built on

from engine.record.errors import BadInput
from engine.text.corpora import Splits

LABEL = "WikiText-2"
SOURCE = "needs the network"
LIBRARY = "datasets"
LICENCE = "CC BY-SA 3.0 and GFDL (the articles' authors on English Wikipedia)"

HUB_ID, CONFIG = "Salesforce/wikitext", "wikitext-2-raw-v1"
TITLE = re.compile(r" ?= [^=]+ = ?\n?")  # " = Title = "; the sections of an article have two or more signs on each side


def read(where: str = "") -> Splits:
    """The official splits, downloaded once into the hub's cache; `BadInput` where the hub cannot be reached.

    The hub's client tries for about half a minute before it gives up.
    """
    if where:
        raise BadInput(f"corpus 'wikitext-2:{where}' is not known: wikitext-2 takes nothing after its name.")
    try:
        parts = load_dataset(HUB_ID, CONFIG)
    except (OSError, HTTPError, DatasetsError, ValueError) as error:
        # ValueError is how datasets says "not in the cache, and the hub cannot be reached".
        reason = str(error).split("\n")[0]
        raise BadInput(
            f"corpus 'wikitext-2' could not be fetched from the hub ({type(error).__name__}: {reason}); check the network, or "
            "choose 'wikipedia-sample', which is built in."
        ) from error
    train, calibration, evaluation = (articles(parts[name]["text"]) for name in ("train", "validation", "test"))
    return Splits("wikitext-2", train, calibration, evaluation, LICENCE)


def articles(lines: Iterable[str]) -> tuple[str, ...]:
    """The rows of one split as documents: a row that is a title begins the next one."""
    documents: list[list[str]] = []
    for line in lines:
        if TITLE.fullmatch(line) or not documents:
            documents.append([])
        documents[-1].append(line)
    return tuple(text for text in ("".join(document).strip() for document in documents) if text)
