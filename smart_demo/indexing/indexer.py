"""Additions that are on their way: what each must pass, page by page, so that no library grows beyond its room and
what is deleted meanwhile is not added behind it.

Files -> pages -> encodings -> library, page by page. Knows nothing of queries.

The pages of the next batch are drawn while one is encoded and written, so a slow document does not idle the model.

What a page takes is kept with it: the wall time of waiting for its batch to be drawn and of encoding it, divided by the
pages of the batch, and the time of writing the page before it. Its own writing cannot be in its own file; over many
pages it is the same. Time in which whoever follows the progress does something else is not counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TypeVar

from smart_demo import ingest
from smart_demo.backbones.base import Backbone
from smart_demo.config import Limits, Quotas
from smart_demo.errors import AllFull, InputRefused, NoRoom, PageRefused, SmartError
from smart_demo.ingest import Upload
from smart_demo.store.library import Library
from smart_demo.store.quotas import RemainingRoom, Visitor, is_visitor, measured
from smart_demo.types import SAMPLES, Page, PageEncoding, Progress, Scope, State, StoredPage

DELETED = "Deleted while it was being added."


class IndexingJob:
    """One batch of files on its way into one library."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.forgotten = scope, False
        self._unwanted: set[str] = set()

    def wants(self, file: str) -> bool:
        """Whether pages of a document may still be added."""
        return not self.forgotten and file not in self._unwanted

    def begin(self, file: str) -> None:
        """A document of the batch is wanted from here on, also where it was deleted before."""
        self._unwanted.discard(file)

    def refuse(self, file: str) -> None:
        """A document was deleted."""
        self._unwanted.add(file)


class IndexingJobs:
    """All that are on their way. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[IndexingJob] = []

    @contextmanager
    def running(self, scope: Scope) -> Iterator[IndexingJob]:
        """A batch, as long as it takes."""
        addition = IndexingJob(scope)
        with self._lock:
            self._running.append(addition)
        try:
            yield addition
        finally:
            with self._lock:
                self._running.remove(addition)

    def refuse(self, scope: Scope, file: str) -> None:
        """A document is deleted: before its pages are, so that each page is deleted or not admitted."""
        for addition in self._of(scope):
            addition.refuse(file)

    def forget(self, scope: Scope) -> None:
        """A whole library is deleted, as `refuse`."""
        for addition in self._of(scope):
            addition.forgotten = True

    def any_of(self, scope: Scope) -> bool:
        """Whether something is on its way into a library."""
        return bool(self._of(scope))

    def _of(self, scope: Scope) -> list[IndexingJob]:
        with self._lock:
            return [addition for addition in self._running if addition.scope == scope]


class AdmissionCheck:
    """What one document of a batch must pass. Methods raise NoRoom, and InputRefused once the document was deleted."""

    def __init__(self, library: Library, quotas: Quotas, addition: IndexingJob, upload: Upload) -> None:
        self._library, self._quotas, self._addition, self._upload = library, quotas, addition, upload
        self.count_judgements()

    def count_judgements(self) -> None:
        """Look how many bytes of judgements lie there now."""
        visitor = is_visitor(self._addition.scope)
        self._judged = sum(self._library.judged_by_visitors().values()) if visitor else 0

    def check_file(self) -> None:
        """Before anything is rendered: whether all pages that are not here yet may come."""
        new = self._upload.pages - len(self._known())
        if self._addition.scope != SAMPLES:
            self._room().check_file(self._upload.name, new)

    def check(self, pages: Iterable[Page]) -> None:
        """Before a batch is encoded: whether any page of it may come."""
        numbers = {page.id.number for page in pages}
        self._admit(0, new=int(bool(numbers) and not numbers & self._known()))

    def admit(self, page: StoredPage) -> None:
        """Under the writer's lock, so that what two batches bring together is counted."""
        self._admit(page.bytes, new=int(page.number not in self._known()))

    def _admit(self, size: int, new: int) -> None:
        if not self._addition.wants(self._upload.file):
            raise InputRefused(DELETED)
        if self._addition.scope != SAMPLES:
            self._room().check_page(size, new=new)

    def _known(self) -> set[int]:
        return self._library.numbers(self._addition.scope, self._upload.file)

    def _room(self) -> RemainingRoom:
        scope = self._addition.scope
        usage = measured(scope, *self._library.tally(scope), self._quotas)
        taken = self._library.bytes_of_visitors() + self._judged if is_visitor(scope) else 0
        return RemainingRoom(usage, taken, self._quotas)


USUAL = Quotas()
AHEAD = 4
"""Pages that are drawn at most while others are encoded: each may be of 100 MB."""
MOST_NAMED = 3
"""Refused pages of one file that are told of one by one."""
Outcome = tuple[Page, PageEncoding, float] | PageRefused
"""A page, its encoding and the seconds that both took; or why there is none."""
MakeWay = Callable[[Scope, int], bool]
T = TypeVar("T")


