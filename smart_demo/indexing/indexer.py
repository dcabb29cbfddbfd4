"""The indexer: files -> pages -> encodings -> library, page by page.

Each page is read between rendering and encoding (`page_words`), and stored with its words. A page that an earlier
version stored without them is read again, and replaced once the new one is on disk.

A batch of files is an IndexingJob: deletions reach the jobs that are running, so that a deleted document or library is
not added again behind them. Every page is checked against the quotas. The next batch is rendered while one is
encoded, and the next page is encoded while one is written: neither a slow document nor a slow disk idles the model.

Each page stores the time it took: its share of rendering and encoding its batch, plus the time of writing the page
before it, since its own cannot be in its own file. Time that the consumer of the progress spends is not counted.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path, PurePosixPath

from smart_demo import ingest
from smart_demo.backbones.base import Backbone
from smart_demo.config import Limits, Quotas
from smart_demo.errors import InputRefused, PageRefused, QuotaExceeded, SmartError
from smart_demo.indexing.jobs import (
    DELETED,
    AdmissionCheck,
    EvictIdleVisitors,
    IndexingJob,
    RunningJobs,
    describe_refusals,
    encode_batches,
)
from smart_demo.indexing.page_words import READ, TURNED, read_pages
from smart_demo.indexing.progress import FileOutcome, Progress, State
from smart_demo.ingest import Upload
from smart_demo.page_text import WordSource
from smart_demo.store.library import Library
from smart_demo.store.quotas import Visitor
from smart_demo.types import SAMPLES, Page, PageEncoding, Scope, StoredPage

DEFAULT_QUOTAS = Quotas()
MAX_ENCODED = 1
"""Maximum number of encoded pages that wait while the one before them is written."""
MAX_NOTICES = 3
"""Maximum number of sentences about the pages of one file in its message."""
FACTS = frozenset({READ, TURNED})
"""Notices of pages with which nothing is wrong. In a message they follow all others."""
MAX_RANGES = 4
"""Maximum number of page ranges that a sentence names."""


class Indexer:
    """Adds and deletes documents. A page is stored once its progress is yielded, and then stays."""

    def __init__(
        self,
        library: Library,
        limits: Limits,
        quotas: Quotas = DEFAULT_QUOTAS,
        evict_idle_visitors: EvictIdleVisitors = lambda *_: False,
        *,
        public: bool = False,
    ) -> None:
        """`evict_idle_visitors` is called with a scope and the bytes it needs if all visitors together are full.

        public: whether visitors read the refusals, who can install nothing.
        """
        self._public = public
        self._library, self._limits, self._quotas = library, limits, quotas
        self._evict_idle_visitors = evict_idle_visitors
        self._jobs = RunningJobs()
        self._last_write_seconds = 0.0

    def start_job(self, scope: Scope) -> AbstractContextManager[IndexingJob]:
        """Return a job for `add`: what is deleted after it starts is not added by it."""
        return self._jobs.start(scope)

    def add(
        self,
        scope: Scope,
        files: Iterable[tuple[Path, str]],
        backbone: Backbone,
        job: IndexingJob | None = None,
    ) -> Generator[Progress]:
        """Read, encode and store files of (path, name); yield the progress after every page.

        A refused file or page is reported in its progress and the rest continues. The first error of another kind, such
        as a full disk, is reported too and ends the batch. `job`: as `start_job` returned it, by default a new one.
        """
        if job is None:
            with self.start_job(scope) as job:
                yield from self.add(scope, files, backbone, job)
            return
        for path, name in files:
            try:
                if job.library_deleted:
                    raise InputRefused(DELETED)
                upload = ingest.inspect(path, name, self._limits)
                with closing(self._add_file(job, upload, backbone)) as steps:
                    yield from steps
            except InputRefused as error:
                yield Progress(ingest.clean_name(name), State.REFUSED, message=error.sentence)
            except SmartError as error:
                yield Progress(ingest.clean_name(name), State.REFUSED, message=error.sentence)
                return

    def delete_document(self, scope: Scope, file: str) -> int:
        """Delete a document, also from running jobs; return the bytes freed."""
        self._jobs.delete_document(scope, file)
        return self._library.delete_document(scope, file)

    def delete_library(self, scope: Scope) -> int:
        """Delete a library, also from running jobs; return the bytes freed."""
        self._jobs.delete_library(scope)
        return self._library.delete_scope(scope)

    def expire(self, visitor: Visitor) -> int | None:
        """Delete a visitor's library and return the bytes freed; None if it changed since, or if a job is running."""
        if self._jobs.has_any(visitor.scope):
            return None
        return self._library.delete_if_unchanged(visitor)

    def _add_file(self, job: IndexingJob, upload: Upload, backbone: Backbone) -> Generator[Progress]:
        """Add one document. Raises QuotaExceeded if no page of it fits, InputRefused if it is deleted during that."""
        scope, file = job.scope, upload.file
        pages = self._library.pages([scope], backbone.encoder.fingerprint)
        stored = {page.number: page for page in pages if page.id.file == file}
        complete = {number for number, page in stored.items() if not page.improvable}
        if len(complete) == upload.pages:
            yield _known(upload, stored)
            return
        job.start_document(file)
        upload = self._with_unique_name(scope, upload)
        admission = AdmissionCheck(self._library, self._quotas, job, upload)
        admission.with_eviction(self._evict_idle_visitors, admission.check_file)
        started, results, messages = time.monotonic(), _FileResults(upload, stored), list[str]()
        numbers = [number for number in range(1, upload.pages + 1) if number not in complete]
        step = Progress(upload.name, State.WORKING, len(stored), upload.pages, file=file, left=len(numbers))
        yield step
        encoded = encode_batches(
            ingest.render(upload, self._limits, complete),
            backbone,
            lambda pages: read_pages(pages, use_ocr=backbone.needs_words, public=self._public),
            lambda batch: admission.with_eviction(self._evict_idle_visitors, lambda: admission.check_batch(batch)),
        )
        try:
            with closing(ingest.prefetch(encoded, MAX_ENCODED)) as outcomes:
                for handled, (number, outcome) in enumerate(zip(numbers, outcomes, strict=False), start=1):
                    if isinstance(outcome, PageRefused):
                        results.refuse(number, outcome)
                    else:
                        results.add(self._store(scope, *outcome, admission), *outcome[:2])
                    left = len(numbers) - handled
                    seconds = (time.monotonic() - started) / handled * left
                    step = replace(step, done=results.done, added=results.added, left=left, seconds_left=seconds)
                    yield step
        except QuotaExceeded as error:
            if not results.done:
                raise
            if results.done < upload.pages:
                messages.append(f"The other {upload.pages - results.done} are not kept.")
            messages.append(error.sentence)
        finally:
            self._library.flush()
        if not job.may_add(file):
            raise InputRefused(DELETED)
        message = " ".join([*upload.notices, *results.refusals(), *messages, *results.messages()])
        state = State.DONE if results.done else State.REFUSED
        yield Progress(
            upload.name, state, results.done, upload.pages, message, None, results.outcome(), file, results.added
        )

    def _with_unique_name(self, scope: Scope, upload: Upload) -> Upload:
        """Return the upload under a name that no other document has among those that are searched with it."""
        names = self._library.document_names(scope)
        if known := names.get(upload.file):
            return replace(upload, name=known)
        others = names if scope == SAMPLES else self._library.document_names(SAMPLES) | names
        name = unique_name(upload.name, {name for file, name in others.items() if file != upload.file})
        if name == upload.name:
            return upload
        notice = f"Another {upload.name} is here already, so this one is called {name}."
        return replace(upload, name=name, notices=(notice, *upload.notices))

    def _store(
        self, scope: Scope, page: Page, encoding: PageEncoding, seconds: float, admission: AdmissionCheck
    ) -> StoredPage:
        started = time.monotonic()
        seconds += self._last_write_seconds
        stored = admission.with_eviction(
            self._evict_idle_visitors,
            lambda: self._library.add(scope, page, encoding, seconds, admission.check_page),
        )
        self._last_write_seconds = time.monotonic() - started
        return stored


