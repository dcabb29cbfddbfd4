"""Changes of single pages, each in the page files, in the catalogue and in Chroma."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smart_demo.store.catalogue import Catalogue
from smart_demo.store.page_files import PageFiles
from smart_demo.store.prepared_page import PreparedPage
from smart_demo.store.token_file import TokenFileHeader
from smart_demo.store.upkeep import ChromaUpkeep
from smart_demo.types import StoredPage


class PageWriter:
    """Adds, replaces and deletes pages. Call its methods under the library's write lock.

    The files come first: they decide what exists, also if the process is killed or the disk refuses half way. Methods
    raise StorageFull or LibraryError if the disk refuses.
    """

    def __init__(self, files: PageFiles, catalogue: Catalogue, chroma: Callable[[], ChromaUpkeep]) -> None:
        """`chroma`: returns the one in use, which a compaction replaces."""
        self._files, self._catalogue, self._chroma = files, catalogue, chroma

    def add(self, prepared: PreparedPage) -> StoredPage:
        """Store a page that is not stored yet, and return its metadata."""
        header = self._files.commit(prepared)
        self._chroma().enqueue(header.page)
        self._catalogue.add(header)
        return header.page

    def replace(self, known: TokenFileHeader, prepared: PreparedPage) -> StoredPage:
        """Store a page in place of the same page of the same encoder, and return its metadata."""
        # Its row goes first: after a kill a missing row is added again, and an old vector would stay.
        self._chroma().delete([known.page])
        current = known
        try:
            current = self._files.replace(known.page, prepared)
            self._catalogue.replace(known, current)
        finally:
            self._chroma().enqueue(current.page)
        return current.page

    def replace_encoder(self, old: StoredPage, prepared: PreparedPage) -> StoredPage:
        """Store a page of a new encoder, then delete its old one; return the new metadata.

        Each has its own folder, so at every moment the page is stored whole under one of them or under both. If the
        disk refuses to delete the old one, the new one is stored all the same, and the error is raised.
        """
        page = self.add(prepared)
        self.delete([old])
        return page

    def quarantine(self, page: StoredPage) -> None:
        """Unlist a damaged page and quarantine its token file."""
        self._catalogue.remove([page])
        self._chroma().delete([page])
        self._files.quarantine(self._files.path(page))

    def delete(self, pages: Sequence[StoredPage]) -> int:
        """Delete pages. Return the bytes freed."""
        try:
            self._files.delete(pages)
        finally:  # the disk decides what is listed, also if deleting failed half way
            deleted = [page for page in pages if not self._files.path(page).exists()]
            self._catalogue.remove(deleted)
            self._chroma().delete(deleted)
        return sum(page.bytes for page in deleted)
