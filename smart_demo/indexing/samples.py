"""The sample library: the documents of its folder, how many of their pages are encoded, and files of their encodings.

A page of an encodings file is stored if its document is in the sample folder, byte by byte, and if its encoder is the
one in use. It can be searched at once. Its pictures are drawn from the document later: in the background, or when they
are first requested.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from smart_demo import ingest
from smart_demo.config import HUB_ENCODINGS, NO_ENCODINGS, SHIPPED_ENCODINGS, Limits, Settings
from smart_demo.errors import EncodingsRefused, InputRefused, LibraryError, Notice, NoticeCode, PageRefused
from smart_demo.indexing.indexer import count_sources
from smart_demo.indexing.progress import FileOutcome, Progress, State
from smart_demo.ingest import Upload
from smart_demo.page_list import PageList
from smart_demo.store.encodings_file import SUFFIX, EncodingsFile, write_encodings
from smart_demo.store.library import Library
from smart_demo.store.prepared_page import encode_pictures, prepare_encoded
from smart_demo.types import SAMPLES, Encoder, PageId, Pixels, StoredPage
from smart_demo.wording import count

log = logging.getLogger(__name__)
COMPARED_SIDE = 64
"""Pixels of the side to which two pictures of a page are reduced, to see which way up one is in the other."""
SIZE_ERROR = 2
"""Pixels by which a page may be drawn larger or smaller than where it was encoded."""
ETAG_TIMEOUT_SECONDS = 5


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

    def __init__(self, settings: Settings) -> None:
        self._folder, self._limits, self._lock = settings.samples, settings.limits, threading.Lock()
        self._encodings, self._codec = settings.sample_encodings, settings.codec
        self._uploads: tuple[ingest.Upload, ...] | None = None
        self._drawing = threading.Lock()
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

    # -- encodings files

    def import_encodings(
        self, library: Library, encoder: Encoder, notices: list[str], *, chosen: bool = True
    ) -> Generator[Progress]:
        """Store the missing pages that an encodings file has, and yield the outcome of each document that is complete.

        notices: receives a sentence on every file that cannot be used. chosen: whether the files of the setting should
        be of this encoder, and not of another that is still loading.
        """
        missing = self._page_ids() - {page.id for page in self.stored(library, encoder.fingerprint)}
        for file in self._usable(encoder, notices, chosen) if missing else ():
            try:
                yield from self._import_file(library, encoder, file, missing)
            except EncodingsRefused as error:
                notices.append(f"{error} The samples are encoded here instead.")
            finally:
                library.flush()
            if file.path != SHIPPED_ENCODINGS and (others := len(file.pages.keys() - self._page_ids())):
                notices.append(f"{file.path.name} has {count(others, 'page')} of other documents, which are left out.")

    def _page_ids(self) -> set[PageId]:
        """Return the id of every page of the sample documents."""
        return {PageId(upload.file, number) for upload in self.uploads for number in range(1, upload.pages + 1)}

    def _usable(self, encoder: Encoder, notices: list[str], chosen: bool) -> Iterator[EncodingsFile]:
        """Yield the files with pages of this encoder in the codec in use."""
        for file in self._find_encodings(notices):
            if file.encoder == encoder.fingerprint and file.codec == self._codec:
                yield file
            elif file.encoder == encoder.fingerprint:
                used = f"its pages are stored as {file.codec} and SMART_CODEC is {self._codec}"
                notices.append(f"{file.path.name} is not used: {used}.")
            elif chosen and file.path != SHIPPED_ENCODINGS:
                notices.append(
                    f"{file.path.name} is not used for {encoder.name}: another encoder made it, {file.name}."
                )

    def _import_file(
        self, library: Library, encoder: Encoder, file: EncodingsFile, missing: set[PageId]
    ) -> Generator[Progress]:
        """Store the missing pages of one file, and remove them from `missing`."""
        if not missing & file.pages.keys():
            return
        file.verify()
        names = library.document_names(SAMPLES)
        for upload in self.uploads:
            own = sorted(page for page in missing & file.pages.keys() if page.file == upload.file)
            name, added = names.get(upload.file, upload.name), []
            for page in own:
                encoded = file.read(page, encoder)
                if encoded.page.pages != upload.pages:
                    raise EncodingsRefused(f"{file.path.name} is not valid: page {page} has another document.")
                stored = replace(encoded.page, document=name, added=time.time(), seconds=0.0)
                added.append(library.add_prepared(prepare_encoded(encoded, stored)))
                missing.discard(page)
            if len(own) == upload.pages:
                outcome = FileOutcome(tuple(page.number for page in added), sources=count_sources(added))
                message = f"Its encodings come from {file.path.name}."
                yield Progress(
                    name, State.DONE, len(own), len(own), message, None, outcome, file=upload.file, added=len(own)
                )

    def describe_encodings(self, encoder: Encoder) -> list[str]:
        """Return a sentence on each encodings file, or on why it cannot be used. Downloads nothing."""
        sentences: list[str] = []
        pages = self._page_ids()
        for file in self._find_encodings(sentences, fetch=False):
            try:
                file.verify()
            except EncodingsRefused as error:
                sentences.append(str(error))
                continue
            own = len(pages & file.pages.keys()) if file.encoder == encoder.fingerprint else 0
            made = f"{count(len(file.pages), 'page')} by {file.name} as {file.codec}"
            sentences.append(f"{file.path.name}: {made}; {own} of {len(pages)} sample pages for {encoder.name}.")
        return sentences

    def _find_encodings(self, notices: list[str], *, fetch: bool = True) -> Iterator[EncodingsFile]:
        """Yield every encodings file that can be read: those of the setting, then the shipped one."""
        if self._encodings == NO_ENCODINGS:
            return
        for path in [*self._given_paths(notices, fetch), SHIPPED_ENCODINGS]:
            try:
                yield EncodingsFile.open(path)
            except EncodingsRefused as error:
                notices.append(str(error))

    def _given_paths(self, notices: list[str], fetch: bool) -> list[Path]:
        """Return the files that SMART_SAMPLE_ENCODINGS names."""
        if not self._encodings:
            return []
        folder = Path(self._encodings)
        if hub := HUB_ENCODINGS.fullmatch(self._encodings):
            from huggingface_hub import snapshot_download

            try:
                name, revision = hub.groups()
                found = snapshot_download(
                    name,
                    repo_type="dataset",
                    revision=revision,
                    allow_patterns=[f"*{SUFFIX}"],
                    etag_timeout=ETAG_TIMEOUT_SECONDS,
                    local_files_only=not fetch,
                )
            except (OSError, ValueError) as error:
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                notices.append(f"The encodings {self._encodings} could not be fetched: {reason}")
                return []
            folder = Path(found)
        if not folder.is_dir():
            return [folder]
        files = sorted(folder.glob(f"*{SUFFIX}"))
        if not files:
            notices.append(f"{self._encodings} has no file that ends in {SUFFIX}.")
        return files

    def export_encodings(self, library: Library, encoder: Encoder, path: Path, notices: list[str]) -> tuple[int, int]:
        """Write the stored pages of an encoder to an encodings file; return the number of pages and its bytes.

        notices: receives a sentence on pages that are left out, because they are not as their document shows them: a
        scan that was turned upright, or a page that another codec stored. Raises LibraryError if the disk refuses.
        """
        pages, turned = [], 0
        for page in self.stored(library, encoder.fingerprint):
            drawn = self._draw_pixels(page)
            picture = library.picture(self.draw(library, page))
            if page.codec == self._codec and page.source is not None and _is_upright(picture, drawn):
                pages.append(library.encoded(page))
            else:
                turned += 1
        if turned:
            notices.append(f"{count(turned, 'page')} cannot be taken from a file and will be encoded by its reader.")
        return len(pages), write_encodings(path, encoder, self._codec, pages)

    # -- pictures of imported pages

    def undrawn(self, library: Library, encoder: str) -> list[StoredPage]:
        """Return the pages of sample documents whose pictures are still to be drawn."""
        return [page for page in self.stored(library, encoder) if not library.has_pictures(page)]

    def draw_all(self, library: Library, encoder: str, notices: list[str]) -> list[Upload]:
        """Draw the missing pictures of an encoder's pages; return the documents that do not show what was encoded.

        notices: receives a sentence on each page of those. Raises LibraryError if the disk refuses.
        """
        failed = set()
        for page in self.undrawn(library, encoder):
            try:
                self.draw(library, page)
            except (InputRefused, EncodingsRefused) as error:
                notices.append(f"{error} It is encoded here instead.")
                failed.add(page.id.file)
        library.flush()
        return [upload for upload in self.uploads if upload.file in failed]

    def draw(self, library: Library, page: StoredPage) -> StoredPage:
        """Draw the pictures of a sample page if it has none yet, and return its metadata as stored now.

        Raises InputRefused or EncodingsRefused if its document does not show that page, LibraryError if the disk
        refuses or the page was deleted.
        """
        if not library.has_pictures(page):
            drawn = self._draw_pixels(page)
            if abs(drawn.shape[0] - page.height) > SIZE_ERROR or abs(drawn.shape[1] - page.width) > SIZE_ERROR:
                raise EncodingsRefused(f"Page {page.number} of {page.document} was encoded in another size.")
            pictures = encode_pictures(drawn)
            with self._drawing:  # two threads may have drawn the same page
                encoded = library.encoded(page)
                library.add_prepared(prepare_encoded(encoded, encoded.page, pictures))
        return library.page(page.scope, page.encoder, page.id) or page

    def _draw_pixels(self, page: StoredPage) -> Pixels:
        """Return a page as its document shows it. Raises InputRefused if it cannot be drawn."""
        upload = next((upload for upload in self.uploads if upload.file == page.id.file), None)
        if upload is None:
            raise LibraryError(f"The document of page {page.id} is not among the samples.")
        return _render_page(upload, page.number, self._limits)


def _render_page(upload: Upload, number: int, limits: Limits) -> Pixels:
    """Return the pixels of one page. Raises PageRefused or FileRefused if it cannot be drawn."""
    with closing(ingest.render(upload, limits, set(range(1, upload.pages + 1)) - {number})) as pages:
        page = next(pages)
    if isinstance(page, PageRefused):
        raise page
    return page.pixels


def _is_upright(picture: bytes, drawn: Pixels) -> bool:
    """Return whether a stored picture shows a page as drawn, and not turned by quarters."""
    size = COMPARED_SIDE, COMPARED_SIDE
    with Image.open(io.BytesIO(picture), formats=("WEBP",)) as image:
        stored = np.asarray(image.convert("L").resize(size), np.float32)
    own = np.asarray(Image.fromarray(drawn).convert("L").resize(size), np.float32)
    errors = [np.abs(stored - np.rot90(own, turns)).mean() for turns in range(4)]
    return int(np.argmin(errors)) == 0
