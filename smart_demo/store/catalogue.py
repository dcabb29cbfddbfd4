"""What is in the library right now, in memory. Nothing waits here for a disk but a page's first reader."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from smart_demo.store.residency import Residency, moved
from smart_demo.store.tokenfile import Body, Head
from smart_demo.types import Floats, PageId, Scope, StoredPage

Key = tuple[Scope, str, PageId]
"""Scope, encoder, page: what makes a stored page itself."""
_VIEWS = 4
"""Sets of scopes whose page lists and pooled matrices are kept between searches."""


@dataclass(eq=False)
class View:
    """What one set of scopes shows under one encoder at one generation."""

    generation: int
    pages: tuple[StoredPage, ...]
    """By scope, document name, file and number."""
    keys: frozenset[tuple[Scope, PageId]]
    pooled: Floats | None = None
    """(N, P), once somebody wanted it."""
    earlier: View | None = None
    """The last view of the same scopes that had its matrix: most rows of the next one are in it."""


@dataclass(eq=False)
class _Tally:
    """What one scope's pages come to."""

    ids: Counter[PageId] = field(default_factory=Counter)
    """By how many encoders each page is there."""
    bytes: int = 0


class Catalogue:
    """Pages that are there whole. Every method is one step under one lock."""

    def __init__(self, heads: Iterable[Head], maps: int, resident: int = 0) -> None:
        """`maps` is how many token files may stay mapped between searches, `resident` how many bytes of token states
        may stay in memory.
        """
        self._heads: dict[Key, Head] = {}
        self._tallies: dict[Scope, _Tally] = {}
        for head in heads:
            self._put(head)
        self._proven: set[Key] = set()
        self._bodies: dict[Key, Body] = {}
        self._maps = maps
        self._residency = Residency(resident)
        self._views: dict[tuple[tuple[Scope, ...], str], View] = {}
        self._lock = threading.Lock()
        self._generation = 0

    @property
    def generation(self) -> int:
        """Changes whenever a page comes or goes."""
        return self._generation

    def __len__(self) -> int:
        return len(self._heads)

    def __contains__(self, page: StoredPage) -> bool:
        head = self._heads.get(key_of(page))
        return head is not None and head.page == page

    def get(self, key: Key) -> Head | None:
        """Head of a page that is there."""
        return self._heads.get(key)

    def add(self, head: Head) -> None:
        """A page was committed."""
        with self._lock:
            self._put(head)
            self._generation += 1

    def drop(self, pages: Iterable[StoredPage]) -> None:
        """Pages are gone."""
        with self._lock:
            for key in map(key_of, pages):
                if head := self._heads.pop(key, None):
                    self._take_off(head.page)
                    self._generation += 1
                self._proven.discard(key)
                self._bodies.pop(key, None)
                self._residency.drop([key])

    def forget(self, scope: Scope) -> None:
        """Let go of everything that was made of a scope's pages; the pages themselves are dropped before."""
        with self._lock:
            for wanted in [wanted for wanted in self._views if scope in wanted[0]]:
                del self._views[wanted]

    def tally(self, scope: Scope) -> tuple[int, int]:
        """(pages, bytes) of a scope. A page of several encoders is one page, and the bytes of all of them."""
        with self._lock:
            tally = self._tallies.get(scope, _Tally())
            return len(tally.ids), tally.bytes

    def bytes_by_scope(self) -> dict[Scope, int]:
        """Bytes of every scope that has a page."""
        with self._lock:
            return {scope: tally.bytes for scope, tally in self._tallies.items()}

    def numbers(self, scope: Scope, file: str) -> set[int]:
        """Numbers of a document's pages that are there, under whatever encoder."""
        with self._lock:
            return {page.number for page in self._tallies.get(scope, _Tally()).ids if page.file == file}

    def is_proven(self, head: Head) -> bool:
        """Whether the token states of this very file were checked before."""
        return key_of(head.page) in self._proven

    def body(self, head: Head) -> Body | None:
        """The page's token states if they are in memory or mapped already."""
        key = key_of(head.page)
        return self._residency.get(key) or self._bodies.get(key)

    def has_room_for(self, body: Body) -> bool:
        """Whether states that lie in a file's map may move into memory."""
        return body.source is not None and self._residency.has_room_for(body.codes.codes)

    def keep(self, head: Head, body: Body) -> Body:
        """Remember proven token states, in memory within the budget, else as they are mapped. Beyond the allowed maps
        the one mapped longest ago is let go. What is to be used from now on.
        """
        key = key_of(head.page)
        with self._lock:
            if self._heads.get(key) is not head:
                return body
            self._proven.add(key)
            rows = self._residency.reserve(key, body.codes.codes)
        if rows is not None:
            inside = moved(body, rows)
            with self._lock:
                if self._residency.publish(key, inside):
                    return inside
        with self._lock:
            if self._heads.get(key) is head:
                self._bodies[key] = body
                while len(self._bodies) > self._maps:
                    del self._bodies[next(iter(self._bodies))]
        return body

    @property
    def resident(self) -> tuple[int, int]:
        """(pages, bytes) of token states that are in memory."""
        with self._lock:
            return len(self._residency), self._residency.bytes

    def all(self) -> list[StoredPage]:
        """Every page."""
        with self._lock:
            return [head.page for head in self._heads.values()]

    def view(self, scopes: Sequence[Scope], encoder: str) -> View:
        """The pages of these scopes under one encoder; the same object until a page comes or goes."""
        wanted = (tuple(sorted(set(scopes), key=str)), encoder)
        with self._lock:
            view = self._views.pop(wanted, None)
            if view is None or view.generation != self._generation:
                pages = [h.page for key, h in self._heads.items() if key[1] == encoder and key[0] in wanted[0]]
                earlier = view if view is None or view.pooled is not None else view.earlier
                keys = frozenset(page.key for page in pages)
                view = View(self._generation, tuple(sorted(pages, key=_order)), keys, earlier=earlier)
            self._views[wanted] = view  # at the end again: the one not wanted for longest goes first
            while len(self._views) > _VIEWS:
                del self._views[next(iter(self._views))]
            return view

    def _put(self, head: Head) -> None:
        key = key_of(head.page)
        if known := self._heads.get(key):
            self._take_off(known.page)
        self._heads[key] = head
        tally = self._tallies.setdefault(key[0], _Tally())
        tally.ids[head.page.id] += 1
        tally.bytes += head.page.bytes

    def _take_off(self, page: StoredPage) -> None:
        tally = self._tallies[page.scope]
        tally.ids[page.id] -= 1
        tally.bytes -= page.bytes
        if not tally.ids[page.id]:
            del tally.ids[page.id]
        if not tally.ids:
            del self._tallies[page.scope]


def key_of(page: StoredPage) -> Key:
    """What makes a stored page itself."""
    return (page.scope, page.encoder, page.id)


def _order(page: StoredPage) -> tuple[str, str, PageId]:
    return (str(page.scope), page.document, page.id)
