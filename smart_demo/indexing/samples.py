"""The sample library: the documents of the sample folder, and how many of their pages are encoded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from smart_demo import ingest
from smart_demo.config import Limits
from smart_demo.errors import InputRefused, Notice, NoticeCode
from smart_demo.page_list import PageList
from smart_demo.store.library import Library
from smart_demo.types import SAMPLES, StoredPage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Samples:
    """Progress of encoding the sample library: `ready` of `total` pages, under the encoder that serves it."""

    ready: int
    total: int
    encoder: str
    """Name of the encoder."""
    refused: int = 0
    """Pages that the encoder refused; `total` leaves them out."""

    @property
    def complete(self) -> bool:
        """Whether every sample page can be searched."""
        return self.ready >= self.total

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader of answers from the samples should know."""
        missing = max(0, self.total - self.ready) + self.refused
        if not missing:
            return ()
        text = f"{missing} of {self.total + self.refused} sample pages could not be encoded and are not searched."
        return (Notice(NoticeCode.SAMPLES_NOT_WHOLE, text),)


class SampleDocuments:
    """The documents of the sample folder, read once."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits, self._lock = folder, limits, threading.Lock()
        self._uploads: tuple[ingest.Upload, ...] | None = None
        self._refused: dict[str, int] = {}
        self._stored: dict[str, tuple[PageList, tuple[StoredPage, ...]]] = {}
        """Cache of `stored` by encoder: the library's pages then, and those of sample documents."""

    @property
    def uploads(self) -> tuple[ingest.Upload, ...]:
        """Every readable document directly in the folder, sorted by name."""
        with self._lock:
            if self._uploads is None:
                found, _ = ingest.find_files([self._folder])
                self._uploads = tuple(self._inspect([path for path in found if path.parent == self._folder]))
            return self._uploads

    def _inspect(self, paths: Iterable[Path]) -> Iterator[ingest.Upload]:
        for path in paths:
            try:
                yield ingest.inspect(path, path.name, self._limits)
            except InputRefused as error:
                log.warning("left out of the sample library: %s", error.sentence)

    def count_pages(self, encoder: str) -> int:
        """Count the pages that an encoder can encode: all pages, less those it refused."""
        return sum(upload.pages for upload in self.uploads) - self.count_refused(encoder)

    def count_refused(self, encoder: str) -> int:
        """Return how many pages an encoder refused."""
        return self._refused.get(encoder, 0)

    def record_refused(self, encoder: str, pages: int) -> None:
        """Record how many pages an encoder refused, so that the library counts as complete without them."""
        self._refused[encoder] = pages

    def stored(self, library: Library, encoder: str) -> tuple[StoredPage, ...]:
        """Return the stored pages of the current sample documents under an encoder; older editions do not count."""
        pages = library.pages([SAMPLES], encoder)
        cached = self._stored.get(encoder)
        if cached is None or cached[0] is not pages:  # every search calls this, and rarely has anything changed
            files = {upload.file for upload in self.uploads}
            cached = self._stored[encoder] = (pages, tuple(page for page in pages if page.id.file in files))
        return cached[1]
