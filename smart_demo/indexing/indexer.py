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
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from smart_demo import ingest
from smart_demo.backbones.base import Backbone
from smart_demo.config import Limits, Quotas
from smart_demo.errors import InputRefused, PageRefused, QuotaExceeded, SmartError, TotalQuotaExceeded
from smart_demo.indexing.page_words import READ, TURNED, read_pages
from smart_demo.indexing.progress import FileOutcome, Progress, State
from smart_demo.ingest import Upload
from smart_demo.page_text import WordSource
from smart_demo.store.library import Library
from smart_demo.store.quotas import QuotaCheck, Visitor, build_usage, is_visitor
from smart_demo.types import SAMPLES, Page, PageEncoding, Scope, StoredPage

DELETED = "Deleted while it was being added."
DEFAULT_QUOTAS = Quotas()
MAX_PREFETCH = 4
"""Maximum number of pages rendered ahead of the model: each may take 100 MB."""
MAX_ENCODED = 1
"""Maximum number of encoded pages that wait while the one before them is written."""
MAX_NAMED_PAGES = 3
"""Maximum number of refused pages of one file that its message names."""
MAX_NOTICES = 3
"""Maximum number of sentences about the pages of one file in its message."""
FACTS = frozenset({READ, TURNED})
"""Notices of pages with which nothing is wrong. In a message they follow all others."""
MAX_RANGES = 4
"""Maximum number of page ranges that a sentence names."""

TimedEncoding = tuple[Page, PageEncoding, float]
"""A page, its encoding and the seconds that rendering and encoding took."""
EvictIdleVisitors = Callable[[Scope, int], bool]
T = TypeVar("T")


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
        self._jobs = _RunningJobs()
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
        complete = {number for number, page in stored.items() if page.source is not None}
        if len(complete) == upload.pages:
            yield _known(upload, stored)
            return
        job.start_document(file)
        upload = self._with_unique_name(scope, upload)
        admission = AdmissionCheck(self._library, self._quotas, job, upload)
        self._evict_if_full(admission, scope, admission.check_file)
        started, results, messages = time.monotonic(), _FileResults(upload, stored), list[str]()
        numbers = [number for number in range(1, upload.pages + 1) if number not in complete]
        step = Progress(upload.name, State.WORKING, len(stored), upload.pages, file=file, left=len(numbers))
        yield step

        def check_batch(batch: Sequence[Page]) -> None:
            self._evict_if_full(admission, scope, lambda: admission.check_batch(batch))

        encoded = self._encode(upload, complete, backbone, check_batch)
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
        stored = self._evict_if_full(
            admission, scope, lambda: self._library.add(scope, page, encoding, seconds, admission.check_page)
        )
        self._last_write_seconds = time.monotonic() - started
        return stored

    def _evict_if_full(self, admission: AdmissionCheck, scope: Scope, step: Callable[[], T]) -> T:
        """Call `step`; if all visitors together are full, evict idle ones and call it again."""
        while True:
            try:
                return step()
            except TotalQuotaExceeded as error:
                if not self._evict_idle_visitors(scope, error.missing_bytes):
                    raise
                admission.count_judgements()

    def _encode(
        self, upload: Upload, skip: set[int], backbone: Backbone, check_batch: Callable[[Sequence[Page]], None]
    ) -> Generator[TimedEncoding | PageRefused]:
        """Yield the encoded or refused pages of a file in order, read and encoded in batches of the backbone's size.

        `check_batch` is called before a batch is read, and raises if no page of it can be stored.
        """
        rendered = ingest.render(upload, self._limits, skip)
        with closing(ingest.prefetch(rendered, min(backbone.batch, MAX_PREFETCH))) as pages:
            started = time.monotonic()
            for batch in _batches(pages, backbone.batch):
                drawn = [page for page in batch if isinstance(page, Page)]
                check_batch(drawn)
                read = read_pages(drawn, use_ocr=backbone.needs_words, public=self._public)
                good = [page for page in read if isinstance(page, Page)]
                encodings = iter(backbone.encode_pages(good) if good else [])
                seconds = (time.monotonic() - started) / len(batch)
                following = iter(read)
                for page in (next(following) if isinstance(page, Page) else page for page in batch):
                    if isinstance(page, PageRefused):
                        yield page
                    else:
                        encoding = next(encodings)
                        yield encoding if isinstance(encoding, PageRefused) else (page, encoding, seconds)
                started = time.monotonic()  # only now, so that the consumer's time is not counted


