"""What a library does behind the page: it opens and fills Chroma, reads the heads that it took from a snapshot, and
keeps the snapshots of large scopes. Searches and writes go on meanwhile and never need any of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from smart_demo.errors import SmartError
from smart_demo.types import StoredPage

log = logging.getLogger(__name__)
EVERY = 300.0
"""Seconds between looks whether a snapshot is out of date."""
_SOME, _PAUSE = 100, 0.1
"""Heads that are read at a time, and seconds of rest after them: searches go first."""


@dataclass(frozen=True)
class Work:
    """What a library gives to be done."""

    open_index: Callable[[Callable[[], bool]], None]
    """Open Chroma, tell it of everything, and use it from then on; asks now and then whether to go on. Once it is open,
    nothing."""
    unread: list[StoredPage]
    """Pages whose heads came from a snapshot,"""
    confirm: Callable[[StoredPage], None]
    """and what reads one of these heads."""
    keep_snapshots: Callable[[], None]
    """Write those that are out of date."""


class Behind:
    """One thread, which ends soon after it is told to."""

    def __init__(self, work: Work) -> None:
        self._work, self._stopped = work, threading.Event()
        self._thread = threading.Thread(target=self._run, name="behind-the-library", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """No further step; wait for the one at hand."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def goes_on(self) -> bool:
        """Whether it was not told to stop."""
        return not self._stopped.is_set()

    def _run(self) -> None:
        self._try("keeping snapshots", self._work.keep_snapshots)  # first: the index of a large library takes minutes
        self._try("opening the index", lambda: self._work.open_index(lambda: self.goes_on))
        self._try("reading heads", self._read_heads)
        while not self._stopped.wait(EVERY):
            self._try("keeping snapshots", self._work.keep_snapshots)
            self._try("opening the index", lambda: self._work.open_index(lambda: self.goes_on))

    def _read_heads(self) -> None:
        unread = self._work.unread
        while unread and self.goes_on:
            self._work.confirm(unread.pop())  # and let go of it
            if len(unread) % _SOME == 0:
                self._stopped.wait(_PAUSE)

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            if self.goes_on:
                step()
        except SmartError as error:  # a full disk, say: the library is whole without any of this
            log.warning("%s behind the page failed: %s", what, type(error).__name__)
        except Exception:
            log.exception("%s behind the page failed", what)
