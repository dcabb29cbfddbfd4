"""Keeps Chroma in line with the token files, and knows when it is not: then nothing is asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np

from smart_demo.errors import SmartError
from smart_demo.store.catalogue import Key, View, key_of
from smart_demo.store.chroma_index import IndexUnhealthy, PageIndex, row_id
from smart_demo.types import Floats, PageId, Scope, StoredPage

_BATCH = 500


class ChromaUpkeep:
    """The pages that Chroma should know, and those it has yet to be told of. Its trouble never raises.

    The library's writer calls everything but `nearest`, which any thread may call.
    """

    def __init__(self, index: PageIndex) -> None:
        self._index = index
        self._pending: dict[Key, StoredPage] = {}
        self._behind: Counter[tuple[Scope, str]] = Counter()
        """Of each scope and encoder, how many are pending."""

    @property
    def state(self) -> str:
        """`ok`, `rebuilt: why` or `unhealthy: why`."""
        if self._index.trouble:
            return f"unhealthy: {self._index.trouble}"
        return f"rebuilt: {self._index.rebuilt}" if self._index.rebuilt else "ok"

    def reconcile(self, pages: Sequence[StoredPage]) -> None:
        """Delete every row that is no page, and expect every page that is no row."""
        wanted: dict[str, dict[str, StoredPage]] = {}
        for page in pages:
            wanted.setdefault(page.encoder, {})[row_id(page)] = page
        with suppress(IndexUnhealthy):
            for encoder in self._index.encoders():
                there, should = self._index.ids(encoder), wanted.get(encoder, {})
                self._index.delete(encoder, sorted(there - should.keys()))
                for row in there & should.keys():
                    del should[row]
        for missing in wanted.values():
            for page in missing.values():
                self.expect(page)

    def expect(self, page: StoredPage) -> None:
        """A page was committed; Chroma learns of it at the next flush."""
        key = key_of(page)
        self._behind[key[:2]] += key not in self._pending
        self._pending[key] = page

    def flush(
        self, vector_of: Callable[[StoredPage], Floats | None], goes_on: Callable[[], bool] = lambda: True
    ) -> None:
        """Tell Chroma of the expected pages, in batches. A page without a vector is gone and no longer expected.

        Ends before the next batch where it is not to go on.
        """
        with suppress(IndexUnhealthy):
            for encoder in sorted({page.encoder for page in self._pending.values()}):
                waiting = [page for page in self._pending.values() if page.encoder == encoder]
                for start in range(0, len(waiting), _BATCH):
                    if not goes_on():
                        return
                    self._tell(encoder, waiting[start : start + _BATCH], vector_of)

    def forget(self, pages: Iterable[StoredPage]) -> None:
        """Pages are gone."""
        rows: dict[str, list[str]] = {}
        for page in pages:
            self._settle(page)
            rows.setdefault(page.encoder, []).append(row_id(page))
        with suppress(IndexUnhealthy):
            for encoder, ids in rows.items():
                self._index.delete(encoder, ids)

    def nearest(
        self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int, view: View
    ) -> list[tuple[Scope, PageId]] | None:
        """Keys of the `count` nearest pages of the view; None where Chroma does not know exactly these pages."""
        if any(self._behind[scope, encoder] for scope in scopes):
            return None
        with suppress(IndexUnhealthy):
            found = self._index.nearest(encoder, scopes, vector, count)
            if len(found) == count and all(view.pages.position(key) is not None for key in found):
                return found
        return None

    def take_over(self, awaited: PendingUpkeep) -> None:
        """What came and went while this one was filled."""
        self.forget(awaited.gone.values())
        for page in awaited.pending:
            self.expect(page)

    @property
    def pending(self) -> list[StoredPage]:
        """Pages that Chroma has yet to be told of."""
        return list(self._pending.values())

    def is_wasteful(self, pages: int) -> bool:
        """Whether Chroma's folder is worth building anew, where the library has so many pages."""
        return self._index.is_wasteful(pages)

    def beside(self, pages: int) -> ChromaUpkeep:
        """Another one over a fresh folder with room for so many pages, of which it knows none yet. StorageFull or
        OSError if it cannot be made.
        """
        return ChromaUpkeep(self._index.beside(pages))

    def discard(self) -> None:
        """Let go of Chroma and delete its folder."""
        self._index.discard()

    @property
    def healthy(self) -> bool:
        """Whether Chroma is asked at all."""
        return not self._index.trouble

    def close(self) -> None:
        """Let go of Chroma."""
        self._index.close()

    def _tell(
        self, encoder: str, pages: Sequence[StoredPage], vector_of: Callable[[StoredPage], Floats | None]
    ) -> None:
        known = [(page, vector) for page in pages if (vector := vector_of(page)) is not None]
        if known:
            self._index.upsert(encoder, [page for page, _ in known], np.stack([vector for _, vector in known]))
        for page in pages:
            self._settle(page)

    def _settle(self, page: StoredPage) -> None:
        key = key_of(page)
        if self._pending.pop(key, None) is not None:
            self._behind[key[:2]] -= 1
            if not self._behind[key[:2]]:
                del self._behind[key[:2]]


class PendingUpkeep(ChromaUpkeep):
    """In the place of the mirror while Chroma is opened and filled: remembers what comes and goes, answers nothing."""

    def __init__(self) -> None:
        super().__init__(_NotYet())  # type: ignore[arg-type]
        self.filling: ChromaUpkeep | None = None
        """The one that will take its place."""
        self.gone: dict[Key, StoredPage] = {}
        self._trouble = ""

    def begin(self) -> None:
        """Chroma is being opened, for the first time or once more."""
        self.filling, self._trouble = None, ""

    def fail(self, error: Exception) -> None:
        """It could not be."""
        self.filling = None
        self._trouble = error.sentence if isinstance(error, SmartError) else type(error).__name__

    @property
    def state(self) -> str:
        if self._trouble:
            return f"unhealthy: {self._trouble}"
        return f"catching up: {len(self.filling.pending):,} pages to go" if self.filling else "opening"

    def forget(self, pages: Iterable[StoredPage]) -> None:
        for page in pages:
            self._settle(page)
            self.gone[key_of(page)] = page

    def flush(
        self, vector_of: Callable[[StoredPage], Floats | None], goes_on: Callable[[], bool] = lambda: True
    ) -> None:
        pass

    def nearest(
        self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int, view: View
    ) -> list[tuple[Scope, PageId]] | None:
        return None

    def is_wasteful(self, pages: int) -> bool:
        return False


class _NotYet:
    """No index."""

    trouble = "it is not open yet"

    def close(self) -> None:
        """There is nothing to let go of."""
