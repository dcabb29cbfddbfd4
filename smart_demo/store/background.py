"""Which snapshots there are, and whether they are out of date. What stands in them is `snapshot`'s.

What a library does behind the page: it opens and fills Chroma, reads the heads that it took from a snapshot, and
keeps the snapshots of large scopes. Searches and writes go on meanwhile and never need any of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smart_demo.errors import SmartError
from smart_demo.store import snapshot
from smart_demo.store.catalogue import Catalogue, key_of
from smart_demo.store.page_reader import PageReader
from smart_demo.store.snapshot import Snapshot
from smart_demo.types import Scope, StoredPage

Shelf = tuple[Scope, str]
"""A scope and an encoder."""


class Snapshots:
    """The snapshots of one library, in its index folder."""

    def __init__(self, index_dir: Path) -> None:
        self._index_dir = index_dir
        self._taken: dict[Shelf, Snapshot] = {}
        self._written: dict[Shelf, int] = {}
        """With the number of the change that each was written after."""

    def read(self, scope: Scope, encoder: str) -> Snapshot | None:
        """The snapshot of a scope under an encoder, to start from."""
        found = snapshot.read(self._index_dir, scope, encoder)
        if found is not None:
            self._taken[scope, encoder] = found
        return found

    def offer(self, catalogue: Catalogue) -> None:
        """Give the vectors of the snapshots that were read to the pages that were listed from them."""
        shelves = catalogue.shelves()
        for (scope, encoder), taken in self._taken.items():
            rows, pages = [], []
            for row, head in enumerate(taken.heads.values()):
                if catalogue.get(key_of(head.page)) is head:
                    rows.append(row)
                    pages.append(head.page)
            if pages:
                whole = len(rows) == len(taken.heads)
                catalogue.offer(scope, encoder, pages, taken.pooled if whole else taken.pooled[np.array(rows)])
                count, move = shelves[scope, encoder]
                if whole and count == len(pages):
                    self._written[scope, encoder] = move
        self._taken.clear()

    def keep(
        self, catalogue: Catalogue, reader: PageReader, changing: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Write those of large scopes that are out of date, delete those that nobody needs any more.

        `changing` keeps writers out; it is entered when a snapshot stands, for a look whether it still may.
        """
        snapshot.sweep(self._index_dir)
        shelves = catalogue.shelves()
        large = {shelf: move for shelf, (count, move) in shelves.items() if count >= snapshot.WORTHWHILE}
        for scope, encoder in snapshot.there(self._index_dir):
            if (scope, encoder) not in large:
                with changing():
                    self.forget(scope, encoder)
        for (scope, encoder), move in large.items():
            if self._written.get((scope, encoder)) == move:
                continue
            pages, pooled = reader.matrix([scope], encoder)
            heads = [head for page in pages if (head := catalogue.get(key_of(page))) is not None and head.page is page]
            if len(heads) < len(pages):
                continue  # something went meanwhile: the next look tries again
            snapshot.write(self._index_dir, scope, encoder, heads, pooled)
            with changing():
                if catalogue.view([scope], encoder).pages is pages:
                    self._written[scope, encoder] = catalogue.shelves()[scope, encoder][1]
                elif (scope, encoder) not in catalogue.shelves():  # it was forgotten meanwhile
                    self.forget(scope, encoder)

    def forget(self, scope: Scope, encoder: str = "") -> None:
        """Delete the snapshots of a scope, or the one under one encoder. LibraryError where the disk refuses."""
        snapshot.forget(self._index_dir, scope, encoder)
        for shelf in [shelf for shelf in self._written if shelf[0] == scope and encoder in {"", shelf[1]}]:
            del self._written[shelf]


log = logging.getLogger(__name__)
EVERY = 300.0
"""Seconds between looks whether a snapshot is out of date."""
_SOME, _PAUSE = 100, 0.1
"""Heads that are read at a time, and seconds of rest after them: searches go first."""


@dataclass(frozen=True)
class BackgroundWork:
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


class BackgroundTasks:
    """One thread, which ends soon after it is told to."""

    def __init__(self, work: BackgroundWork) -> None:
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
