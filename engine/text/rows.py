"""The texts in a dataset of the library `datasets`, from the hub or a folder, up to a bound; knows nothing of what they are for.

The rows are streamed, so that of a dataset of terabytes only the beginning is fetched.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import datasets
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import logging as hub_logging

from engine.record.errors import BadInput, shorten

COLUMN = "text"
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


def texts(opened: Opened, split: str, words: int) -> tuple[str, ...]:
    """The first texts of a split, empty ones and repetitions left out, up to the one that makes them `words` words or more.

    They are in the column "text", or in the only column of strings. Raises `BadInput`, with the columns, where there is no such.
    """
    found: dict[str, None] = {}
    with _in_a_sentence(opened.name):
        column = None
        for row in opened.splits[split]:
            column = column or _column(opened.name, row)
            text = (row[column] or "").strip()
            if text and text not in found:
                found[text] = None
                words -= len(text.split())
            if words <= 0:
                break
    return tuple(found)


def _column(name: str, row: dict[str, object]) -> str:
    strings = [column for column, value in row.items() if isinstance(value, str)]
    if COLUMN in strings:
        return COLUMN
    if len(strings) == 1:
        return strings[0]
    raise BadInput(
        f"corpus hub {shorten(name)} has {'several columns' if strings else 'no column'} of text and none is called {COLUMN!r}; "
        f"its columns are {', '.join(row)}, so choose another dataset or rename one."
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
