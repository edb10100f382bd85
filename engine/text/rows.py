"""The texts in a dataset of the library `datasets`, from the hub or a folder, up to a bound; knows nothing of what they are for.

The rows are streamed, so that of a dataset of terabytes only the beginning is fetched.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice

import datasets
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import logging as hub_logging

from engine.record.errors import BadInput, counted, shorten
from engine.text.partition import words

COLUMNS = ("text", "content")  # by these names texts go
LOOK = 100  # rows, to see which columns hold text
LOGS = (datasets.logging, hub_logging)


@dataclass(frozen=True)
class Opened:
    """A dataset as it can be read: its splits by name, each a stream of rows, and its licence, None where it tells none."""

    name: str
    splits: dict[str, datasets.IterableDataset]
    licence: str | None


def open_dataset(path: str, config: str | None) -> Opened:
    """A dataset by its id on the hub, or by the path of a folder of parquet, JSON, CSV or text files. Fetches no rows yet.

    Raises `BadInput` where there is none, where a configuration must be named, and where the hub cannot be reached or says no.
    """
    with _in_a_sentence(path):
        builder = datasets.load_dataset_builder(path, config)
        splits = builder.as_streaming_dataset()
    return Opened(path, dict(splits), builder.info.license or None)


def texts(opened: Opened, split: str, most: int) -> tuple[str, ...]:
    """The first texts of a split, empty ones and repetitions left out, up to the one that makes them `most` words or more.

    They are in the column "text"; where there is none, in "content", or in the only column of strings. Any cell may be empty.
    Raises `BadInput`, with the columns, where there is no such.
    """
    found: dict[str, None] = {}
    with _in_a_sentence(opened.name):
        rows = iter(opened.splits[split])
        head = list(islice(rows, LOOK))
        column = _column(opened.name, head) if head else ""
        for row in chain(head, rows):
            text = (row[column] or "").strip()
            if text and text not in found:
                found[text] = None
                most -= words(text)
            if most <= 0:
                break
    return tuple(found)


def _column(name: str, head: Sequence[Mapping[str, object]]) -> str:
    """The column of text, as the first rows have it: any cell may be empty, and all where it is called by its name."""
    columns = list(dict.fromkeys(column for row in head for column in row))
    strings = [column for column in columns if any(isinstance(row.get(column), str) for row in head)]
    empty = [column for column in columns if all(row.get(column) is None for row in head)]
    named = [one for one in COLUMNS if one in strings] or [one for one in COLUMNS if one in empty]
    if named or len(strings) == 1:
        return (named or strings)[0]
    found = f"no column with text in its first {counted(len(head), 'row')}"
    if strings:
        found = f"several columns of text and none is called {' or '.join(map(repr, COLUMNS))}"
    raise BadInput(
        f"corpus hub {shorten(name)} has {found}; its columns are {', '.join(columns)}, so choose another dataset or rename one."
    )


@contextmanager
def _in_a_sentence(name: str) -> Iterator[None]:
    bars, levels = datasets.are_progress_bars_disabled(), [each.get_verbosity() for each in LOGS]
    datasets.disable_progress_bars()
    for log in LOGS:
        log.set_verbosity_error()
    try:
        yield
    except BadInput:
        raise
    except StopIteration as error:  # which has no words of its own
        raise BadInput(f"corpus hub {shorten(name)} cannot be read: one of its JSON files is empty; take it out.") from error
    except (OSError, HTTPError, DatasetsError, ValueError, RuntimeError) as error:
        reason = shorten(" ".join(str(error).split()), 200)
        raise BadInput(
            f"corpus hub {shorten(name)} cannot be read ({type(error).__name__}: {reason}); check its name and configuration "
            "(hub:ID/CONFIG) and the network, or choose 'wikipedia-sample', which is built in."
        ) from error
    finally:
        for log, level in zip(LOGS, levels, strict=True):
            log.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()