def unique_name(name: str, taken: Container[str]) -> str:
    """Return a document's name with the first free number before its suffix, or as it is if it is free.

    >>> unique_name("report.pdf", {"report.pdf", "report (2).pdf"}), unique_name("report.pdf", {})
    ('report (3).pdf', 'report.pdf')
    """
    path = PurePosixPath(name)
    numbered = (f"{path.stem} ({number}){path.suffix}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)


class _FileResults:
    """What became of the pages of one file so far."""

    def __init__(self, upload: Upload, stored: Mapping[int, StoredPage]) -> None:
        """Begin with the pages that were `stored` before, by number."""
        self._upload, self._stored = upload, dict(stored)
        self._added: list[int] = []
        self._refused: dict[int, PageRefused] = {}
        self._notices: dict[str, list[int]] = {}

    @property
    def done(self) -> int:
        """Number of the file's pages in the library."""
        return len(self._stored)

    @property
    def added(self) -> int:
        """Number of pages that were stored now."""
        return len(self._added)

    def add(self, stored: StoredPage, page: Page, encoding: PageEncoding) -> None:
        """Note a page that was stored."""
        self._stored[page.number] = stored
        self._added.append(page.number)
        for notice in dict.fromkeys(filter(None, [*page.notices, encoding.notice])):
            self._notices.setdefault(notice, []).append(page.number)

    def refuse(self, number: int, refusal: PageRefused) -> None:
        """Note a page that was refused."""
        self._refused[number] = refusal

    def refusals(self) -> Iterator[str]:
        """Yield sentences about the pages that were refused."""
        return describe_refusals(list(self._refused.values()))

    def messages(self) -> Iterator[str]:
        """Yield sentences about the pages that were read, at most MAX_NOTICES: faults first, facts last."""
        for notice in sorted(self._notices, key=FACTS.__contains__)[:MAX_NOTICES]:
            pages = self._notices[notice]
            yield notice if len(pages) == self._upload.pages else f"{name_pages(pages)}: {notice}"

    def outcome(self) -> FileOutcome:
        """Return what became of each page."""
        return FileOutcome(
            tuple(self._added),
            {number: refusal.sentence for number, refusal in self._refused.items()},
            dict.fromkeys(self._upload.notices, ()) | {text: tuple(pages) for text, pages in self._notices.items()},
            max(0, len(self._notices) - MAX_NOTICES),
            count_sources(self._stored.values()),
            sum(page.reencoded for page in self._stored.values()),
        )


def count_sources(pages: Iterable[StoredPage]) -> dict[WordSource, int]:
    """Return how many pages have their words from each source; pages of earlier versions are left out."""
    counts = Counter(page.source for page in pages)
    return {source: counts[source] for source in WordSource if counts[source]}


def name_pages(numbers: Sequence[int]) -> str:
    """Return the name of one page or several, in ranges; of many ranges the first few.

    >>> name_pages([3]), name_pages([1, 2, 3, 7, 9, 10])
    ('Page 3', 'Pages 1-3, 7, 9-10')
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    named = ", ".join("-".join(map(str, part)) for part in ranges[:MAX_RANGES])
    return f"Page{'s' if len(numbers) > 1 else ''} {named}{' and others' if len(ranges) > MAX_RANGES else ''}"


def _known(upload: Upload, stored: Mapping[int, StoredPage]) -> Progress:
    first = stored[1]
    other_name = "" if first.document == upload.name else f" as {first.document}"
    message = f"Already in the library{other_name}."
    outcome = FileOutcome(sources=count_sources(stored.values()))
    return Progress(upload.name, State.KNOWN, upload.pages, upload.pages, message, outcome=outcome, file=upload.file)
