"""What is read of pages, from files that may be gone or prove damaged at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from smart_demo.errors import LibraryError, TokenFileDamaged
from smart_demo.page_list import PageList
from smart_demo.store import atomic_files
from smart_demo.store.catalogue import Catalogue, View, key_of
from smart_demo.store.sidecar import Sidecar
from smart_demo.store.token_file import TokenFileBody, TokenFileHeader
from smart_demo.types import Floats, PageEncoding, Scope, StoredPage


class PageReader:
    """Reads listed pages. One whose file is gone leaves the catalogue; a damaged one is handed to `set_aside`.

    Every method raises LibraryError for a page that is no longer there and TokenFileDamaged for a damaged one.
    """

    def __init__(
        self, files: Sidecar, catalogue: Catalogue, set_aside: Callable[[StoredPage, TokenFileDamaged], None]
    ) -> None:
        self._files, self._catalogue, self._set_aside = files, catalogue, set_aside
        self._stacking = threading.Lock()

    def body(self, page: StoredPage) -> TokenFileBody:
        """Token states and what is known of each, mapped and proven on first use."""
        head = self._head(page)
        body = self._catalogue.body(head)
        if body is None:
            with self._reading(page):
                body = self._files.body(head, proven=self._catalogue.is_proven(head))
        elif not self._catalogue.has_room_for(body):
            return body
        return self._catalogue.keep(head, body)

    def ask_for(self, pages: Iterable[StoredPage]) -> None:
        """Have the system read the token files of these pages together, before the first of them is needed: from a
        cold disk that is four times as fast as one after the other. What is in memory is left alone.
        """
        for page in pages:
            head = self._catalogue.get(key_of(page))
            if head is None:
                continue
            if (body := self._catalogue.body(head)) is not None:
                body.ask_for()
            else:
                atomic_files.ask_for(self._files.path(page))

    def encoding(self, page: StoredPage) -> PageEncoding:
        """What the backbone made of the page, decoded."""
        body = self.body(page)
        with self._reading(page):
            pooled = self._files.pooled(page)
        return PageEncoding(page.id, page.encoder, pooled, body.codes.states(), body.kinds, body.place)

    def picture(self, page: StoredPage) -> bytes:
        """Its picture as WebP."""
        head = self._head(page)
        with self._reading(page):
            return self._files.picture(head)

    def thumbnail(self, page: StoredPage) -> bytes:
        """Its thumbnail as WebP."""
        head = self._head(page)
        with self._reading(page):
            return self._files.thumbnail(head)

    def vector(self, page: StoredPage) -> Floats | None:
        """Pooled vector (P,); None if the page turns out to be gone or damaged."""
        try:
            with self._reading(page):
                return self._files.pooled(page)
        except LibraryError:
            return None

    def confirm(self, page: StoredPage) -> None:
        """Read the head of a page that was taken from a snapshot; where the file says something else, believe it."""
        known = self._catalogue.get(key_of(page))
        if known is None or known.page is not page:
            return
        with suppress(LibraryError), self._reading(page):
            found, _ = self._files.head(page)
            pictured = page.bytes - known.size
            found = replace(found, page=replace(found.page, bytes=found.size + pictured))
            if found != known:
                self._catalogue.exchange(known, found)

    def matrix(self, scopes: Sequence[Scope], encoder: str) -> tuple[PageList, Floats]:
        """Pages of these scopes and their pooled vectors (N, P). Kept until a page comes or goes; read-only."""
        view = self._catalogue.view(scopes, encoder)
        if (pooled := view.pooled) is not None:  # nobody waits for another scope's vectors to be read
            return view.pages, pooled
        with self._stacking:
            view = self._catalogue.view(scopes, encoder)
            while view.pooled is None:
                view.pooled = self._stack(view)
                view.earlier = None
                if view.pooled is None:
                    view = self._catalogue.view(scopes, encoder)
            return view.pages, view.pooled

    def _head(self, page: StoredPage) -> TokenFileHeader:
        head = self._catalogue.get(key_of(page))
        if head is None:
            raise _gone(page)
        return head

    @contextmanager
    def _reading(self, page: StoredPage) -> Iterator[None]:
        """Turn a file that is gone, damaged or unreadable into what the caller should know."""
        name = f"page {page.number} of {page.document}"
        with atomic_files.storage_errors(f"read {name}"):
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

    def _stack(self, view: View) -> Floats | None:
        """(N, P) pooled vectors, or None if a page went away meanwhile: the caller looks again."""
        sources = self._catalogue.known(view)
        for pages, pooled in sources:
            if pages == view.pages:
                return pooled
        matrix, missing = _gathered(view.pages, sources)
        for position in missing:
            page = view.pages[position]
            try:
                with self._reading(page):
                    vector = self._files.pooled(page)
            except LibraryError:
                if page in self._catalogue:
                    raise  # its file cannot be read at all: looking again would not end
                return None
            if not matrix.shape[1]:
                matrix = np.empty((len(view.pages), len(vector)), np.float32)
            matrix[position] = vector
        matrix.flags.writeable = False
        return matrix


def _gathered(pages: PageList, sources: Sequence[tuple[PageList, Floats]]) -> tuple[Floats, list[int]]:
    """(N, P) vectors of pages as far as the sources know them, and the positions of the others. Pages are told apart
    by identity, since one that was exchanged is another object, and a hundred thousand comparisons would take a second.
    """
    matrix = np.empty((len(pages), max((pooled.shape[1] for _, pooled in sources), default=0)), np.float32)
    missing = {id(page): position for position, page in enumerate(pages)}
    for some, pooled in sources:
        if len(missing) and len(some):
            rows = [(row, position) for row, page in enumerate(some) if (position := missing.pop(id(page), -1)) >= 0]
            if rows:
                taken, given = np.array(rows).T
                matrix[given] = pooled[taken]
    return matrix, sorted(missing.values())


def _gone(page: StoredPage) -> LibraryError:
    return LibraryError(f"Page {page.number} of {page.document} is no longer in the library.")
