"""Where a training is, on disk now and then, so that another process goes on from there; knows no event, and not what it keeps.

    checkpoints/bookmarks/000007-tuned-120/
        state.json            which training it is of, how it stood between two steps, how many lines the record of the run had,
                              and checksums
        weights.safetensors   what trains, and in files of their own
                              first, second, counts: the optimizer's moments, and its steps for each parameter
                              best: the weights with the lowest validation loss, where training keeps them
                              base: what does not train, where no checkpoint has it

Written beside its place and renamed; the two newest stay, so that one that is damaged leaves another. Tensors are written from
where they lie: on the CPU there is no second copy of them, and from an accelerator one file's at a time.

Writing takes `SHARE` of the time at most: after each one as many times as long passes as it took itself, and `FLOOR` seconds at
least. How long the first takes is foretold from its size, at a `PACE` that disks have.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.record.bookmark_names import name_of, names
from engine.record.digests import digest
from engine.record.disk import Unwritten, telling_full
from engine.record.errors import BadInput, shorten
from engine.record.extent import lines_of
from engine.record.faults import full, only
from engine.recovery.checksums import Damaged, check, sealed, unsealed
from engine.recovery.retention import check_room

SHARE, FLOOR, PACE = 1 / 60, 10.0, 2e8  # of the time; seconds; bytes a second
KEPT = 2
VARIABLE = "ESPALIER_BOOKMARK_EVERY"  # so many steps, for who wants to see one: whatever it costs
Parts = Mapping[str, Mapping[str, Tensor]]  # file → name → tensor


@dataclass(frozen=True)
class Bookmark:
    """One that was found to be as it was written: how the training stood, in plain numbers, and where its tensors lie."""

    folder: Path
    plain: Mapping[str, Any]

    def tensors(self, part: str) -> Iterator[tuple[str, Tensor]]:
        """The tensors of one file by name, each read when it is asked for; none where it has no such file."""
        path = self.folder / f"{part}.safetensors"
        if path.exists():
            with safe_open(path, "pt") as file:
                for name in file.keys():
                    yield name, file.get_tensor(name)


class Bookmarks:
    """Those of one training, which is `of` these plain facts, its "arm" among them: a bookmark of another one is none of them, as
    far as it says so.

    `with_base` says that they are to hold what does not train as well, `reserve` are the bytes that the disk must have left for
    what comes after them, and `spent` are the seconds that were spent in writing.
    """

    def __init__(
        self,
        folder: Path,
        of: Mapping[str, Any],
        *,
        with_base: bool = False,
        reserve: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.folder, self.of, self.with_base = folder, dict(of), with_base
        self.spent = 0.0
        self._reserve, self._clock = reserve, clock
        self._last, self._took, self._why = clock(), 0.0, ""
        self._every, self._faults, self._written = _every(), only("bookmark"), 0

    def begin(self, size: int) -> None:
        """The training begins, or goes on; `size` is about what one will take, in bytes."""
        self._last, self._took = self._clock(), size / PACE

    def due(self, step: int) -> bool:
        """Whether it is time for one after so many steps."""
        if self._every:
            return step % self._every == 0
        return self._clock() - self._last >= max(FLOOR, self._took / SHARE)

    def write(self, step: int, plain: Mapping[str, Any], parts: Parts) -> str:
        """Write one. Returns why that could not be done, in a clause, where the one before could; else "". Nothing of one that
        could not be written is left there."""
        began, before, self._why = self._clock(), self._why, ""
        try:
            with telling_full("A bookmark"):
                self._write(step, plain, parts)
        except Unwritten as error:
            self._why = error.why
        self._last = self._clock()
        self._took = self._last - began
        self.spent += self._took
        return "" if before else self._why

    def newest(self) -> tuple[Bookmark | None, list[str]]:
        """The newest one that is as it was written, and what was wrong with newer ones, a clause each, which are gone now."""
        said = []
        for name in names(self.folder):
            try:
                plain = unsealed(self.folder / name, always=True)
                if any(plain.get(key, value) != value for key, value in self.of.items()):
                    continue
                for file, wanted in plain["files"].items():
                    check(self.folder / name, file, wanted)
                return Bookmark(self.folder / name, plain), said
            except Damaged as error:
                said.append(error.why)
                shutil.rmtree(self.folder / name, ignore_errors=True)
        return None, said

    def _write(self, step: int, plain: Mapping[str, Any], parts: Parts) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for torn in self.folder.glob(".writing-*"):
            shutil.rmtree(torn, ignore_errors=True)
        size = sum(one.nbytes for tensors in parts.values() for one in tensors.values())
        check_room(self.folder, size + self._reserve, "A bookmark with the checkpoint after it")
        self._written += 1
        beside = Path(tempfile.mkdtemp(dir=self.folder, prefix=".writing-"))
        try:
            files = {}
            for part, tensors in parts.items():
                path = beside / f"{part}.safetensors"
                save_file({name: one.detach().cpu().contiguous() for name, one in tensors.items()}, path)
                files[path.name] = digest(path)
            if self._faults.strikes("bookmark", self._written - 1):
                raise full()
            stated = dict(plain) | self.of | {"step": step, "lines": lines_of(self.folder.parents[1]), "files": files}
            (beside / "state.json").write_text(sealed(stated), encoding="utf-8")
            os.replace(beside, self.folder / name_of(self.folder, self.of["arm"], step))
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        for name in names(self.folder)[KEPT:]:
            shutil.rmtree(self.folder / name, ignore_errors=True)


def _every() -> int:
    words = os.environ.get(VARIABLE, "")
    if words and not (words.isascii() and words.isdigit() and int(words)):
        raise BadInput(f"{VARIABLE} is {shorten(words)}; give it a number of steps from 1, or leave it out.")
    return int(words or 0)
