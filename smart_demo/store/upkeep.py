"""What keeps a library's index and snapshots in step with its pages.

`ChromaUpkeep` keeps Chroma's rows equal to the pages, and answers only while they are. `BackgroundTasks` opens and
fills Chroma, checks headers that were listed from snapshots, and updates the snapshots. Searches and writes run at the
same time and need none of it.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from smart_demo.errors import SmartError
from smart_demo.store.catalogue import GroupKey, View
from smart_demo.store.chroma_index import IndexUnhealthy, PageIndex, row_id
from smart_demo.store.token_file import StoredKey, stored_key
from smart_demo.types import Floats, PageId, Scope, StoredPage

log = logging.getLogger(__name__)
INTERVAL_SECONDS = 300.0
"""Seconds between checks for outdated snapshots."""
_FLUSH_BATCH = 500
"""Rows written to Chroma at a time."""
_HEADER_BATCH, _PAUSE_SECONDS = 100, 0.1
"""Headers read at a time, and seconds of rest after them, so that searches go first."""


class ChromaUpkeep:
    """The pages that Chroma should contain, and those still to be written to it. Never raises for Chroma's errors.

    Only the library's writer calls it, except `nearest`, which any thread may call.
    """

    def __init__(self, index: PageIndex) -> None:
        self._index = index
        self._pending: dict[StoredKey, StoredPage] = {}
        self._pending_counts: Counter[GroupKey] = Counter()
        """Number of pending pages of each scope and encoder."""

    @property
    def state(self) -> str:
        """`ok`, `rebuilt: why` or `unhealthy: why`."""
        if self._index.failure:
            return f"unhealthy: {self._index.failure}"
        return f"rebuilt: {self._index.rebuild_reason}" if self._index.rebuild_reason else "ok"

    @property
    def healthy(self) -> bool:
        """Whether Chroma is used."""
        return not self._index.failure

    @property
    def pending(self) -> list[StoredPage]:
        """Pages still to be written to Chroma."""
        return list(self._pending.values())

    def reconcile(self, pages: Sequence[StoredPage]) -> None:
        """Delete every row that is not among the pages, and enqueue every page that has no row."""
        missing: dict[str, dict[str, StoredPage]] = {}
        for page in pages:
            missing.setdefault(page.encoder, {})[row_id(page)] = page
        with suppress(IndexUnhealthy):
            for encoder in self._index.encoders():
                rows, expected = self._index.ids(encoder), missing.get(encoder, {})
                self._index.delete(encoder, sorted(rows - expected.keys()))
                for row in rows & expected.keys():
                    del expected[row]
        for by_row in missing.values():
            for page in by_row.values():
                self.enqueue(page)

    def enqueue(self, page: StoredPage) -> None:
        """Note a committed page, to be written to Chroma at the next flush."""
        key = stored_key(page)
        self._pending_counts[key[:2]] += key not in self._pending
        self._pending[key] = page

    def flush(
        self, vector_of: Callable[[StoredPage], Floats | None], keep_going: Callable[[], bool] = lambda: True
    ) -> None:
        """Write the pending pages to Chroma in batches, until `keep_going` returns False before one.

        vector_of: returns a page's pooled vector, or None for a page that was deleted, which is dequeued.
        """
        with suppress(IndexUnhealthy):
            for encoder in sorted({page.encoder for page in self._pending.values()}):
                pages = [page for page in self._pending.values() if page.encoder == encoder]
                for start in range(0, len(pages), _FLUSH_BATCH):
                    if not keep_going():
                        return
                    self._upsert(encoder, pages[start : start + _FLUSH_BATCH], vector_of)

    def delete(self, pages: Iterable[StoredPage]) -> None:
        """Delete the rows of deleted pages and dequeue them."""
        rows: dict[str, list[str]] = {}
        for page in pages:
            self._dequeue(page)
            rows.setdefault(page.encoder, []).append(row_id(page))
        with suppress(IndexUnhealthy):
            for encoder, ids in rows.items():
                self._index.delete(encoder, ids)

    def nearest(
        self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int, view: View
    ) -> list[tuple[Scope, PageId]] | None:
        """Return the keys of the `count` pages of the view nearest to `vector`, or None if Chroma's rows differ."""
        if any(self._pending_counts[scope, encoder] for scope in scopes):
            return None
        with suppress(IndexUnhealthy):
            found = self._index.nearest(encoder, scopes, vector, count)
            if len(found) == count and all(view.pages.position(key) is not None for key in found):
                return found
        return None

    def apply_changes_of(self, unopened: UnopenedChroma) -> None:
        """Apply the pages added and deleted while this one was filled."""
        self.delete(unopened.deleted.values())
        for page in unopened.pending:
            self.enqueue(page)

    def is_wasteful(self, pages: int) -> bool:
        """Return whether Chroma's folder should be rebuilt, in a library of `pages` pages."""
        return self._index.is_wasteful(pages)

    def open_next(self, pages: int) -> ChromaUpkeep:
        """Return a new one over an empty folder for `pages` pages. Raises StorageFull or OSError if it cannot."""
        return ChromaUpkeep(self._index.open_next(pages))

    def delete_folder(self) -> None:
        """Close Chroma and delete its folder."""
        self._index.delete_folder()

    def close(self) -> None:
        """Close Chroma."""
        self._index.close()

    def _upsert(
        self, encoder: str, pages: Sequence[StoredPage], vector_of: Callable[[StoredPage], Floats | None]
    ) -> None:
        found = [(page, vector) for page in pages if (vector := vector_of(page)) is not None]
        if found:
            self._index.upsert(encoder, [page for page, _ in found], np.stack([vector for _, vector in found]))
        for page in pages:
            self._dequeue(page)

    def _dequeue(self, page: StoredPage) -> None:
        key = stored_key(page)
        if self._pending.pop(key, None) is not None:
            self._pending_counts[key[:2]] -= 1
            if not self._pending_counts[key[:2]]:
                del self._pending_counts[key[:2]]


