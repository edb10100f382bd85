"""A model of the hub into the hub's own cache, with progress, resumed where it broke off; knows nothing of what is in the files.

Weights are fetched here, into `blobs/` of that cache's documented layout, because the hub's client throws away what it has of a
file when it is stopped; the small files, and all that makes a file findable, are the client's. Every failure is one sentence.
"""

import os
import re
import shutil
import threading
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import DryRunFileInfo, HfApi, get_hf_file_metadata, hf_hub_url, snapshot_download
from huggingface_hub.errors import DryRunError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

from engine.models.headers import INDEX, WEIGHTS
from engine.models.reading import quiet, read_config
from engine.models.refused import NotWhole, in_a_sentence, no_room, no_weights
from engine.models.stored import BUFFERS
from engine.record.digests import digest
from engine.record.errors import BadInput
from engine.record.exclusive import alone
from engine.record.lifecycle import Progressed

# What a model folder on the hub holds besides weights, a template of chats among it; the same weights in other formats are left.
SMALL = ["*.json", "*.jinja", "*.txt", "tokenizer.model"]
WANTED = [*SMALL, WEIGHTS, INDEX, "model-*.safetensors", BUFFERS]
PART = ".espalier.incomplete"  # how the name of a file ends that is there in part
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
NAP = 0.5  # seconds between two reports


class _GivenUp(Exception):
    """Ends a download that nobody waits for any more; never leaves this module."""


class _Counted:
    """A file that says how much was written to it, and that takes no more once it is to stop."""

    def __init__(self, file: BinaryIO, stop: threading.Event, told: Callable[[int], None]):
        self.file, self.stop, self.told = file, stop, told

    def write(self, data: bytes) -> int:
        if self.stop.is_set():
            raise _GivenUp
        self.told(len(data))
        return self.file.write(data)

    def seek(self, *where: int) -> int:
        return self.file.seek(*where)

    def tell(self) -> int:
        return self.file.tell()

    def truncate(self) -> int:
        here, end = self.file.tell(), self.file.seek(0, os.SEEK_END)
        self.told(here - end)
        return self.file.truncate(self.file.seek(here))

    def flush(self) -> None:
        self.file.flush()


def fetching(hub_id: str, revision: str | None) -> Generator[Progressed, None, Path]:
    """The folder of a model in the hub's cache, with its config, tokenizer and safetensors; says how far the download is.

    What is there already is used, also where the hub cannot be reached. Whoever stops asking stops the download; what came so
    far is kept, and a later call goes on from there. Raises `BadInput` where the hub cannot be reached or says no (no such model,
    no such revision, permission needed), where the model is not supported or has no safetensors, which is known before its
    gigabytes are fetched, where it is there in part only, and for a full disk.
    """
    asked = {"repo_id": hub_id, "revision": revision}
    with in_a_sentence(hub_id, revision), quiet():
        folder = Path(_snapshot(**asked, allow_patterns=["config.json"]))
        read_config(folder)
        missing = _missing(hub_id, asked)
        total = sum(file.file_size or 0 for file in missing)
        needed = total - sum(part.stat().st_size for part in (folder.parents[1] / "blobs").glob(f"*{PART}"))
        if needed > (free := shutil.disk_usage(folder).free):
            raise BadInput(no_room(hub_id, needed, free))
        if missing:
            yield from _downloaded(hub_id, missing, total)
        folder = Path(_snapshot(**asked, allow_patterns=WANTED, ignore_patterns=["*/*"]))
        if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
            raise NotWhole
    return folder


def _snapshot(**asked) -> str | list[DryRunFileInfo]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a disk that is nearly full: that is told here, as a refusal
        return snapshot_download(**asked)


def _missing(hub_id: str, asked: dict[str, str | None]) -> list[DryRunFileInfo]:
    """The weights that are still to come; none where the hub cannot be asked, since then nothing can come."""
    try:
        files = _snapshot(**asked, allow_patterns=WANTED, ignore_patterns=["*/*"], dry_run=True)
    except DryRunError:
        return []
    weights = [file for file in files if file.filename.endswith(".safetensors")]
    if not weights:
        there = [one.rfilename for one in HfApi().model_info(**asked).siblings or ()]
        raise BadInput(no_weights(hub_id, [name for name in there if name.endswith(PICKLES)]))
    return [file for file in weights if file.will_download]


def _downloaded(hub_id: str, missing: list[DryRunFileInfo], total: int) -> Generator[Progressed, None, None]:
    """Fetch the files in a thread of their own, and say from this one how far that is."""
    stop, lock, done = threading.Event(), threading.Lock(), 0

    def told(size: int) -> None:
        nonlocal done
        with lock:
            done += size

    def fetch() -> None:
        for file in missing:
            _fetch(hub_id, file, stop, told)

    worker = ThreadPoolExecutor(1, thread_name_prefix="fetch")
    fetched: Future[None] = worker.submit(fetch)
    try:
        yield Progressed(f"fetching {hub_id}", 0, total, "bytes")
        while wait([fetched], timeout=NAP).not_done:
            yield Progressed(f"fetching {hub_id}", min(done, total), total, "bytes")
        fetched.result()
        yield Progressed(f"fetching {hub_id}", total, total, "bytes")
    finally:
        stop.set()
        worker.shutdown(wait=False)


def _fetch(hub_id: str, file: DryRunFileInfo, stop: threading.Event, told: Callable[[int], None]) -> None:
    url = hf_hub_url(hub_id, file.filename, revision=file.commit_hash)
    facts = get_hf_file_metadata(url)
    blob = Path(file.local_path).parents[2] / "blobs" / facts.etag
    # Beside the file that it will be, so that putting it there is a rename. Whoever else fetches it meanwhile waits at its lock.
    part = blob.with_name(f"{blob.name}{PART}")
    with alone(part):
        if not blob.exists():
            with part.open("r+b") as opened:
                have = opened.seek(0, os.SEEK_END)
                told(have)
                into = _Counted(opened, stop, told)
                http_get(url, into, resume_size=have, headers=build_hf_headers(), expected_size=facts.size)
            _check(part, facts.etag)
            os.replace(part, blob)
        part.unlink(missing_ok=True)


def _check(part: Path, etag: str) -> None:
    """The hub names a large file by the hash of what is in it. One that turns out to be another is thrown away."""
    if not re.fullmatch("[0-9a-f]{64}", etag):
        return
    if digest(part) != etag:
        part.unlink()
        raise NotWhole
