"""The events file of a run as the threads of one process write it, waiting where the disk takes no more; knows no command.

Whoever appends is held until the line is written, and so is what is being done. No event is lost, and none is written twice.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.record.disk import why_full
from engine.record.events import ENDS
from engine.record.folder import Writer
from engine.record.lifecycle import Degraded

PAUSE = 1.0  # seconds between two tries


class Journal:
    """Nothing is written after the event that ends the run. `stay` says whether anybody still waits for what is written."""

    def __init__(self, folder: Path, stay: Callable[[], bool] = lambda: True, nap: Callable[[float], None] = time.sleep):
        self._writer = Writer(folder / "events.jsonl")
        self._stay, self._nap = stay, nap
        self._lock = threading.Lock()
        self._over = False

    def append(self, fact: object) -> None:
        """Write an event, as soon as that can be done, and then that it had to wait; raises `OSError` once nobody stays."""
        with self._lock:
            if self._over:
                return
            why, began = self._written(fact), time.monotonic()
            while why and self._stay():
                self._nap(PAUSE)
                last, why = why, self._written(fact)
                if not why and not isinstance(fact, ENDS):
                    waited = time.monotonic() - began
                    self._written(Degraded("going on", f"a wait of {waited:.0f} s", f"no event could be written ({last})"))
            if why:
                raise OSError(why)
            self._over = isinstance(fact, ENDS)

    def offer(self, fact: object) -> None:
        """Write an event that may be missing: nothing on a disk that takes no more."""
        with self._lock, suppress(OSError):
            if not self._over:
                self._writer.append(fact)

    def close(self) -> None:
        """Give the file back; harmless a second time."""
        self._writer.close()

    def _written(self, fact: object) -> str | None:
        """Why an event could not be written; None where it was."""
        try:
            self._writer.append(fact)
        except OSError as error:
            if (why := why_full(error)) is None:
                raise
            return why
        return None
