"""What a library does in the background: open and fill Chroma, check headers listed from snapshots, update snapshots.

Searches and writes run at the same time and need none of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from smart_demo.errors import SmartError
from smart_demo.types import StoredPage

log = logging.getLogger(__name__)
INTERVAL_SECONDS = 300.0
"""Seconds between checks for outdated snapshots."""
_BATCH, _PAUSE_SECONDS = 100, 0.1
"""Headers read at a time, and seconds of rest after them, so that searches go first."""


@dataclass(frozen=True)
class BackgroundWork:
    """The steps that a library wants done in the background."""

    open_index: Callable[[Callable[[], bool]], None]
    """Opens Chroma, fills it and uses it from then on, or stops early once its argument returns False. Does nothing if
    Chroma is open already.
    """
    unread: list[StoredPage]
    """Pages that were listed from a snapshot and whose headers are not read yet."""
    refresh_header: Callable[[StoredPage], None]
    """Reads the header of one such page."""
    update_snapshots: Callable[[], None]
    """Writes the snapshots that are out of date."""


class BackgroundTasks:
    """One thread that does the background work of a library until `stop` is called."""

    def __init__(self, work: BackgroundWork) -> None:
        self._work, self._stopped = work, threading.Event()
        self._thread = threading.Thread(target=self._run, name="library-background", daemon=True)

    def start(self) -> None:
        """Start the thread. Call it once."""
        self._thread.start()

    def stop(self) -> None:
        """Start no further step, and wait until the current one ends."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def running(self) -> bool:
        """Whether `stop` was not called yet."""
        return not self._stopped.is_set()

    def _run(self) -> None:
        # Snapshots come first: filling the index of a large library takes minutes.
        self._try("updating snapshots", self._work.update_snapshots)
        self._try("opening the index", self._open_index)
        self._try("reading headers", self._read_headers)
        while not self._stopped.wait(INTERVAL_SECONDS):
            self._try("updating snapshots", self._work.update_snapshots)
            self._try("opening the index", self._open_index)

    def _open_index(self) -> None:
        self._work.open_index(lambda: self.running)

    def _read_headers(self) -> None:
        unread = self._work.unread
        while unread and self.running:
            self._work.refresh_header(unread.pop())
            if len(unread) % _BATCH == 0:
                self._stopped.wait(_PAUSE_SECONDS)

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            if self.running:
                step()
        except SmartError as error:  # a full disk, for example: the library is complete without any of this
            log.warning("background task failed: %s: %s", name, type(error).__name__)
        except Exception:
            log.exception("background task failed: %s", name)
