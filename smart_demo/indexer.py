"""Files -> pages -> encodings -> library, page by page. Knows nothing of queries.

What a page takes is kept with it: the wall time of drawing and encoding its batch, divided by the pages of the batch,
and the time of writing the page before it. Its own writing cannot be in its own file; over many pages it is the same.
Time in which whoever follows the progress does something else is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from smart_demo import ingest
from smart_demo.backbones.protocol import Backbone
from smart_demo.config import Limits
from smart_demo.errors import InputRefused, PageRefused, SmartError
from smart_demo.store.library import Library
from smart_demo.types import Page, PageEncoding, Progress, Scope, State, StoredPage

MOST_NAMED = 3
"""Refused pages of one file that are told of one by one."""
Outcome = tuple[Page, PageEncoding, float] | PageRefused
"""A page, its encoding and the seconds that both took; or why there is none."""


class Indexer:
    """Adds documents. One page is acknowledged at a time, and what was acknowledged stays."""

    def __init__(self, library: Library, limits: Limits) -> None:
        self._library, self._limits = library, limits
        self._unwanted: set[tuple[Scope, str]] = set()
        self._writing = 0.0
        """Seconds that the last page took to be written."""

    def add(self, scope: Scope, files: Iterable[tuple[Path, str]], backbone: Backbone) -> Generator[Progress]:
        """Read, encode and keep files of (path, name), telling of every page. A bad file or page is refused in
        words and the rest goes on; a library that cannot take more ends the batch, in words too.
        """
        for path, name in files:
            try:
                upload = ingest.inspect(path, name, self._limits)
                with closing(self._add_file(scope, upload, backbone)) as steps:
                    yield from steps
            except InputRefused as error:
                yield Progress(ingest.clean_name(name), State.REFUSED, message=error.sentence)
            except SmartError as error:
                yield Progress(ingest.clean_name(name), State.REFUSED, message=error.sentence)
                return

    def remove(self, scope: Scope, file: str) -> int:
        """Take a document out, also one that is just being added: what is left of it is not. Bytes freed."""
        self._unwanted.add((scope, file))
        return self._library.remove(scope, file)

    def _add_file(self, scope: Scope, upload: ingest.Upload, backbone: Backbone) -> Generator[Progress]:
        pages = self._library.pages([scope], backbone.encoder.fingerprint)
        stored = {page.number: page for page in pages if page.id.file == upload.file}
        if len(stored) == upload.pages:
            yield _known(upload, stored[1])
            return
        self._unwanted.discard((scope, upload.file))
        done, begun = len(stored), time.monotonic()
        refused: list[PageRefused] = []
        yield Progress(upload.name, State.WORKING, done, upload.pages)
        try:
            for handled, outcome in enumerate(self._encoded(upload, set(stored), backbone), start=1):
                if isinstance(outcome, PageRefused):
                    refused.append(outcome)
                else:
                    self._keep(scope, *outcome)
                    done += 1
                if (scope, upload.file) in self._unwanted:
                    self._library.remove(scope, upload.file)
                    yield Progress(upload.name, State.REFUSED, message="Deleted while it was being added.")
                    return
                left = (time.monotonic() - begun) / handled * (upload.pages - len(stored) - handled)
                yield Progress(upload.name, State.WORKING, done, upload.pages, seconds_left=left)
        finally:
            self._library.flush()
        told = " ".join([*upload.notices, *_sentences(refused)])
        yield Progress(upload.name, State.DONE if done else State.REFUSED, done, upload.pages, told)

    def _keep(self, scope: Scope, page: Page, encoding: PageEncoding, seconds: float) -> None:
        begun = time.monotonic()
        self._library.add(scope, page, encoding, seconds + self._writing)
        self._writing = time.monotonic() - begun

    def _encoded(self, upload: ingest.Upload, skip: set[int], backbone: Backbone) -> Iterator[Outcome]:
        """Pages of a file with their encodings, in batches that suit the backbone; refused ones in their place."""
        with closing(ingest.render(upload, self._limits, skip)) as pages:
            begun = time.monotonic()
            for batch in _batches(pages, backbone.batch):
                good = [page for page in batch if isinstance(page, Page)]
                encodings = iter(backbone.encode_pages(good) if good else [])
                seconds = (time.monotonic() - begun) / len(batch)
                for page in batch:
                    if isinstance(page, PageRefused):
                        yield page
                    else:
                        encoding = next(encodings)
                        yield encoding if isinstance(encoding, PageRefused) else (page, encoding, seconds)
                begun = time.monotonic()  # drawing the next batch begins here, whoever looked on meanwhile


def _sentences(refused: Sequence[PageRefused]) -> Iterator[str]:
    """Why pages were left out: each in a sentence while they are few, and each hint once."""
    named = refused if len(refused) <= MOST_NAMED else refused[: MOST_NAMED - 1]
    yield from map(str, named)
    if len(named) < len(refused):
        yield f"And {len(refused) - len(named)} more pages."
    yield from dict.fromkeys(error.hint for error in named if error.hint)


def _known(upload: ingest.Upload, first: StoredPage) -> Progress:
    other_name = "" if first.document == upload.name else f" as {first.document}"
    message = f"Already in the library{other_name}."
    return Progress(upload.name, State.KNOWN, upload.pages, upload.pages, message)


def _batches(pages: Iterable[Page | PageRefused], size: int) -> Iterator[list[Page | PageRefused]]:
    batch: list[Page | PageRefused] = []
    for page in pages:
        batch.append(page)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
