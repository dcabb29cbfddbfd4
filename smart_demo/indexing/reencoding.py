"""Encoding stored pages again after a change of the model, from the picture and the words that are stored with them.

The original documents are not kept, so this is what a library can do by itself. A page is replaced when its new
encoding is on disk, and only if that fits into its owner's room; one that the new model refuses keeps its old encoding.
`python -m smart_demo reencode --measure` states how far such an encoding is from that of the document.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace

from smart_demo import ingest
from smart_demo.backbones.base import Backbone
from smart_demo.config import Limits, Quotas
from smart_demo.errors import InputRefused, LibraryError, PageRefused, SmartError, TokenFileDamaged
from smart_demo.indexing.jobs import EvictIdleVisitors, RoomCheck, TimedEncoding, describe_refusals, encode_batches
from smart_demo.indexing.page_words import TURNED, read_pages
from smart_demo.indexing.progress import PageRate, ReencodingProgress
from smart_demo.page_text import PageWords, WordSource
from smart_demo.store.library import Library
from smart_demo.types import Page, Scope, StoredPage

log = logging.getLogger(__name__)
FAILED = "The pages could not all be encoded again. The demo’s log says why."
READ_BY_OCR = frozenset({WordSource.OCR, WordSource.BOTH})
"""Sources of words that OCR has completed already."""
MAX_ACTIVE_OWNERS = 2
"""Owners whose pages are encoded by turns; each has some drawn pages in memory."""
MAX_REPORTS = 200
"""Owners for whom the last outcome is kept."""
Reencode = Callable[[Scope], Generator[ReencodingProgress]]


class Reencoder:
    """Encodes the stored pages of one library at a time again, in the thread of its caller."""

    def __init__(
        self,
        library: Library,
        limits: Limits,
        quotas: Quotas,
        evict_idle_visitors: EvictIdleVisitors = lambda *_: False,
        *,
        public: bool = False,
    ) -> None:
        """`evict_idle_visitors` and `public` as for Indexer."""
        self._library, self._limits, self._quotas, self._public = library, limits, quotas, public
        self._evict_idle_visitors = evict_idle_visitors

    def run(self, scope: Scope, backbone: Backbone) -> Generator[ReencodingProgress]:
        """Encode the pages that the backbone's encoder lacks, and yield the progress after every page.

        Pages may be added and deleted at the same time. Closing the generator stops after the current page; another
        call continues with the pages that are left. An error of the disk or a full library ends it, with the reason in
        the last progress.
        """
        self._library.delete_replaced(scope, backbone.encoder.fingerprint)
        waiting = self._library.pages_of_other_encoders(scope, backbone.encoder.fingerprint)
        progress = ReencodingProgress(total=len(waiting), left=len(waiting))
        yield progress
        room, rate, refused = RoomCheck(self._library, self._quotas, scope), PageRate(), list[PageRefused]()
        rate.record(time.monotonic(), 0)
        encoded = encode_batches(self._restore(waiting), backbone, self._read(backbone), _accept)
        try:
            with closing(encoded) as outcomes:
                for left, (page, outcome) in zip(
                    range(len(waiting) - 1, -1, -1), zip(waiting, outcomes, strict=True), strict=True
                ):
                    done = progress.done
                    if not isinstance(outcome, PageRefused):
                        done += self._store(page, outcome, room)
                    elif page in self._library:  # else it was deleted since
                        refused.append(outcome)
                    rate.record(time.monotonic(), 1)
                    progress = replace(
                        progress,
                        done=done,
                        left=left,
                        refused=len(refused),
                        messages=tuple(describe_refusals(refused)),
                        seconds_left=rate.seconds_left(left),
                    )
                    yield progress
        except SmartError as error:
            yield replace(progress, error=error.sentence, seconds_left=None)
        finally:
            self._library.flush()

    def _store(self, old: StoredPage, outcome: TimedEncoding, room: RoomCheck) -> bool:
        """Replace a page; return False if it was deleted, or added from its document, since it was read."""
        page, encoding, _ = outcome

        def admit(new: StoredPage) -> None:
            room.check_growth(new.bytes - old.bytes)

        try:
            stored = room.with_eviction(
                self._evict_idle_visitors,
                lambda: self._library.reencode(old, page, encoding, admit, turned=TURNED in page.notices),
            )
        except LibraryError:
            if old in self._library:
                raise
            return False
        return stored is not None

    def _restore(self, pages: Iterable[StoredPage]) -> Generator[Page | PageRefused]:
        """Yield each page with its stored picture and words, or why that is impossible."""
        for page in pages:
            try:
                pictures, words = self._library.kept_parts(page)
                yield restore_page(page, pictures.picture, words, self._limits)
            except TokenFileDamaged:
                yield PageRefused(f"Page {page.number} of {page.document} is damaged.", "Add its document again.")
            except (LibraryError, InputRefused) as error:
                yield PageRefused(str(error), "Add its document again.")

    def _read(self, backbone: Backbone) -> Callable[[Sequence[Page]], Sequence[Page | PageRefused]]:
        return lambda pages: read_restored(pages, backbone, public=self._public)


def restore_page(stored: StoredPage, picture: bytes, words: PageWords | None, limits: Limits) -> Page:
    """Return a page as its stored picture and words show it. Raises FileRefused if the picture cannot be decoded."""
    pixels = ingest.decode_image_bytes(picture, f"The picture of page {stored.number} of {stored.document}", limits)
    if words is None:
        return Page(stored.id, stored.document, stored.pages, pixels)
    return Page(stored.id, stored.document, stored.pages, pixels, words.words, words.source)


def read_restored(pages: Sequence[Page], backbone: Backbone, *, public: bool = False) -> Sequence[Page | PageRefused]:
    """Return pages with the words that a backbone needs: OCR reads from the picture what the model before did not read.

    public: as for `read_pages`.
    """
    if not backbone.needs_words:
        return pages
    results = iter(read_pages([page for page in pages if page.source not in READ_BY_OCR], use_ocr=True, public=public))
    return [page if page.source in READ_BY_OCR else next(results) for page in pages]


def _accept(_: Sequence[Page]) -> None:
    """Accept every batch: what a page takes is known when it is encoded."""


@dataclass(eq=False)
class _OwnerRun:
    """The pages of one owner that are being encoded again."""

    progress: ReencodingProgress = field(default_factory=ReencodingProgress)
    context: Context = field(default_factory=copy_context)
    """Context of the request that started it, so that a borrowed GPU is charged to its visitor."""
    steps: Generator[ReencodingProgress] | None = None
    started: bool = False
    """Whether its first turn has come."""
    stopping: bool = False
    deleted: bool = False
    """Whether its owner's data was deleted, so that nothing of it is kept."""


