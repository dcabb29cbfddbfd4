"""Reads listed pages from files that may be deleted or turn out damaged at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from smart_demo.errors import LibraryError, TokenFileDamaged
from smart_demo.page_list import PageList
from smart_demo.page_text import PageWords
from smart_demo.store import atomic_files
from smart_demo.store.catalogue import Catalogue, View
from smart_demo.store.page_files import PageFiles
from smart_demo.store.prepared_page import EncodedPage, Pictures
from smart_demo.store.token_file import TokenFileBody, TokenFileHeader, stored_key
from smart_demo.types import Floats, PageId, Scope, StoredPage, TokenSpace


class PageReader:
    """Reads listed pages. A page whose file is missing leaves the catalogue; a damaged one goes to `quarantine`.

    Unless stated otherwise methods raise LibraryError for a page that was deleted, TokenFileDamaged for a damaged one.
    """

    def __init__(
        self, files: PageFiles, catalogue: Catalogue, quarantine: Callable[[StoredPage, TokenFileDamaged], None]
    ) -> None:
        self._files, self._catalogue, self._quarantine = files, catalogue, quarantine
        self._stacking = threading.Lock()

    def body(self, page: StoredPage, space: TokenSpace = TokenSpace.RAW) -> TokenFileBody:
        """Return a page's token states in a space, mapped and verified on first use."""
        header = self._header(page)
        body = self._catalogue.body(header, space)
        if body is None:
            with self._reading(page):
                body = self._files.body(header, space, verified=self._catalogue.is_verified(header))
        elif not self._catalogue.has_room_for(body):
            return body
        return self._catalogue.cache_body(header, space, body)

    def prefetch(self, pages: Iterable[StoredPage]) -> None:
        """Ask the system to read the token files of these pages that are not in memory. Raises nothing.

        Together they are read from a cold disk four times as fast as one after the other.
        """
        for page in pages:
            header = self._catalogue.get(stored_key(page))
            if header is None:
                continue
            if (body := self._catalogue.body(header, TokenSpace.RAW)) is not None:
                body.prefetch()
            else:
                atomic_files.prefetch(self._files.path(page))

    def encoded(self, page: StoredPage) -> EncodedPage:
        """Return everything that a page's token file holds."""
        header = self._header(page)
        spaces = [TokenSpace.RAW, *(own.space for own in header.layout.spaces)]
        bodies = {space: self.body(page, space) for space in spaces}
        with self._reading(page):
            return EncodedPage(header.page, self._files.pooled(page), bodies, self.words(page))

    def words(self, page: StoredPage) -> PageWords | None:
        """Return a page's words, or None if they were not kept with it."""
        header = self._header(page)
        with self._reading(page):
            return self._files.words(header, verified=self._catalogue.is_verified(header))

    def has_pictures(self, page: StoredPage) -> bool:
        """Return whether a page's pictures were drawn. Raises only for a page that was deleted."""
        return self._files.has_pictures(self._header(page))

    def picture(self, page: StoredPage) -> bytes:
        """Return a page's picture as WebP."""
        header = self._header(page)
        with self._reading(page):
            return self._files.picture(header)

    def thumbnail(self, page: StoredPage) -> bytes:
        """Return a page's thumbnail as WebP."""
        header = self._header(page)
        with self._reading(page):
            return self._files.thumbnail(header)

    def kept_parts(self, page: StoredPage) -> tuple[Pictures, PageWords | None]:
        """Return what outlasts a change of the model: a page's pictures and words, verified.

        A damaged page is not moved to `quarantine`: it stays listed as it is.
        """
        header = self._header(page)
        with atomic_files.storage_errors(f"read page {page.number} of {page.document}"):
            try:
                pictures = Pictures(self._files.picture(header), self._files.thumbnail(header))
                return pictures, self._files.words(header, verified=self._catalogue.is_verified(header))
            except FileNotFoundError:
                raise LibraryError(f"A file of page {page.number} of {page.document} is missing.") from None

    def vector(self, page: StoredPage) -> Floats | None:
        """Return a page's pooled vector (P,), or None if the page turns out deleted or damaged."""
        try:
            with self._reading(page):
                return self._files.pooled(page)
        except LibraryError:
            return None

    def refresh_header(self, page: StoredPage) -> None:
        """Read the header of a page that was listed from a snapshot, and correct the catalogue if they differ.

        Raises nothing: a missing or damaged page leaves the catalogue.
        """
        known = self._catalogue.get(stored_key(page))
        if known is None or known.page is not page:
            return
        with suppress(LibraryError), self._reading(page):
            header, _ = self._files.header(page)
            picture_bytes = page.bytes - known.size
            header = replace(header, page=replace(header.page, bytes=header.size + picture_bytes))
            if header != known:
                self._catalogue.replace(known, header)

    def pooled_matrix(self, scopes: Sequence[Scope], encoder: str) -> tuple[PageList, Floats]:
        """Return the pages of these scopes and their pooled vectors (N, P), read-only. Cached until a page changes."""
        view = self._catalogue.view(scopes, encoder)
        if (pooled := view.pooled) is not None:  # do not wait while another scope's vectors are read
            return view.pages, pooled
        with self._stacking:
            view = self._catalogue.view(scopes, encoder)
            while view.pooled is None:
                view.pooled = self._stack(view)
                view.earlier = None
                if view.pooled is None:
                    view = self._catalogue.view(scopes, encoder)
            return view.pages, view.pooled

    def nearest(self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """Return the keys of the `count` pages of these scopes that are nearest to `vector` (P,), without Chroma."""
        pages, matrix = self.pooled_matrix(scopes, encoder)
        order = np.argsort(-(matrix @ vector), kind="stable")[: max(0, count)] if pages else ()
        return [pages[position].key for position in order]

    def _header(self, page: StoredPage) -> TokenFileHeader:
        header = self._catalogue.get(stored_key(page))
        if header is None:
            raise _deleted(page)
        return header

    @contextmanager
    def _reading(self, page: StoredPage) -> Iterator[None]:
        """Turn a missing, damaged or unreadable file into LibraryError or TokenFileDamaged, and unlist the page."""
        name = f"page {page.number} of {page.document}"
        with atomic_files.storage_errors(f"read {name}"):
            try:
                yield
            except FileNotFoundError:
                if self._files.path(page).exists():
                    raise LibraryError(f"A picture of {name} is missing.") from None
                self._catalogue.remove([page])
                raise _deleted(page) from None
            except TokenFileDamaged as error:
                self._quarantine(page, error)
                if page not in self._catalogue and self._catalogue.get(stored_key(page)) is not None:
                    raise LibraryError(f"{name[0].upper()}{name[1:]} was just read again.", "Search again.") from None
                raise

    def _stack(self, view: View) -> Floats | None:
        """Return the pooled vectors (N, P) of a view, or None if a page was deleted while they were read."""
        sources = self._catalogue.known_vectors(view)
        for pages, pooled in sources:
            if pages == view.pages:
                return pooled
        matrix, missing = _gather(view.pages, sources)
        for position in missing:
            page = view.pages[position]
            try:
                with self._reading(page):
                    vector = self._files.pooled(page)
            except LibraryError:
                if page in self._catalogue:
                    raise  # the file cannot be read at all: trying again would not end
                return None
            if not matrix.shape[1]:
                matrix = np.empty((len(view.pages), len(vector)), np.float32)
            matrix[position] = vector
        matrix.flags.writeable = False
        return matrix


def _gather(pages: PageList, sources: Sequence[tuple[PageList, Floats]]) -> tuple[Floats, list[int]]:
    """Copy known vectors into a matrix (N, P), and return it with the positions of the pages that are still missing.

    Pages are compared by identity: a replaced page is another object, and a hundred thousand comparisons by value would
    take a second.
    """
    matrix = np.empty((len(pages), max((pooled.shape[1] for _, pooled in sources), default=0)), np.float32)
    missing = {id(page): position for position, page in enumerate(pages)}
    for known, pooled in sources:
        if len(missing) and len(known):
            rows = [(row, position) for row, page in enumerate(known) if (position := missing.pop(id(page), -1)) >= 0]
            if rows:
                source_rows, target_rows = np.array(rows).T
                matrix[target_rows] = pooled[source_rows]
    return matrix, sorted(missing.values())


def _deleted(page: StoredPage) -> LibraryError:
    return LibraryError(f"Page {page.number} of {page.document} is no longer in the library.")
