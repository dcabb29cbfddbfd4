"""The sample library: which documents are shipped, and how far they are encoded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from smart_demo import ingest
from smart_demo.config import Limits
from smart_demo.errors import InputRefused
from smart_demo.page_list import PageList
from smart_demo.store.library import Library
from smart_demo.types import SAMPLES, StoredPage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Samples:
    """How far the sample library is: `ready` of `total` pages, under the encoder that serves it."""

    ready: int
    total: int
    encoder: str
    """Its name; empty while it is still loading."""

    @property
    def whole(self) -> bool:
        """Whether every shipped page can be searched."""
        return self.ready >= self.total


class Shipped:
    """The documents of one folder, looked at once."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits, self._lock = folder, limits, threading.Lock()
        self._uploads: tuple[ingest.Upload, ...] | None = None
        self._refused: dict[str, int] = {}
        self._stored: dict[str, tuple[PageList, tuple[StoredPage, ...]]] = {}
        """By encoder, the last pages that were asked for and those of them that are shipped."""

    @property
    def uploads(self) -> tuple[ingest.Upload, ...]:
        """Every document of the folder itself, by name."""
        with self._lock:
            if self._uploads is None:
                found, _ = ingest.walk([self._folder])
                self._uploads = tuple(self._inspect([path for path in found if path.parent == self._folder]))
            return self._uploads

    def _inspect(self, paths: Iterable[Path]) -> Iterator[ingest.Upload]:
        for path in paths:
            try:
                yield ingest.inspect(path, path.name, self._limits)
            except InputRefused as error:
                log.warning("left out of the sample library: %s", error.sentence)

    def pages(self, encoder: str) -> int:
        """Pages that this encoder can have: all that are shipped, less those it refused."""
        return sum(upload.pages for upload in self.uploads) - self._refused.get(encoder, 0)

    def refuse(self, encoder: str, pages: int) -> None:
        """Remember that an encoder cannot read so many of the shipped pages: they are not waited for."""
        self._refused[encoder] = pages

    def stored(self, library: Library, encoder: str) -> tuple[StoredPage, ...]:
        """The shipped pages that are in the library under this encoder; older editions do not count."""
        pages = library.pages([SAMPLES], encoder)
        known = self._stored.get(encoder)
        if known is None or known[0] is not pages:  # every search asks, and most find nothing changed
            files = {upload.file for upload in self.uploads}
            known = self._stored[encoder] = (pages, tuple(page for page in pages if page.id.file in files))
        return known[1]