class IndexingJob:
    """One batch of files that is being added to one library."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.library_deleted = scope, False
        self._deleted_files: set[str] = set()

    def may_add(self, file: str) -> bool:
        """Return whether pages of a document may still be added."""
        return not self.library_deleted and file not in self._deleted_files

    def start_document(self, file: str) -> None:
        """Allow a document's pages from here on, even if it was deleted earlier in this batch."""
        self._deleted_files.discard(file)

    def delete_document(self, file: str) -> None:
        """Allow no more pages of a document."""
        self._deleted_files.add(file)


class _RunningJobs:
    """All running jobs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: list[IndexingJob] = []

    @contextmanager
    def start(self, scope: Scope) -> Iterator[IndexingJob]:
        job = IndexingJob(scope)
        with self._lock:
            self._jobs.append(job)
        try:
            yield job
        finally:
            with self._lock:
                self._jobs.remove(job)

    def delete_document(self, scope: Scope, file: str) -> None:
        """Stop adding a document. Call it before its pages are deleted, so that no page is admitted after that."""
        for job in self._of(scope):
            job.delete_document(file)

    def delete_library(self, scope: Scope) -> None:
        """Stop adding to a library. Call it before the library is deleted."""
        for job in self._of(scope):
            job.library_deleted = True

    def has_any(self, scope: Scope) -> bool:
        return bool(self._of(scope))

    def _of(self, scope: Scope) -> list[IndexingJob]:
        with self._lock:
            return [job for job in self._jobs if job.scope == scope]


class AdmissionCheck:
    """Checks one document of a job against the quotas. Methods raise QuotaExceeded, or InputRefused once deleted."""

    def __init__(self, library: Library, quotas: Quotas, job: IndexingJob, upload: Upload) -> None:
        self._library, self._quotas, self._job, self._upload = library, quotas, job, upload
        self.count_judgements()

    def count_judgements(self) -> None:
        """Read how many bytes of judgements are stored now."""
        visitor = is_visitor(self._job.scope)
        self._judgement_bytes = sum(self._library.visitor_judgement_bytes().values()) if visitor else 0

    def check_file(self) -> None:
        """Check that all pages not yet stored would fit, before anything is rendered."""
        new = self._upload.pages - len(self._stored_numbers())
        if self._job.scope != SAMPLES:
            self._quota_check().check_file(self._upload.name, new)

    def check_batch(self, pages: Iterable[Page]) -> None:
        """Check that at least one page of a batch would fit, before it is encoded."""
        numbers = {page.id.number for page in pages}
        self._check(0, new=int(bool(numbers) and not numbers & self._stored_numbers()))

    def check_page(self, page: StoredPage) -> None:
        """Check one page. Call it under the writer's lock, so that pages of other jobs are counted."""
        replaced = self._library.page(page.scope, page.encoder, page.id)
        size = page.bytes - (0 if replaced is None else replaced.bytes)
        self._check(size, new=int(page.number not in self._stored_numbers()))

    def _check(self, size: int, new: int) -> None:
        if not self._job.may_add(self._upload.file):
            raise InputRefused(DELETED)
        if self._job.scope != SAMPLES:
            self._quota_check().check_page(size, new=new)

    def _stored_numbers(self) -> set[int]:
        return self._library.page_numbers(self._job.scope, self._upload.file)

    def _quota_check(self) -> QuotaCheck:
        scope = self._job.scope
        usage = build_usage(scope, *self._library.totals(scope), self._quotas)
        total = self._library.visitor_page_bytes() + self._judgement_bytes if is_visitor(scope) else 0
        return QuotaCheck(usage, total, self._quotas)


def unique_name(name: str, taken: Container[str]) -> str:
    """Return a document's name with the first free number before its suffix, or as it is if it is free.

    >>> unique_name("report.pdf", {"report.pdf", "report (2).pdf"}), unique_name("report.pdf", {})
    ('report (3).pdf', 'report.pdf')
    """
    path = PurePosixPath(name)
    numbered = (f"{path.stem} ({number}){path.suffix}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)


def _refusal_messages(refused: Sequence[PageRefused]) -> Iterator[str]:
    """Yield why pages were left out: a few by name, the count of the others, and each hint once."""
    named = refused if len(refused) <= MAX_NAMED_PAGES else refused[: MAX_NAMED_PAGES - 1]
    yield from map(str, named)
    if len(named) < len(refused):
        yield f"And {len(refused) - len(named)} more pages."
    yield from dict.fromkeys(error.hint for error in named if error.hint)


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
        return _refusal_messages(list(self._refused.values()))

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


def _batches(pages: Iterable[Page | PageRefused], size: int) -> Iterator[list[Page | PageRefused]]:
    batch: list[Page | PageRefused] = []
    for page in pages:
        batch.append(page)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