class BackgroundReencoding:
    """Encodes the pages of several owners again, by turns page by page, in one thread of low priority."""

    def __init__(self, reencode: Reencode, lower_priority: Callable[[], None]) -> None:
        """`lower_priority` lowers the priority of the thread that calls it."""
        self._reencode, self._lower_priority = reencode, lower_priority
        self._lock = threading.Lock()
        self._runs: OrderedDict[Scope, _OwnerRun] = OrderedDict()
        self._outcomes: OrderedDict[Scope, ReencodingProgress] = OrderedDict()
        self._turn = 0
        self._thread: threading.Thread | None = None

    def start(self, owner: Scope) -> None:
        """Encode the owner's pages of other models again. Does nothing if that is running; takes back a `stop`."""
        with self._lock:
            self._outcomes.pop(owner, None)
            run = self._runs.setdefault(owner, _OwnerRun())
            run.stopping = run.deleted = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="reencoding", daemon=True)
                self._thread.start()

    def stop(self, owner: Scope) -> None:
        """Stop after the current page. Pages that were replaced stay so; `start` continues with the others."""
        with self._lock:
            if run := self._runs.get(owner):
                self._stop(owner, run)

    def delete(self, owner: Scope) -> None:
        """Stop, and delete the outcome, of an owner whose data is deleted."""
        with self._lock:
            self._outcomes.pop(owner, None)
            if run := self._runs.get(owner):
                run.deleted = True
                self._stop(owner, run)

    def running(self, owner: Scope) -> bool:
        """Return whether pages of the owner are being encoded again or wait for their turn."""
        with self._lock:
            return owner in self._runs

    def progress(self, owner: Scope) -> ReencodingProgress | None:
        """Return the latest progress of the owner's pages, or its outcome; None if there is nothing to say."""
        with self._lock:
            run = self._runs.get(owner)
            if run is None or run.deleted:
                return self._outcomes.get(owner)
            return replace(run.progress, stopping=run.stopping)

    def close(self) -> None:
        """Stop all, and wait at most two seconds for the current page: closing the library ends it too."""
        with self._lock:
            for owner, run in list(self._runs.items()):
                self._stop(owner, run)
        self.wait(2.0)

    def wait(self, seconds: float) -> None:
        """Wait until nothing is running, at most `seconds`."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        self._lower_priority()
        while (turn := self._next_turn()) is not None:
            owner, run = turn
            unfinished = run.context.run(self._step, owner, run)
            with self._lock:
                if unfinished and not run.stopping:
                    continue
            run.context.run(self._close, run)
            with self._lock:
                if run.stopping or not unfinished:  # else it was started again
                    self._end(owner, run)

    def _next_turn(self) -> tuple[Scope, _OwnerRun] | None:
        with self._lock:
            if not self._runs:
                self._thread = None
                return None
            self._turn = (self._turn + 1) % min(len(self._runs), MAX_ACTIVE_OWNERS)
            owner = list(self._runs)[self._turn]
            self._runs[owner].started = True
            return owner, self._runs[owner]

    def _step(self, owner: Scope, run: _OwnerRun) -> bool:
        """Encode one page. Return whether there is more to do."""
        try:
            if run.steps is None:
                run.steps = self._reencode(owner)
            progress = next(run.steps, None)
        except SmartError as error:
            progress = replace(run.progress, error=error.sentence)
        except Exception:
            log.exception("pages could not be encoded again")
            progress = replace(run.progress, error=FAILED)
        if progress is not None:
            run.progress = progress
        return progress is not None and not progress.error

    def _close(self, run: _OwnerRun) -> None:
        """Close the steps of a run, which stores what they have to. An exception does not stop the next owner."""
        try:
            if run.steps is not None:
                run.steps.close()
        except Exception:
            log.exception("encoding pages again could not be ended")
        run.steps = None

    # Call these under the lock.

    def _stop(self, owner: Scope, run: _OwnerRun) -> None:
        run.stopping = True
        if not run.started:
            self._end(owner, run)

    def _end(self, owner: Scope, run: _OwnerRun) -> None:
        del self._runs[owner]
        if not run.deleted:
            self._outcomes[owner] = replace(run.progress, running=False, seconds_left=None)
            while len(self._outcomes) > MAX_REPORTS:
                self._outcomes.popitem(last=False)
