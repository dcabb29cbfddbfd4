"""The library: pages that are there whole, whoever was killed when.

It joins the token files, which decide what is there, with Chroma, which may be slow, torn or gone without harm.
Readers work on a snapshot of the catalogue and on immutable files, so they never wait for a writer and never see half
a page; writers go one at a time.
"""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from smart_demo.errors import LibraryError, TokenFileDamaged
from smart_demo.store import durable, sidecar
from smart_demo.store.catalogue import Catalogue, View
from smart_demo.store.index import PageIndex
from smart_demo.store.lock import FolderLock
from smart_demo.store.mirror import Mirror
from smart_demo.store.sidecar import Scan, Sidecar
from smart_demo.store.tokenfile import Body
from smart_demo.types import Floats, Page, PageEncoding, PageId, Scope, StoredPage, TokenCodes

_MAPS = 4_096
"""Token files that stay mapped between searches, where the system allows so many open files."""


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


class Library:
    """Pages of all scopes and encoders under one data folder. Safe for threads; one process at a time."""

    def __init__(self, files: Sidecar, found: Scan, mirror: Mirror, lock: FolderLock, codec: str) -> None:
        """Use `open`."""
        self._files = files
        self._catalogue = Catalogue(found.heads, maps=_allow_many_maps())
        self._mirror = mirror
        self._lock = lock
        self._codec = codec
        self._damaged = found.damaged
        self._swept = found.swept
        self._writing = threading.RLock()
        self._stacking = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, data_dir: Path, index_dir: Path, codec: str = "int8", candidates: int = 100) -> Self:
        """Take the lock, sweep leftovers, list the pages, try Chroma in a canary and bring it into line.

        LibraryBusy where another process is there; StorageFull or LibraryError where the folders cannot be used.
        """
        lock = FolderLock(index_dir)
        try:
            with durable.storage_errors(f"use {data_dir}"):
                files = Sidecar(data_dir)
            found = files.scan()
            with durable.storage_errors(f"use {index_dir}"):
                mirror = Mirror(PageIndex(index_dir, candidates))
            library = cls(files, found, mirror, lock, codec)
            mirror.reconcile(library._catalogue.all())
            library.flush()
        except BaseException:
            lock.release()
            raise
        return library

    def add(self, scope: Scope, page: Page, encoding: PageEncoding, seconds: float = 0.0) -> StoredPage:
        """Keep one page; when this returns it survives a crash. A page that is there already is left as it is.

        `seconds` is what it took so far, 0 where nobody measured.
        StorageFull or LibraryError where the disk refuses: the page is then not there. Chroma learns at `flush`.
        """
        key = (scope, encoding.encoder, page.id)
        if known := self._catalogue.get(key):
            return known.page
        prepared = sidecar.prepare(scope, page, encoding, self._codec, seconds)
        with self._changing():
            if known := self._catalogue.get(key):
                return known.page
            head = self._files.commit(prepared)
            self._mirror.expect(head.page)
            self._catalogue.add(head)
        return head.page

    def flush(self) -> None:
        """Tell Chroma of the pages added since the last flush. Its trouble is reported, never raised."""
        with self._changing():
            self._mirror.flush(self._vector)

    def remove(self, scope: Scope, file: str) -> int:
        """Remove every page of a file from one scope, under every encoder. Bytes freed; 0 if it was not there.

        ValueError where `file` is no content hash: it names files on disk.
        """
        PageId(file, 1)
        with self._changing():
            pages = [page for page in self._catalogue.all() if (page.scope, page.id.file) == (scope, file)]
            try:
                self._files.remove(pages)
            finally:  # what the disk says is true, also after half of it failed
                gone = [page for page in pages if not self._files.path(page).exists()]
                self._catalogue.drop(gone)
                self._mirror.forget(gone)
            self._files.forget_damaged(scope, file)
        return sum(page.bytes for page in gone)

    def pages(self, scopes: Sequence[Scope], encoder: str) -> tuple[StoredPage, ...]:
        """Pages of these scopes under one encoder, by scope, document name, file and number."""
        return self._catalogue.view(scopes, encoder).pages

    def __contains__(self, page: StoredPage) -> bool:
        return page in self._catalogue

    def holds(self, scope: Scope) -> bool:
        """Whether a scope has any page, under whatever encoder."""
        return any(page.scope == scope for page in self._catalogue.all())

    def other_encoders(self, scope: Scope, encoder: str) -> int:
        """How many pages of a scope are kept under other encoders, and so cannot be searched with this one."""
        return sum(page.scope == scope and page.encoder != encoder for page in self._catalogue.all())

    def pooled(self, scopes: Sequence[Scope], encoder: str) -> tuple[tuple[StoredPage, ...], Floats]:
        """`pages` and their pooled vectors (N, P), from the files. Kept until a page comes or goes; read-only."""
        with self._stacking:
            view = self._catalogue.view(scopes, encoder)
            while view.pooled is None:
                view.pooled = self._stack(view)
                view.earlier = None
                if view.pooled is None:
                    view = self._catalogue.view(scopes, encoder)
            return view.pages, view.pooled

    def nearest(self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """The `count` pages, or all if they are fewer, whose pooled vectors lie nearest to `vector` (P,).

        From Chroma, approximate beyond its search width, where it knows all pages of these scopes; else exact.
        """
        view = self._catalogue.view(scopes, encoder)
        if wanted := min(count, len(view.pages)):
            found = self._mirror.nearest(scopes, encoder, vector, wanted, view)
            if found is not None:
                return found
        pages, matrix = self.pooled(scopes, encoder)
        order = np.argsort(-(matrix @ vector), kind="stable")[: max(0, count)] if pages else ()
        return [pages[at].key for at in order]

    def tokens(self, page: StoredPage) -> TokenCodes:
        """Token states as stored, mapped from the file and proven on first use.

        The arrays are shared: do not write into them. Hold a few thousand at most: each map holds an open file.
        TokenFileDamaged if the file cannot prove itself: the page is then set aside. LibraryError once it was removed.
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
        return self._catalogue.generation

    @property
    def report(self) -> LibraryReport:
        """How things stand now."""
        return LibraryReport(len(self._catalogue), tuple(self._damaged), self._swept, self._mirror.state)

    def close(self) -> None:
        """Finish the index and let other processes in. Closing twice is fine."""
        with self._writing:
            if self._closed:
                return
            self.flush()
            self._closed = True
            self._mirror.close()
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
        name = f"page {page.number} of {page.document}"
        with durable.storage_errors(f"read {name}"):
            try:
                yield
            except FileNotFoundError:
                if self._files.path(page).exists():
                    raise LibraryError(f"A picture of {name} is missing.") from None
                self._catalogue.drop([page])
                raise _gone(page) from None
            except TokenFileDamaged as error:
                self._set_aside(page, error)
                raise

    def _body(self, page: StoredPage) -> Body:
        head = self._catalogue.get((page.scope, page.encoder, page.id))
        if head is None:
            raise _gone(page)
        if (mapped := self._catalogue.body(head)) is not None:
            return mapped
        with self._reading(page):
            body = self._files.body(head, proven=self._catalogue.is_proven(head))
        self._catalogue.keep(head, body)
        return body

    def _vector(self, page: StoredPage) -> Floats | None:
        """Pooled vector (P,); None if the page turns out to be gone or damaged."""
        try:
            with self._reading(page):
                return self._files.pooled(page)
        except LibraryError:
            return None

    def _stack(self, view: View) -> Floats | None:
        """(N, P) pooled vectors, or None if a page went away meanwhile: the caller looks again."""
        known = {}
        if view.earlier is not None and view.earlier.pooled is not None:
            known = dict(zip(view.earlier.pages, view.earlier.pooled, strict=True))
        vectors = []
        for page in view.pages:
            try:
                with self._reading(page):
                    vectors.append(known[page] if page in known else self._files.pooled(page))
            except LibraryError:
                if page in self._catalogue:
                    raise  # its file cannot be read at all: looking again would not end
                return None
        matrix = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
        matrix.flags.writeable = False
        return matrix

    def _set_aside(self, page: StoredPage, error: TokenFileDamaged) -> None:
        with self._writing:
            if page not in self._catalogue:
                return
            self._catalogue.drop([page])
            self._mirror.forget([page])
            self._damaged.append(f"{page.document}: {error.sentence}")
            self._files.set_aside(self._files.path(page))


def _gone(page: StoredPage) -> LibraryError:
    return LibraryError(f"Page {page.number} of {page.document} is no longer in the library.")


def _allow_many_maps() -> int:
    """How many token files may stay mapped: each holds an open file, of which many systems allow 1,024 at first.

    Lifts this process's own limit as far as it may; three files in four are left to everybody else.
    """
    limits, wanted = resource.getrlimit(resource.RLIMIT_NOFILE), 4 * _MAPS
    soft, hard = (sys.maxsize if limit == resource.RLIM_INFINITY else limit for limit in limits)
    if soft < wanted <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, limits[1]))
        soft = wanted
    return min(_MAPS, soft // 4)
