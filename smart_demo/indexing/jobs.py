"""What adding documents and encoding their pages again share: jobs, checks of the quotas, and batches of a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TypeVar

from smart_demo import ingest
from smart_demo.backbones.base import Backbone
from smart_demo.config import Quotas
from smart_demo.errors import InputRefused, PageRefused, TotalQuotaExceeded
from smart_demo.ingest import Upload
from smart_demo.store.library import Library
from smart_demo.store.quotas import QuotaCheck, build_usage, is_visitor
from smart_demo.types import SAMPLES, Page, PageEncoding, Scope, StoredPage

DELETED = "Deleted while it was being added."
MAX_PREFETCH = 4
"""Maximum number of pages drawn ahead of the model: each may take 100 MB."""
MAX_NAMED_PAGES = 3
"""Maximum number of refused pages that a message names."""
TimedEncoding = tuple[Page, PageEncoding, float]
"""A page, its encoding and the seconds that drawing, reading and encoding took."""
EvictIdleVisitors = Callable[[Scope, int], bool]
T = TypeVar("T")


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


class RunningJobs:
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


class RoomCheck:
    """Checks one library against the quotas. Methods raise QuotaExceeded."""

    def __init__(self, library: Library, quotas: Quotas, scope: Scope) -> None:
        self._library, self._quotas, self._scope = library, quotas, scope
        self._count_judgements()

    def check_growth(self, size: int) -> None:
        """Check that the stored pages may grow by `size` bytes. Call it under the writer's lock."""
        if size > 0 and self._scope != SAMPLES:
            self._quota_check().check_page(size, new=0)

    def with_eviction(self, evict_idle_visitors: EvictIdleVisitors, step: Callable[[], T]) -> T:
        """Call `step`; if all visitors together are full, evict idle ones and call it again."""
        while True:
            try:
                return step()
            except TotalQuotaExceeded as error:
                if not evict_idle_visitors(self._scope, error.missing_bytes):
                    raise
                self._count_judgements()

    def _count_judgements(self) -> None:
        """Read how many bytes of judgements are stored now."""
        visitor = is_visitor(self._scope)
        self._judgement_bytes = sum(self._library.visitor_judgement_bytes().values()) if visitor else 0

    def _quota_check(self) -> QuotaCheck:
        scope = self._scope
        usage = build_usage(scope, *self._library.totals(scope), self._quotas)
        total = self._library.visitor_page_bytes() + self._judgement_bytes if is_visitor(scope) else 0
        return QuotaCheck(usage, total, self._quotas)


class AdmissionCheck(RoomCheck):
    """Checks one document of a job against the quotas. Methods raise QuotaExceeded, or InputRefused once deleted."""

    def __init__(self, library: Library, quotas: Quotas, job: IndexingJob, upload: Upload) -> None:
        super().__init__(library, quotas, job.scope)
        self._job, self._upload = job, upload

    def check_file(self) -> None:
        """Check that all pages not yet stored would fit, before anything is rendered."""
        new = self._upload.pages - len(self._stored_numbers())
        if self._scope != SAMPLES:
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
        if self._scope != SAMPLES:
            self._quota_check().check_page(size, new=new)

    def _stored_numbers(self) -> set[int]:
        return self._library.page_numbers(self._scope, self._upload.file)


def encode_batches(
    drawn: Generator[Page | PageRefused],
    backbone: Backbone,
    read: Callable[[Sequence[Page]], Sequence[Page | PageRefused]],
    check_batch: Callable[[Sequence[Page]], None],
) -> Generator[TimedEncoding | PageRefused]:
    """Yield the encoded or refused pages in order, drawn ahead, read and encoded in batches of the backbone's size.

    read: returns pages with the words to encode. check_batch: called before a batch is read; raises if no page of it
    can be stored.
    """
    with closing(ingest.prefetch(drawn, min(backbone.batch, MAX_PREFETCH))) as pages:
        started = time.monotonic()
        for batch in _batches(pages, backbone.batch):
            unread = [page for page in batch if isinstance(page, Page)]
            check_batch(unread)
            results = read(unread)
            good = [page for page in results if isinstance(page, Page)]
            encodings = iter(backbone.encode_pages(good) if good else [])
            seconds = (time.monotonic() - started) / len(batch)
            following = iter(results)
            for page in (next(following) if isinstance(page, Page) else page for page in batch):
                if isinstance(page, PageRefused):
                    yield page
                else:
                    encoding = next(encodings)
                    yield encoding if isinstance(encoding, PageRefused) else (page, encoding, seconds)
            started = time.monotonic()  # only now, so that the consumer's time is not counted


def describe_refusals(refused: Sequence[PageRefused]) -> Iterator[str]:
    """Yield why pages were left out: a few by name, the count of the others, and each hint once."""
    named = refused if len(refused) <= MAX_NAMED_PAGES else refused[: MAX_NAMED_PAGES - 1]
    yield from map(str, named)
    if len(named) < len(refused):
        yield f"And {len(refused) - len(named)} more pages."
    yield from dict.fromkeys(error.hint for error in named if error.hint)


def _batches(pages: Iterable[Page | PageRefused], size: int) -> Iterator[list[Page | PageRefused]]:
    batch: list[Page | PageRefused] = []
    for page in pages:
        batch.append(page)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
