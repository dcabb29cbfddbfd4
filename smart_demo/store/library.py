"""The library: all stored pages, complete even after a crash, and the search for the nearest of them.

It combines the token files, which decide what exists, with Chroma, which may be slow, torn or missing without harm.
Readers use views of the catalogue and immutable files, so they never wait for a writer and never see half a page;
writers take turns.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from smart_demo.errors import LibraryError, StorageFull, TokenFileDamaged
from smart_demo.page_list import PageList
from smart_demo.page_text import PageWords
from smart_demo.store import atomic_files, judgement_files
from smart_demo.store.atomic_files import FolderLock
from smart_demo.store.catalogue import Catalogue
from smart_demo.store.chroma_index import PageIndex
from smart_demo.store.page_files import LibraryReport, PageFiles, ScanResult
from smart_demo.store.page_reader import PageReader
from smart_demo.store.page_writer import PageWriter
from smart_demo.store.prepared_page import EncodedPage, Pictures, PreparedPage, prepare_again, prepare_page
from smart_demo.store.quotas import Visitor, group_by_visitor, is_visitor
from smart_demo.store.snapshot import Snapshots
from smart_demo.store.token_file import stored_key
from smart_demo.store.upkeep import BackgroundTasks, BackgroundWork, ChromaUpkeep, UnopenedChroma
from smart_demo.types import SAMPLES, Floats, Page, PageEncoding, PageId, Scope, StoredPage, TokenCodes, TokenSpace

Admit = Callable[[StoredPage], None]
"""Raises an error if a page may not be added."""
MAX_WRITE_SECONDS = 600.0
"""Seconds after which no process can still be writing a file."""


class Library:
    """Pages of all scopes and encoders under one data folder. Safe for threads; one process at a time.

    If the data folder cannot be locked, as on a bucket, another process may write to it: recent files are then left
    alone at the opening, and pages that the other process adds are not seen until the next one.
    """

    def __init__(
        self,
        files: PageFiles,
        found: ScanResult,
        chroma: ChromaUpkeep,
        lock: FolderLock,
        codec: str,
        cache_bytes: int,
        snapshots: Snapshots | None = None,
    ) -> None:
        """Join the parts; callers use `open`."""
        self._files = files
        self._catalogue = Catalogue(found.headers, atomic_files.raise_open_file_limit(), cache_bytes)
        self._reader = PageReader(files, self._catalogue, self._quarantine)
        self._chroma = chroma
        self._writer = PageWriter(files, self._catalogue, lambda: self._chroma)
        self._lock = lock
        self._codec = codec
        self._damaged: list[tuple[Scope | None, str]] = [(None, sentence) for sentence in found.damaged]
        self._deleted_leftovers = found.deleted_leftovers
        self._compacting = threading.Lock()
        """Taken before `_writing` if both are taken."""
        self._writing = threading.RLock()
        self._closing = self._closed = False
        self._snapshots = snapshots or Snapshots(lock.folder)
        self._snapshots.add_vectors_to(self._catalogue)
        self._background: BackgroundTasks | None = None

    @classmethod
    def open(
        cls,
        data_dir: Path,
        index_dir: Path,
        codec: str = "int8",
        candidates: int = 100,
        cache_bytes: int = 2**28,
        *,
        in_background: bool = False,
        former: Mapping[str, str] | None = None,
    ) -> Self:
        """Lock the folders, delete leftovers, list the pages, check Chroma in a child process and reconcile it.

        candidates: the largest `count` that searches will ask for. cache_bytes: bytes of token states that may stay in
        memory between searches. in_background: return as soon as the pages are listed, large scopes from snapshots;
        opening Chroma and reading those headers is left to `start_background_tasks`. former: as for PageFiles.

        Raises LibraryBusy if another process has it open, StorageFull or LibraryError if the folders cannot be used.
        """
        lock = FolderLock(index_dir)
        try:
            with atomic_files.storage_errors(f"use {data_dir}"):
                # A lock on a mount that machines share may hold in one of them only: then another process may write.
                alone = lock.try_lock(data_dir) and data_dir.stat().st_dev == index_dir.stat().st_dev
                files = PageFiles(data_dir, former)
            before = math.inf if alone else time.time() - MAX_WRITE_SECONDS
            snapshots = Snapshots(index_dir)
            found = files.scan(before, snapshots.read) if in_background else files.scan(before)
            found.deleted_leftovers += judgement_files.delete_leftovers(data_dir, before)
            library = cls(files, found, UnopenedChroma(), lock, codec, cache_bytes, snapshots)
            if in_background:
                steps = library._reader.refresh_header, library.update_snapshots
                work = BackgroundWork(partial(library._open_index, candidates), found.unread, *steps)
                library._background = BackgroundTasks(work)
            else:
                library._open_index(candidates)
        except BaseException:
            lock.release()
            raise
        return library

    def start_background_tasks(self) -> None:
        """Start what `open` left to do in the background: call it once, when the first page has been served.

        Without it all searches and writes work the same, and the next start has more to do.
        """
        if self._background is not None:
            self._background.start()

    def close(self) -> None:
        """Finish the index and release the folders to other processes. Closing twice is no error."""
        self._closing = True
        if self._background is not None:
            self._background.stop()
        with self._compacting, self._writing:
            if self._closed:
                return
            self.flush()
            self._closed = True
            self._chroma.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self, scope: Scope, page: Page, encoding: PageEncoding, seconds: float = 0.0, admit: Admit = lambda _: None
    ) -> StoredPage:
        """Store one page so that it survives a crash, and return its metadata.

        A page stored before is unchanged, unless it is `improvable` or lacks its pictures: such a page is replaced, and
        exists until the new one does.

        seconds: wall time spent on the page so far, 0 if not measured. admit: called just before the commit, while no
        other thread can write; if it raises, the page is not stored.

        Raises StorageFull or LibraryError if the disk refuses; then nothing has changed. `flush` adds it to Chroma.
        """
        known = self.page(scope, encoding.encoder, page.id)
        if known is not None and not known.improvable:
            return known
        return self.add_prepared(prepare_page(scope, page, encoding, self._codec, seconds), admit)

    def add_prepared(self, prepared: PreparedPage, admit: Admit = lambda _: None) -> StoredPage:
        """Store one prepared page as `add` does. Without pictures it replaces no page."""
        with self._locked():
            known = self._catalogue.get(stored_key(prepared.page))
            whole = known is not None and not known.page.improvable and self._files.has_pictures(known)
            if known is not None and (whole or prepared.pictures is None):
                return known.page
            admit(prepared.page)
            return self._writer.add(prepared) if known is None else self._writer.replace(known, prepared)

    def reencode(
        self, old: StoredPage, page: Page, encoding: PageEncoding, admit: Admit, *, turned: bool = False
    ) -> StoredPage | None:
        """Store an encoding of `kept_parts` by another encoder, then delete the old page; return the new metadata.

        At every moment, a kill included, the page is stored whole: under the old encoder, the new one, or both. Returns
        None and changes nothing if the old page was deleted, or if the new encoder has the page already. turned:
        whether `page` was turned upright since it was stored. admit and errors as `add`.
        """
        pictures, _ = self._reader.kept_parts(old)
        prepared = prepare_again(old, page, encoding, self._codec, None if turned else pictures)
        with self._locked():
            if old not in self._catalogue or self._catalogue.get(stored_key(prepared.page)):
                return None
            admit(prepared.page)
            return self._writer.replace_encoder(old, prepared)

    def delete_replaced(self, scope: Scope, encoder: str) -> int:
        """Delete the old pages that a killed `reencode` left behind; return the bytes freed."""
        with self._locked():
            return self._writer.delete(self._catalogue.list_replaced_by(scope, encoder))

    def flush(self) -> None:
        """Write the pages added since the last flush to Chroma. Errors of Chroma appear in `report` and never raise."""
        with self._locked():
            self._chroma.flush(self._reader.vector)

    def delete_document(self, scope: Scope, file: str) -> int:
        """Delete every page of a file from one scope, under every encoder. Return the bytes freed, 0 if it had none.

        Raises ValueError if `file` is not a content hash: it becomes part of file names.
        """
        PageId(file, 1)
        with self._locked():
            pages = [page for page in self._catalogue.all_pages() if (page.scope, page.id.file) == (scope, file)]
            freed = self._writer.delete(pages)
            self._files.delete_damaged(scope, file)
        return freed

    def delete_scope(self, scope: Scope) -> int:
        """Delete everything of a scope: pages of all encoders, quarantined files, judgements. Return the bytes freed.

        Chroma keeps bytes of the rows until `compact`. Raises ValueError for the samples, which every visitor sees.
        """
        if scope == SAMPLES:
            raise ValueError("the samples cannot be deleted")
        with self._locked():
            return self._delete_scope_pages(scope) + judgement_files.delete_judgements(self._files.data_dir, scope)

    def delete_if_unchanged(self, visitor: Visitor) -> int | None:
        """Delete everything of a visitor and return the bytes freed, or None if it changed since `visitor` was read.

        Judgements go first, because judging does not wait for this lock: one written before keeps everything, and one
        written while the pages are deleted is kept.
        """
        with self._locked():
            judgements = judgement_files.find_judgement_files(self._files.data_dir)
            if visitor not in self.visitors():
                return None
            seen = judgements.get(visitor.scope, judgement_files.JudgementFiles())
            freed = judgement_files.delete_if_unchanged(self._files.data_dir, visitor.scope, seen)
            return None if freed is None else freed + self._delete_scope_pages(visitor.scope)

    def delete_damaged(self, before: float) -> int:
        """Delete visitors' quarantined files that are older than a Unix time. Return how many."""
        with self._locked():
            scopes = filter(is_visitor, self._files.damaged_scopes())
            return sum(self._files.delete_old_damaged(scope, before) for scope in scopes)

    def update_snapshots(self) -> None:
        """Bring the snapshots of large scopes up to date. Raises LibraryError or StorageFull if the disk refuses."""
        self._snapshots.update(self._catalogue, self._reader.pooled_matrix, self._locked)

    def compact(self) -> bool:
        """Rebuild Chroma's folder if that frees bytes of deleted rows or repairs it. Return whether it did.

        Other threads search and write at the same time. Errors of Chroma appear in `report` and never raise.
        """
        with self._compacting:
            pages = self._catalogue.all_pages()
            if not self._chroma.is_wasteful(len(pages)):
                return False
            try:
                fresh = self._chroma.open_next(len(pages))
            except (OSError, StorageFull):
                return False
            try:
                self._fill(fresh)
                with self._locked():
                    self._fill(fresh)  # with the pages added and deleted since
                    if fresh.healthy and not self._closing:
                        fresh, self._chroma = self._chroma, fresh
                        return True
            finally:
                fresh.delete_folder()
            return False

    def pages(self, scopes: Sequence[Scope], encoder: str) -> PageList:
        """Return the pages of these scopes under one encoder, by scope, document name, file and number."""
        return self._catalogue.view(scopes, encoder).pages

    def versions(self, scopes: Sequence[Scope], encoder: str) -> tuple[int, ...]:
        """Return numbers that differ after every change of `pages`, without listing them: all 0 if there are none."""
        return self._catalogue.versions(scopes, encoder)

    def page(self, scope: Scope, encoder: str, page: PageId) -> StoredPage | None:
        """Return the metadata of one page, or None if it is not stored."""
        return header.page if (header := self._catalogue.get((scope, encoder, page))) else None

    def page_versions(self, scope: Scope, page: PageId) -> list[StoredPage]:
        """Return the metadata of one page under each encoder that it is stored under."""
        return self._catalogue.page_versions(scope, page)

    def __contains__(self, page: StoredPage) -> bool:
        return page in self._catalogue

    def totals(self, scope: Scope) -> tuple[int, int]:
        """Return (pages, bytes on disk) of a scope. A page of several encoders is one page; the bytes include all."""
        return self._catalogue.totals(scope)

    def page_numbers(self, scope: Scope, file: str) -> set[int]:
        """Return the numbers of a document's stored pages, under any encoder."""
        return self._catalogue.page_numbers(scope, file)

    def document_names(self, scope: Scope) -> dict[str, str]:
        """Return the names of a scope's documents by file, under any encoder."""
        return self._catalogue.document_names(scope)

    def pages_of_other_encoders(self, scope: Scope, encoder: str) -> list[StoredPage]:
        """Return the pages of a scope that are stored under other encoders alone, so that `encoder` searches none."""
        return self._catalogue.list_missing_under(scope, encoder)

    def visitors(self) -> tuple[Visitor, ...]:
        """Return every visitor who has pages or judgements, the one idle for longest first."""
        entries = [(page.scope, page.bytes, page.added) for page in self._catalogue.all_pages()]
        judgements = judgement_files.find_judgement_files(self._files.data_dir)
        entries += [(scope, files.bytes, files.changed) for scope, files in judgements.items()]
        return group_by_visitor(entries)

    def visitor_page_bytes(self) -> int:
        """Return the bytes on disk of all visitors' pages."""
        return sum(size for scope, size in self._catalogue.bytes_by_scope().items() if is_visitor(scope))

    def visitor_judgement_bytes(self) -> dict[Scope, int]:
        """Return the bytes on disk of each visitor's judgements."""
        judgements = judgement_files.find_judgement_files(self._files.data_dir)
        return {scope: files.bytes for scope, files in judgements.items() if is_visitor(scope)}

    def pooled(self, scopes: Sequence[Scope], encoder: str) -> tuple[PageList, Floats]:
        """Return `pages` and their pooled vectors (N, P) from the files, read-only. Cached until a page changes."""
        return self._reader.pooled_matrix(scopes, encoder)

    def nearest(self, scopes: Sequence[Scope], encoder: str, vector: Floats, count: int) -> list[tuple[Scope, PageId]]:
        """Return the keys of the pages nearest to `vector` (P,): `count` of them, or all if the scopes have fewer.

        The answer is Chroma's, approximate beyond its search width, if Chroma contains all pages of these scopes; else
        it is exact.
        """
        view = self._catalogue.view(scopes, encoder)
        if available := min(count, len(view.pages)):
            found = self._chroma.nearest(scopes, encoder, vector, available, view)
            if found is not None:
                return found
        return self._reader.nearest(scopes, encoder, vector, count)

    def prefetch(self, pages: Iterable[StoredPage]) -> None:
        """Ask the system to read the token states of these pages, which are needed soon, all at once."""
        self._reader.prefetch(pages)

    def tokens(self, page: StoredPage, space: TokenSpace = TokenSpace.RAW) -> TokenCodes:
        """Return a page's token states in a space as stored, verified on first use: from memory, or mapped.

        The arrays are shared: do not write to them. Hold a few thousand at most: each mapped file is an open file.
        Raises TokenFileDamaged, and quarantines the page, if its file is altered; LibraryError if it was deleted.
        """
        return self._reader.body(page, space).codes

    def encoding(self, page: StoredPage) -> PageEncoding:
        """Return a page's encoding, decoded: states differ by the codec's error, boxes by up to 2^-17."""
        return self.encoded(page).decode()

    def encoded(self, page: StoredPage) -> EncodedPage:
        """Return everything that a page's token file holds, as stored. Errors as `tokens`."""
        return self._reader.encoded(page)

    def page_words(self, page: StoredPage) -> PageWords | None:
        """Return a page's words in reading order; None if an earlier version stored it without. Errors as `tokens`."""
        return self._reader.words(page)

    def has_pictures(self, page: StoredPage) -> bool:
        """Return whether a page's pictures were drawn. Raises LibraryError if the page was deleted."""
        return self._reader.has_pictures(page)

    def picture(self, page: StoredPage) -> bytes:
        """Return a page's picture as WebP, of `picture_size`. Raises LibraryError if the page was deleted."""
        return self._reader.picture(page)

    def thumbnail(self, page: StoredPage) -> bytes:
        """Return a page's thumbnail as WebP, at most 360 pixels wide. Raises LibraryError if the page was deleted."""
        return self._reader.thumbnail(page)

    def kept_parts(self, page: StoredPage) -> tuple[Pictures, PageWords | None]:
        """Return a page's pictures and words, from which `reencode` may make another encoding.

        Raises TokenFileDamaged, and leaves the page as it is, if they are altered; LibraryError if they are missing.
        """
        return self._reader.kept_parts(page)

    @property
    def generation(self) -> int:
        """Counter that changes whenever a page is added or deleted."""
        return self._catalogue.generation

    @property
    def report(self) -> LibraryReport:
        """Current state of the library."""
        damaged = (sentence for _, sentence in self._damaged)
        return LibraryReport(len(self._catalogue), tuple(damaged), self._deleted_leftovers, self._chroma.state)

    def _open_index(self, candidates: int, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Open Chroma, reconcile it while other threads search and write, and use it from then on.

        Does nothing if Chroma is open. If `keep_going` returns False, the folder stays half filled for the next start.
        Raises LibraryError if its folder cannot be used; the call may be repeated.
        """
        index_dir, unopened = self._lock.folder, self._chroma
        if not isinstance(unopened, UnopenedChroma):
            return
        unopened.begin()
        try:
            with atomic_files.storage_errors(f"use {index_dir}"):
                fresh = ChromaUpkeep(PageIndex.open(index_dir, candidates))
            self._replace_unopened(fresh, unopened, keep_going)
        except Exception as error:
            unopened.fail(error)
            raise

    def _replace_unopened(self, fresh: ChromaUpkeep, unopened: UnopenedChroma, keep_going: Callable[[], bool]) -> None:
        try:
            if keep_going():
                fresh.reconcile(self._catalogue.all_pages())
                unopened.filling = fresh
                fresh.flush(self._reader.vector, keep_going)
            with self._locked():
                fresh.apply_changes_of(unopened)
                if keep_going():
                    fresh, self._chroma = unopened, fresh
                    self.flush()
        finally:
            fresh.close()

    def _fill(self, chroma: ChromaUpkeep) -> None:
        chroma.reconcile(self._catalogue.all_pages())
        chroma.flush(self._reader.vector, keep_going=lambda: not self._closing)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the write lock. Raises LibraryError if the library is closed."""
        with self._writing:
            if self._closed:
                raise LibraryError("The library is closed.")
            yield

    def _delete_scope_pages(self, scope: Scope) -> int:
        """Delete everything of a scope but its judgements. Return the bytes freed."""
        freed = self._writer.delete([page for page in self._catalogue.all_pages() if page.scope == scope])
        self._catalogue.discard_views(scope)
        self._snapshots.delete(scope)
        self._damaged = [(owner, sentence) for owner, sentence in self._damaged if owner != scope]
        return freed + self._files.delete_scope(scope)

    def _quarantine(self, page: StoredPage, error: TokenFileDamaged) -> None:
        """Unlist a damaged page and quarantine its token file. Does nothing if it is not listed any more."""
        with self._writing:
            if page in self._catalogue:
                self._damaged.append((page.scope, f"{page.document}: {error.sentence}"))
                self._writer.quarantine(page)
