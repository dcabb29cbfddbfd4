"""The library: pages that are there whole, whoever was killed when.

It joins the token files, which decide what is there, with Chroma, which may be slow, torn or gone without harm.
Readers work on a snapshot of the catalogue and on immutable files, so they never wait for a writer and never see half
a page; writers go one at a time.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from smart_demo.errors import LibraryError, TokenFileDamaged
from smart_demo.store import durable, sidecar
from smart_demo.store.index import IndexUnhealthy, PageIndex, Row
from smart_demo.store.lock import FolderLock
from smart_demo.store.sidecar import Scan, Sidecar
from smart_demo.store.tokenfile import Body, Head
from smart_demo.types import Floats, Page, PageEncoding, PageId, Scope, StoredPage, TokenCodes

_Key = tuple[Scope, str, PageId]
T = TypeVar("T")
_VIEWS = 4
"""Sets of scopes whose page lists and pooled matrices are kept between searches."""
_BATCH = 500
_MAPS = 65_536


@dataclass(frozen=True, slots=True)
class LibraryReport:
    """How the library stands, for `doctor`."""

    pages: int
    damaged: tuple[str, ...]
    """One sentence for each token file that was set aside since the library was opened."""
    swept: int
    """Leftovers of killed writes that the opening removed."""
    index: str
    """`ok`, `rebuilt: why` or `unhealthy: why`."""


@dataclass(eq=False)
class _View:
    """What one set of scopes shows at one generation."""

    generation: int
    pages: tuple[StoredPage, ...]
    pooled: Floats | None = None


class Library:
    """Pages of all scopes and encoders under one data folder. Safe for threads; one process at a time."""

    def __init__(self, files: Sidecar, found: Scan, index: PageIndex | str, lock: FolderLock, codec: str) -> None:
        """Use `open`. `index` is the sentence why there is none where Chroma could not be opened at all."""
        self._files = files
        self._index = index if isinstance(index, PageIndex) else None
        self._no_index = "" if isinstance(index, PageIndex) else index
        self._lock = lock
        self._codec = codec
        self._heads: dict[_Key, Head] = {_key(head.page): head for head in found.heads}
        self._proven: set[_Key] = set()
        self._pending: set[_Key] = set()
        self._damaged = found.damaged
        self._swept = found.swept
        self._generation = 0
        self._views: dict[tuple[tuple[Scope, ...], str], _View] = {}
        self._writing = threading.RLock()
        self._catalogue = threading.Lock()
        self._stacking = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, data_dir: Path, index_dir: Path, codec: str = "int8", candidates: int = 100) -> Self:
        """Take the lock, sweep leftovers, list the pages, try Chroma in a canary and bring it into line.

        LibraryBusy where another process is there; StorageFull or LibraryError where the folders cannot be used.
        """
        _allow_many_maps()
        lock = FolderLock(index_dir)
        try:
            with durable.storage_errors(f"use {data_dir}"):
                files = Sidecar(data_dir)
            found = files.scan()
            index = _open_index(index_dir, candidates)
        except BaseException:
            lock.release()
            raise
        library = cls(files, found, index, lock, codec)
        library._reconcile()
        return library

    def add(self, scope: Scope, page: Page, encoding: PageEncoding) -> StoredPage:
        """Keep one page; when this returns it survives a crash. A page that is there already is left as it is.

        StorageFull or LibraryError where the disk refuses: the page is then not there. Chroma learns at `flush`.
        """
        key = (scope, encoding.encoder, page.id)
        if known := self._heads.get(key):
            return known.page
        prepared = sidecar.prepare(scope, page, encoding, self._codec)
        with self._changing():
            if known := self._heads.get(key):
                return known.page
            head = self._files.commit(prepared)
            with self._catalogue:
                self._heads[key] = head
                self._pending.add(key)
                self._generation += 1
        return head.page

    def flush(self) -> None:
        """Tell Chroma of the pages added since the last flush. Its trouble is reported, never raised."""
        with self._changing():
            for encoder in sorted({encoder for _, encoder, _ in self._pending}):
                self._flush(encoder)

    def remove(self, scope: Scope, file: str) -> int:
        """Remove every page of a file from one scope, under every encoder. Bytes freed; 0 if it was not there."""
        with self._changing():
            gone = [key for key in self._heads if key[0] == scope and key[2].file == file]
            pages = [self._heads[key].page for key in gone]
            try:
                self._files.remove(pages)
            finally:  # what the disk says is true, also after half of it failed
                freed = [page for page in pages if not self._files.path(page).exists()]
                self._drop(freed)
            self._files.forget_damaged(scope, file)
            for encoder in {page.encoder for page in freed}:
                self._ask(lambda index, of=encoder: index.delete(of, [_row_id(p) for p in freed if p.encoder == of]))
        return sum(page.bytes for page in freed)

    def pages(self, scopes: Sequence[Scope], encoder: str) -> tuple[StoredPage, ...]:
        """Pages of these scopes under one encoder, by scope, document name, file and number."""
        return self._view(scopes, encoder).pages

    def other_encoders(self, scope: Scope, encoder: str) -> int:
        """How many pages of a scope are kept under other encoders, and so cannot be searched with this one."""
        with self._catalogue:
            return sum(key[0] == scope and key[1] != encoder for key in self._heads)

    def pooled(self, scopes: Sequence[Scope], encoder: str) -> tuple[tuple[StoredPage, ...], Floats]:
        """`pages` and their pooled vectors (N, P), from the files. Kept until a page comes or goes; read-only."""
        with self._stacking:
            while True:
                view = self._view(scopes, encoder)
                if view.pooled is None and (matrix := self._stack(view.pages)) is not None:
                    view.pooled = matrix
                if view.pooled is not None:
                    return view.pages, view.pooled

    def nearest(self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """The `count` pages, or all if they are fewer, whose pooled vectors lie nearest to `vector` (P,).

        From Chroma where it knows all pages of these scopes, and then approximate beyond its search width; else exact.
        """
        pages = self.pages(scopes, encoder)
        wanted = min(count, len(pages))
        visible = {page.key for page in pages}
        with self._catalogue:
            waiting = any(key in self._pending for key in map(_key, pages))
        if wanted and not waiting:
            found = self._ask(lambda index: index.nearest(encoder, scopes, vector, wanted)) or []
            if len(found) == wanted and visible.issuperset(found):
                return found
        exact, matrix = self.pooled(scopes, encoder)
        order = np.argsort(-(matrix @ vector), kind="stable")[:count] if exact else ()
        return [exact[at].key for at in order]

    def tokens(self, page: StoredPage) -> TokenCodes:
        """Token states as stored, mapped from the file and proven on first use.

        A map holds a file descriptor until it is dropped. TokenFileDamaged if the file cannot prove itself: the page
        is then set aside. LibraryError once the page was removed.
        """
        return self._body(page).codes

    def encoding(self, page: StoredPage) -> PageEncoding:
        """What the backbone made of the page, decoded: states are off by what the codec says, boxes by 2^-17."""
        body = self._body(page)
        with self._reading(page):
            pooled = self._files.pooled(page)
        return PageEncoding(page.id, page.encoder, pooled, body.codes.states(), body.kinds, body.place)

    def picture(self, page: StoredPage) -> bytes:
        """WebP, at most 1,600 pixels long. LibraryError once the page was removed."""
        with self._reading(page):
            return self._files.picture(page)

    def thumbnail(self, page: StoredPage) -> bytes:
        """WebP, at most 360 pixels wide. LibraryError once the page was removed."""
        with self._reading(page):
            return self._files.thumbnail(page)

    @property
    def generation(self) -> int:
        """Changes whenever a page comes or goes."""
        return self._generation

    @property
    def report(self) -> LibraryReport:
        """How things stand now."""
        trouble = self._index.trouble if self._index else self._no_index
        rebuilt = self._index.rebuilt if self._index else ""
        state = f"unhealthy: {trouble}" if trouble else f"rebuilt: {rebuilt}" if rebuilt else "ok"
        with self._catalogue:
            return LibraryReport(len(self._heads), tuple(self._damaged), self._swept, state)

    def close(self) -> None:
        """Finish the index and let other processes in. Closing twice is fine."""
        with self._writing:
            if self._closed:
                return
            self.flush()
            self._closed = True
            if self._index:
                self._index.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._writing:
            if self._closed:
                raise LibraryError("The library is closed.")
            yield

    @contextmanager
    def _reading(self, page: StoredPage) -> Iterator[None]:
        """Turn a file that is gone, damaged or unreadable into what the caller should know."""
        name = f"Page {page.number} of {page.document}"
        with durable.storage_errors(f"read page {page.number} of {page.document}"):
            try:
                yield
            except FileNotFoundError:
                if self._files.path(page).exists():
                    raise LibraryError(f"A picture of page {page.number} of {page.document} is missing.") from None
                self._drop([page])
                raise LibraryError(f"{name} is no longer in the library.") from None
            except TokenFileDamaged as error:
                self._set_aside(page, error)
                raise

    def _body(self, page: StoredPage) -> Body:
        key = _key(page)
        with self._catalogue:
            head, proven = self._heads.get(key), key in self._proven
        if head is None:
            raise LibraryError(f"Page {page.number} of {page.document} is no longer in the library.")
        with self._reading(page):
            body = self._files.body(head, proven=proven)
        with self._catalogue:
            if self._heads.get(key) is head:
                self._proven.add(key)
        return body

    def _view(self, scopes: Sequence[Scope], encoder: str) -> _View:
        wanted = (tuple(sorted(set(scopes), key=str)), encoder)
        with self._catalogue:
            view = self._views.get(wanted)
            if view is None or view.generation != self._generation:
                pages = (h.page for key, h in self._heads.items() if key[1] == encoder and key[0] in wanted[0])
                view = _View(self._generation, tuple(sorted(pages, key=_order)))
                self._views.pop(wanted, None)
                self._views[wanted] = view
                while len(self._views) > _VIEWS:
                    del self._views[next(iter(self._views))]
            return view

    def _stack(self, pages: Sequence[StoredPage]) -> Floats | None:
        """(N, P) pooled vectors, or None if a page went away meanwhile: the caller looks again."""
        try:
            vectors = []
            for page in pages:
                with self._reading(page):
                    vectors.append(self._files.pooled(page))
        except LibraryError:
            if all(self._heads.get(_key(page)) for page in pages):
                raise  # the disk cannot be read: looking again would not end
            return None
        matrix = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
        matrix.flags.writeable = False
        return matrix

    def _drop(self, pages: Iterable[StoredPage]) -> None:
        with self._catalogue:
            for key in map(_key, pages):
                if self._heads.pop(key, None):
                    self._generation += 1
                self._proven.discard(key)
                self._pending.discard(key)

    def _set_aside(self, page: StoredPage, error: TokenFileDamaged) -> None:
        with self._writing:
            if _key(page) not in self._heads:
                return
            self._drop([page])
            self._damaged.append(f"Page {page.number} of {page.document}: {error.sentence}")
            self._files.set_aside(self._files.path(page))

    def _reconcile(self) -> None:
        """Make Chroma hold exactly the pages there are."""
        with self._writing:
            known = self._ask(PageIndex.encoders) or []
            for encoder in {*known, *(key[1] for key in self._heads)}:
                there = self._ask(lambda index, of=encoder: index.ids(of)) or set()
                wanted = {_row_id(h.page): key for key, h in self._heads.items() if key[1] == encoder}
                extra = sorted(there - wanted.keys())
                self._ask(lambda index, of=encoder, ids=extra: index.delete(of, ids))
                self._pending.update(wanted[row] for row in wanted.keys() - there)
            self.flush()

    def _flush(self, encoder: str) -> None:
        waiting = sorted((key for key in self._pending if key[1] == encoder), key=lambda key: (str(key[0]), key[2]))
        for start in range(0, len(waiting), _BATCH):
            rows = [row for key in waiting[start : start + _BATCH] if (row := self._row(key))]
            if self._ask(lambda index, some=rows: index.upsert(encoder, some) or True) is None:
                return
            with self._catalogue:
                self._pending.difference_update(waiting[start : start + _BATCH])

    def _row(self, key: _Key) -> Row | None:
        """What Chroma is told of a page; None if its file turns out to be gone or damaged."""
        page = self._heads[key].page
        try:
            with self._reading(page):
                return Row(page.scope, page.id, self._files.pooled(page))
        except LibraryError:
            return None

    def _ask(self, question: Callable[[PageIndex], T]) -> T | None:
        """Chroma's answer; None while it is unhealthy, which `report` tells."""
        if self._index is None:
            return None
        try:
            return question(self._index)
        except IndexUnhealthy:
            return None


def _open_index(index_dir: Path, candidates: int) -> PageIndex | str:
    with durable.storage_errors(f"use {index_dir}"):
        try:
            return PageIndex(index_dir, candidates)
        except IndexUnhealthy as error:
            return str(error)


def _allow_many_maps() -> None:
    """Lift this process's own limit of open files: each mapped page holds one, and many systems start at 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MAPS if hard == resource.RLIM_INFINITY else min(_MAPS, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _key(page: StoredPage) -> _Key:
    return (page.scope, page.encoder, page.id)


def _row_id(page: StoredPage) -> str:
    return f"{page.scope}/{page.id}"


def _order(page: StoredPage) -> tuple[str, str, PageId]:
    return (str(page.scope), page.document, page.id)
