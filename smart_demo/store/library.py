"""The library: pages that are there whole, whoever was killed when.

It joins the token files, which decide what is there, with Chroma, which may be slow, torn or gone without harm.
Readers work on a snapshot of the catalogue and on immutable files, so they never wait for a writer and never see half
a page; writers go one at a time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from smart_demo.errors import LibraryError, StorageFull, TokenFileDamaged
from smart_demo.page_list import PageList
from smart_demo.store import atomic_files, judgement_files, sidecar
from smart_demo.store.background import BackgroundTasks, BackgroundWork, Snapshots
from smart_demo.store.catalogue import Catalogue
from smart_demo.store.chroma_index import PageIndex
from smart_demo.store.chroma_upkeep import ChromaUpkeep, PendingUpkeep
from smart_demo.store.lock import FolderLock
from smart_demo.store.page_reader import PageReader
from smart_demo.store.quotas import Visitor, by_age, is_visitor
from smart_demo.store.sidecar import Scan, Sidecar
from smart_demo.types import SAMPLES, Floats, Page, PageEncoding, PageId, Scope, StoredPage, TokenCodes

Admit = Callable[[StoredPage], None]
YOUNG = 600.0
"""Seconds: so old is what nobody can be writing any more."""


@dataclass(frozen=True, slots=True)
class LibraryReport:
    """How the library stands, for `doctor`."""

    pages: int
    damaged: tuple[str, ...]
    """One sentence for each token file that was set aside since the library was opened."""
    swept: int
    """Leftovers of killed writes that the opening removed."""
    index: str
    """`ok`, `rebuilt: why` or `unhealthy: why`; `opening` and `catching up: how far` behind the page."""


class Library:
    """Pages of all scopes and encoders under one data folder. Safe for threads; one process at a time.

    Where the data folder cannot be locked, as on a bucket, nothing young is swept that another process may be writing;
    but nobody is told of what the other one adds.
    """

    def __init__(
        self,
        files: Sidecar,
        found: Scan,
        mirror: ChromaUpkeep,
        lock: FolderLock,
        codec: str,
        resident: int,
        snapshots: Snapshots | None = None,
    ) -> None:
        """Use `open`."""
        self._files = files
        self._catalogue = Catalogue(found.heads, atomic_files.allow_many(), resident)
        self._reader = PageReader(files, self._catalogue, self._set_aside)
        self._mirror = mirror
        self._lock = lock
        self._codec = codec
        self._damaged: list[tuple[Scope | None, str]] = [(None, told) for told in found.damaged]
        self._swept = found.swept
        self._compacting = threading.Lock()
        """Taken before `_writing`, where both are."""
        self._writing = threading.RLock()
        self._closing = self._closed = False
        self._snapshots = snapshots or Snapshots(lock.folder)
        self._snapshots.offer(self._catalogue)
        self._behind: BackgroundTasks | None = None

    @classmethod
    def open(
        cls,
        data_dir: Path,
        index_dir: Path,
        codec: str = "int8",
        candidates: int = 100,
        resident: int = 2**28,
        *,
        behind: bool = False,
    ) -> Self:
        """Take the lock, sweep leftovers, list the pages, try Chroma in a canary and bring it into line.

        resident: bytes of token states that may stay in memory between searches.

        With `behind` the library answers as soon as its pages are listed, heads of large scopes being taken from a
        snapshot; everything about Chroma, and reading those heads, is done behind it once `begin` is called.

        LibraryBusy where another process is there; StorageFull or LibraryError where the folders cannot be used.
        """
        lock = FolderLock(index_dir)
        try:
            with atomic_files.storage_errors(f"use {data_dir}"):
                alone = lock.take_too(data_dir) and data_dir.stat().st_dev == index_dir.stat().st_dev
                files = Sidecar(data_dir)
            # A lock on a mount that machines share may hold in one of them only: then another process may be writing.
            before = math.inf if alone else time.time() - YOUNG
            snapshots = Snapshots(index_dir)
            found = files.scan(before, snapshots.read) if behind else files.scan(before)
            found.swept += judgement_files.sweep(data_dir, before)
            library = cls(files, found, PendingUpkeep(), lock, codec, resident, snapshots)
            if behind:
                library._behind = library._prepared(candidates, found.unread)
            else:
                library._open_index(candidates)
        except BaseException:
            lock.release()
            raise
        return library

    def add(
        self, scope: Scope, page: Page, encoding: PageEncoding, seconds: float = 0.0, admit: Admit = lambda _: None
    ) -> StoredPage:
        """Keep one page; when this returns it survives a crash. A page that is there already is left as it is.

        `seconds` is what it took so far, 0 where nobody measured. `admit` is asked just before the commit, while
        nobody else may write; what it raises keeps the page out.
        StorageFull or LibraryError where the disk refuses: the page is then not there. Chroma learns at `flush`.
        """
        key = (scope, encoding.encoder, page.id)
        if known := self._catalogue.get(key):
            return known.page
        prepared = sidecar.prepare(scope, page, encoding, self._codec, seconds)
        with self._changing():
            if known := self._catalogue.get(key):
                return known.page
            admit(prepared.page)
            head = self._files.commit(prepared)
            self._mirror.expect(head.page)
            self._catalogue.add(head)
        return head.page

    def flush(self) -> None:
        """Tell Chroma of the pages added since the last flush. Its trouble is reported, never raised."""
        with self._changing():
            self._mirror.flush(self._reader.vector)

    def remove(self, scope: Scope, file: str) -> int:
        """Remove every page of a file from one scope, under every encoder. Bytes freed; 0 if it was not there.

        ValueError where `file` is no content hash: it names files on disk.
        """
        PageId(file, 1)
        with self._changing():
            pages = [page for page in self._catalogue.all() if (page.scope, page.id.file) == (scope, file)]
            freed = self._take_out(pages)
            self._files.forget_damaged(scope, file)
        return freed

    def forget(self, scope: Scope) -> int:
        """Delete everything of a scope: pages under every encoder, what was set aside, judgements. Bytes freed.

        Chroma keeps bytes of its rows until `compact`. ValueError for the samples, which are everybody's.
        """
        if scope == SAMPLES:
            raise ValueError("the samples are not forgotten")
        with self._changing():
            return self._forget_pages(scope) + judgement_files.forget(self._files.data_dir, scope)

    def expire(self, visitor: Visitor) -> int | None:
        """Delete everything of a visitor, unless something came since they were looked at: then None. Bytes freed.

        Judgements go first, since nobody who judges waits for this: one that came before keeps everything, and one
        that comes while the pages go is kept.
        """
        with self._changing():
            seen = judgement_files.judged(self._files.data_dir).get(visitor.scope, judgement_files.JudgementFiles())
            if visitor not in self.visitors():
                return None
            freed = judgement_files.expire(self._files.data_dir, visitor.scope, seen)
            return None if freed is None else freed + self._forget_pages(visitor.scope)

    def keep_snapshots(self) -> None:
        """Bring the snapshots of large scopes up to date. LibraryError or StorageFull where the disk refuses."""
        self._snapshots.keep(self._catalogue, self._reader, self._changing)

    def compact(self) -> bool:
        """Build Chroma's folder anew where that frees what it keeps of deleted rows, or heals it. Whether it did.

        Others search and write meanwhile. Trouble is reported, never raised.
        """
        with self._compacting:
            pages = self._catalogue.all()
            if not self._mirror.is_wasteful(len(pages)):
                return False
            try:
                fresh = self._mirror.beside(len(pages))
            except (OSError, StorageFull):
                return False
            try:
                self._fill(fresh)
                with self._changing():
                    self._fill(fresh)  # with what came and went meanwhile
                    if fresh.healthy and not self._closing:
                        fresh, self._mirror = self._mirror, fresh
                        return True
            finally:
                fresh.discard()
            return False

    def _fill(self, mirror: ChromaUpkeep) -> None:
        mirror.reconcile(self._catalogue.all())
        mirror.flush(self._reader.vector, goes_on=lambda: not self._closing)

    def pages(self, scopes: Sequence[Scope], encoder: str) -> PageList:
        """Pages of these scopes under one encoder, by scope, document name, file and number."""
        return self._catalogue.view(scopes, encoder).pages

    def page(self, scope: Scope, encoder: str, page: PageId) -> StoredPage | None:
        """One page's facts; None where it is not there."""
        head = self._catalogue.get((scope, encoder, page))
        return None if head is None else head.page

    def __contains__(self, page: StoredPage) -> bool:
        return page in self._catalogue

    def tally(self, scope: Scope) -> tuple[int, int]:
        """(pages, bytes on disk) of a scope; a page of several encoders is one page, and the bytes of all of them."""
        return self._catalogue.tally(scope)

    def numbers(self, scope: Scope, file: str) -> set[int]:
        """Numbers of a document's pages that are there, under whatever encoder."""
        return self._catalogue.numbers(scope, file)

    def bytes_of_visitors(self) -> int:
        """Bytes on disk of all visitors' pages."""
        return sum(size for scope, size in self._catalogue.bytes_by_scope().items() if is_visitor(scope))

    def judged_by_visitors(self) -> dict[Scope, int]:
        """Bytes on disk of each visitor's judgements."""
        return {
            scope: one.bytes for scope, one in judgement_files.judged(self._files.data_dir).items() if is_visitor(scope)
        }

    def visitors(self) -> tuple[Visitor, ...]:
        """Every visitor of whom something is kept, the one unchanged for longest first."""
        bodies = [(page.scope, page.bytes, page.added) for page in self._catalogue.all()]
        bodies += [
            (scope, one.bytes, one.changed) for scope, one in judgement_files.judged(self._files.data_dir).items()
        ]
        return by_age(bodies)

    def drop_damaged(self, before: float) -> int:
        """Delete visitors' damaged files that were written before a time in seconds. How many."""
        with self._changing():
            return sum(self._files.drop_damaged(one, before) for one in self._files.damaged_scopes() if is_visitor(one))

    def holds(self, scope: Scope) -> bool:
        """Whether a scope has any page, under whatever encoder."""
        return self._catalogue.tally(scope)[0] > 0

    def other_encoders(self, scope: Scope, encoder: str) -> int:
        """How many pages of a scope are kept under other encoders, and so cannot be searched with this one."""
        return sum(count for other, count in self._catalogue.encoders(scope).items() if other != encoder)

    def pooled(self, scopes: Sequence[Scope], encoder: str) -> tuple[PageList, Floats]:
        """`pages` and their pooled vectors (N, P), from the files. Kept until a page comes or goes; read-only."""
        return self._reader.matrix(scopes, encoder)

    def nearest(self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """The `count` pages, or all if they are fewer, whose pooled vectors lie nearest to `vector` (P,).

        From Chroma, approximate beyond its search width, where it knows all pages of these scopes; else exact.
        """
        view = self._catalogue.view(scopes, encoder)
        if wanted := min(count, len(view.pages)):
            found = self._mirror.nearest(scopes, encoder, vector, wanted, view)
            if found is not None:
                return found
        pages, matrix = self.pooled(scopes, encoder)
        order = np.argsort(-(matrix @ vector), kind="stable")[: max(0, count)] if pages else ()
        return [pages[at].key for at in order]

    def ask_for(self, pages: Iterable[StoredPage]) -> None:
        """Have the system read the token states of these pages, which are wanted soon, all at once."""
        self._reader.ask_for(pages)

    def tokens(self, page: StoredPage) -> TokenCodes:
        """Token states as stored, proven on first use: from memory while the budget lasts, else mapped from the file.

        The arrays are shared: do not write into them. Hold a few thousand at most: each map holds an open file.
        TokenFileDamaged if the file cannot prove itself: the page is then set aside. LibraryError once it was removed.
        """
        return self._reader.body(page).codes

    def encoding(self, page: StoredPage) -> PageEncoding:
        """What the backbone made of the page, decoded: states are off by what the codec says, boxes by 2^-17."""
        return self._reader.encoding(page)

    def picture(self, page: StoredPage) -> bytes:
        """WebP, at most 1,600 pixels long. LibraryError once the page was removed."""
        return self._reader.picture(page)

    def thumbnail(self, page: StoredPage) -> bytes:
        """WebP, at most 360 pixels wide. LibraryError once the page was removed."""
        return self._reader.thumbnail(page)

    @property
    def generation(self) -> int:
        """Changes whenever a page comes or goes."""
        return self._catalogue.generation

    @property
    def report(self) -> LibraryReport:
        """How things stand now."""
        return LibraryReport(
            len(self._catalogue),
            tuple(told for _, told in self._damaged),
            self._swept,
            self._mirror.state,
        )

    def close(self) -> None:
        """Finish the index and let other processes in. Closing twice is fine."""
        self._closing = True
        if self._behind is not None:
            self._behind.stop()
        with self._compacting, self._writing:
            if self._closed:
                return
            self.flush()
            self._closed = True
            self._mirror.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self) -> None:
        """Begin what was left to be done behind: call it once, when whoever waits for a page has it. Without it all
        searches and writes are the same, and the next start finds that much more to do.
        """
        if self._behind is not None:
            self._behind.start()

    def _prepared(self, candidates: int, unread: list[StoredPage]) -> BackgroundTasks:
        work = BackgroundWork(
            open_index=lambda goes_on: self._open_index(candidates, goes_on),
            unread=unread,
            confirm=self._reader.confirm,
            keep_snapshots=self.keep_snapshots,
        )
        return BackgroundTasks(work)

    def _open_index(self, candidates: int, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Open Chroma and bring it into line, without keeping anybody waiting; then use it. LibraryError where its
        folder cannot be used: it may be tried again. Where it is not to go on, it stays half filled, and the next start
        goes on. Nothing happens once it is open.
        """
        index_dir, awaited = self._lock.folder, self._mirror
        if not isinstance(awaited, PendingUpkeep):
            return
        awaited.begin()
        try:
            with atomic_files.storage_errors(f"use {index_dir}"):
                fresh = ChromaUpkeep(PageIndex.open(index_dir, candidates))
            self._put_in_place(fresh, awaited, goes_on)
        except Exception as error:
            awaited.fail(error)
            raise

    def _put_in_place(self, fresh: ChromaUpkeep, awaited: PendingUpkeep, goes_on: Callable[[], bool]) -> None:
        try:
            if goes_on():
                fresh.reconcile(self._catalogue.all())
                awaited.filling = fresh
                fresh.flush(self._reader.vector, goes_on)
            with self._changing():
                fresh.take_over(awaited)
                if goes_on():
                    fresh, self._mirror = awaited, fresh
                    self.flush()
        finally:
            fresh.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._writing:
            if self._closed:
                raise LibraryError("The library is closed.")
            yield

    def _forget_pages(self, scope: Scope) -> int:
        """Delete everything of a scope but its judgements. Bytes freed."""
        freed = self._take_out([page for page in self._catalogue.all() if page.scope == scope])
        self._catalogue.forget(scope)
        self._snapshots.forget(scope)
        self._damaged = [told for told in self._damaged if told[0] != scope]
        return freed + self._files.forget(scope)

    def _take_out(self, pages: Sequence[StoredPage]) -> int:
        """Unlist pages and delete their files. Bytes freed."""
        try:
            self._files.remove(pages)
        finally:  # what the disk says is true, also after half of it failed
            gone = [page for page in pages if not self._files.path(page).exists()]
            self._catalogue.drop(gone)
            self._mirror.forget(gone)
        return sum(page.bytes for page in gone)

    def _set_aside(self, page: StoredPage, error: TokenFileDamaged) -> None:
        with self._writing:
            if page not in self._catalogue:
                return
            self._catalogue.drop([page])
            self._mirror.forget([page])
            self._damaged.append((page.scope, f"{page.document}: {error.sentence}"))
            self._files.set_aside(self._files.path(page))