class Indexer:
    """Adds documents. One page is acknowledged at a time, and what was acknowledged stays."""

    def __init__(
        self, library: Library, limits: Limits, quotas: Quotas = USUAL, make_way: MakeWay = lambda *_: False
    ) -> None:
        """`make_way` is asked, where all visitors together are full, to free so many bytes for one of them."""
        self._library, self._limits, self._quotas, self._make_way = library, limits, quotas, make_way
        self._additions = IndexingJobs()
        self._writing = 0.0
        """Seconds that the last page took to be written."""

    def addition(self, scope: Scope) -> AbstractContextManager[IndexingJob]:
        """A batch that is announced before `add`: what is deleted from here on is not added."""
        return self._additions.running(scope)

    def add(
        self,
        scope: Scope,
        files: Iterable[tuple[Path, str]],
        backbone: Backbone,
        announced: IndexingJob | None = None,
    ) -> Generator[Progress]:
        """Read, encode and keep files of (path, name), telling of every page. A bad file or page is refused in
        words and the rest goes on; a library that cannot take more ends the batch, in words too.
        """
        if announced is None:
            with self.addition(scope) as addition:
                yield from self.add(scope, files, backbone, addition)
            return
        for path, name in files:
            try:
                if announced.forgotten:
                    raise InputRefused(DELETED)
                upload = ingest.inspect(path, name, self._limits)
                with closing(self._add_file(announced, upload, backbone)) as steps:
                    yield from steps
            except InputRefused as error:
                yield Progress(ingest.clean_name(name), State.REFUSED, message=error.sentence)
            except SmartError as error:
                yield Progress(ingest.clean_name(name), State.REFUSED, message=error.sentence)
                return

    def remove(self, scope: Scope, file: str) -> int:
        """Take a document out, also one that is just being added: what is left of it is not. Bytes freed."""
        self._additions.refuse(scope, file)
        return self._library.remove(scope, file)

    def forget(self, scope: Scope) -> int:
        """Delete a library, with what is just being added to it. Bytes freed."""
        self._additions.forget(scope)
        return self._library.forget(scope)

    def expire(self, visitor: Visitor) -> int | None:
        """Delete what is kept of a visitor. Bytes freed; None where something came since, or is on its way."""
        if self._additions.any_of(visitor.scope):
            return None
        return self._library.expire(visitor)

    def _add_file(self, addition: IndexingJob, upload: ingest.Upload, backbone: Backbone) -> Generator[Progress]:
        """One document. NoRoom if not one page of it fits, InputRefused if it is deleted on the way."""
        scope, file = addition.scope, upload.file
        pages = self._library.pages([scope], backbone.encoder.fingerprint)
        stored = {page.number: page for page in pages if page.id.file == file}
        if len(stored) == upload.pages:
            yield _known(upload, stored[1])
            return
        addition.begin(file)
        gate = AdmissionCheck(self._library, self._quotas, addition, upload)
        self._with_room(gate, scope, gate.check_file)
        done, begun = len(stored), time.monotonic()
        refused, full = list[PageRefused](), list[str]()
        yield Progress(upload.name, State.WORKING, done, upload.pages)
        encoded = self._encoded(upload, set(stored), backbone, lambda good: self._check(gate, scope, good))
        try:
            with closing(encoded) as steps:
                for handled, outcome in enumerate(steps, start=1):
                    if isinstance(outcome, PageRefused):
                        refused.append(outcome)
                    else:
                        self._keep(scope, *outcome, gate)
                        done += 1
                    left = (time.monotonic() - begun) / handled * (upload.pages - len(stored) - handled)
                    yield Progress(upload.name, State.WORKING, done, upload.pages, seconds_left=left)
        except NoRoom as error:
            if not done:
                raise
            full.append(f"The other {upload.pages - done} are not kept. {error.sentence}")
        finally:
            self._library.flush()
        if not addition.wants(file):
            raise InputRefused(DELETED)
        told = " ".join([*upload.notices, *_sentences(refused), *full])
        yield Progress(upload.name, State.DONE if done else State.REFUSED, done, upload.pages, told)

    def _keep(self, scope: Scope, page: Page, encoding: PageEncoding, seconds: float, gate: AdmissionCheck) -> None:
        begun = time.monotonic()
        self._with_room(
            gate, scope, lambda: self._library.add(scope, page, encoding, seconds + self._writing, gate.admit)
        )
        self._writing = time.monotonic() - begun

    def _check(self, gate: AdmissionCheck, scope: Scope, pages: Sequence[Page]) -> None:
        self._with_room(gate, scope, lambda: gate.check(pages))

    def _with_room(self, gate: AdmissionCheck, scope: Scope, step: Callable[[], T]) -> T:
        """Do something for a library; where all visitors together have no room for it, see whether some make way."""
        while True:
            try:
                return step()
            except AllFull as refusal:
                if not self._make_way(scope, refusal.lacking):
                    raise
                gate.count_judgements()

    def _encoded(
        self, upload: ingest.Upload, skip: set[int], backbone: Backbone, check: Callable[[Sequence[Page]], None]
    ) -> Generator[Outcome]:
        """Pages of a file with their encodings, in batches that suit the backbone; refused ones in their place.

        `check` is asked before a batch is encoded: NoRoom where no page of it would fit, InputRefused once the document
        was deleted.
        """
        with closing(ingest.ahead(ingest.render(upload, self._limits, skip), min(backbone.batch, AHEAD))) as pages:
            begun = time.monotonic()
            for batch in _batches(pages, backbone.batch):
                good = [page for page in batch if isinstance(page, Page)]
                check(good)
                encodings = iter(backbone.encode_pages(good) if good else [])
                seconds = (time.monotonic() - begun) / len(batch)
                for page in batch:
                    if isinstance(page, PageRefused):
                        yield page
                    else:
                        encoding = next(encodings)
                        yield encoding if isinstance(encoding, PageRefused) else (page, encoding, seconds)
                begun = time.monotonic()  # here the next batch is waited for, whoever looked on meanwhile


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