class UnopenedChroma(ChromaUpkeep):
    """Replaces `ChromaUpkeep` until Chroma is open and filled: records what is added and deleted, answers no search."""

    def __init__(self) -> None:
        super().__init__(_UnopenedIndex())  # type: ignore[arg-type]
        self.filling: ChromaUpkeep | None = None
        """The one that is being filled and will replace this one, if any."""
        self.deleted: dict[StoredKey, StoredPage] = {}
        self._failure = ""

    def begin(self) -> None:
        """Note that Chroma is being opened, for the first time or again."""
        self.filling, self._failure = None, ""

    def fail(self, error: Exception) -> None:
        """Note that Chroma could not be opened."""
        self.filling = None
        self._failure = error.sentence if isinstance(error, SmartError) else type(error).__name__

    @property
    def state(self) -> str:
        if self._failure:
            return f"unhealthy: {self._failure}"
        return f"catching up: {len(self.filling.pending):,} pages to go" if self.filling else "opening"

    def delete(self, pages: Iterable[StoredPage]) -> None:
        for page in pages:
            self._dequeue(page)
            self.deleted[stored_key(page)] = page

    def flush(
        self, vector_of: Callable[[StoredPage], Floats | None], keep_going: Callable[[], bool] = lambda: True
    ) -> None:
        pass

    def nearest(
        self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int, view: View
    ) -> list[tuple[Scope, PageId]] | None:
        return None

    def is_wasteful(self, pages: int) -> bool:
        return False


class _UnopenedIndex:
    """The index before Chroma is open."""

    failure = "it is not open yet"

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


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
            if len(unread) % _HEADER_BATCH == 0:
                self._stopped.wait(_PAUSE_SECONDS)

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            if self.running:
                step()
        except SmartError as error:  # a full disk, for example: the library is complete without any of this
            log.warning("background task failed: %s: %s", name, type(error).__name__)
        except Exception:
            log.exception("background task failed: %s", name)
