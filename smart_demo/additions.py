"""Additions that are on their way: what each must pass, page by page, so that no library grows beyond its room and
what is deleted meanwhile is not added behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from smart_demo.config import Quotas
from smart_demo.errors import InputRefused
from smart_demo.ingest import Upload
from smart_demo.store.library import Library
from smart_demo.store.quotas import Room, is_visitor, measured
from smart_demo.types import SAMPLES, Page, Scope, StoredPage

DELETED = "Deleted while it was being added."


class Addition:
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


class Additions:
    """All that are on their way. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Addition] = []

    @contextmanager
    def running(self, scope: Scope) -> Iterator[Addition]:
        """A batch, as long as it takes."""
        addition = Addition(scope)
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

    def _of(self, scope: Scope) -> list[Addition]:
        with self._lock:
            return [addition for addition in self._running if addition.scope == scope]


class Gate:
    """What one document of a batch must pass. Methods raise NoRoom, and InputRefused once the document was deleted."""

    def __init__(self, library: Library, quotas: Quotas, addition: Addition, upload: Upload) -> None:
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

    def _room(self) -> Room:
        scope = self._addition.scope
        usage = measured(scope, *self._library.tally(scope), self._quotas)
        taken = self._library.bytes_of_visitors() + self._judged if is_visitor(scope) else 0
        return Room(usage, taken, self._quotas)
