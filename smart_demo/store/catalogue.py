"""What is in the library right now, in memory. Nothing waits here for a disk but a page's first reader."""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from smart_demo.page_list import PageList
from smart_demo.store.token_cache import TokenCache, moved
from smart_demo.store.token_file import TokenFileBody, TokenFileHeader
from smart_demo.types import Floats, PageId, Scope, StoredPage

Key = tuple[Scope, str, PageId]
"""Scope, encoder, page: what makes a stored page itself."""
_VIEWS = 4
"""Sets of scopes whose page lists and pooled matrices are kept between searches."""


@dataclass(eq=False)
class View:
    """What one set of scopes shows under one encoder, until a page of theirs comes or goes."""

    moves: tuple[int, ...]
    """The last one of each of its shelves."""
    pages: PageList
    """By scope, document name, file and number."""
    pooled: Floats | None = None
    """(N, P), once somebody wanted it."""
    earlier: View | None = None
    """The last view of the same scopes that had its matrix: most rows of the next one are in it."""


@dataclass(eq=False)
class _Shelf:
    """The pages of one scope under one encoder. They stay in order, so that nobody has to sort them at a search."""

    pages: list[StoredPage] = field(default_factory=list)
    move: int = 0
    """Number of the last coming or going, no two of which have the same in one process; 0 before the first."""

    def put(self, page: StoredPage, move: int) -> None:
        if self.pages and _order(page) < _order(self.pages[-1]):
            insort(self.pages, page, key=_order)
        else:  # the usual case, and every one of a start
            self.pages.append(page)
        self.move = move

    def take(self, page: StoredPage, move: int) -> None:
        del self.pages[bisect_left(self.pages, _order(page), key=_order)]
        self.move = move


_EMPTY, _OFFERED = _Shelf(), -1


@dataclass(eq=False)
class _Tally:
    """What one scope's pages come to."""

    ids: Counter[PageId] = field(default_factory=Counter)
    """By how many encoders each page is there."""
    bytes: int = 0


class Catalogue:
    """Pages that are there whole. Every method is one step under one lock."""

    def __init__(self, heads: Iterable[TokenFileHeader], maps: int, resident: int = 0) -> None:
        """`maps` is how many token files may stay mapped between searches, `resident` how many bytes of token states
        may stay in memory.
        """
        self._heads: dict[Key, TokenFileHeader] = {}
        self._tallies: dict[Scope, _Tally] = {}
        self._shelves: dict[tuple[Scope, str], _Shelf] = {}
        self._moves = itertools.count(1)
        for head in sorted(heads, key=lambda head: _order(head.page)):
            self._put(head)
        self._proven: set[Key] = set()
        self._bodies: dict[Key, TokenFileBody] = {}
        self._maps = maps
        self._residency = TokenCache(resident)
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

    def get(self, key: Key) -> TokenFileHeader | None:
        """Head of a page that is there."""
        return self._heads.get(key)

    def add(self, head: TokenFileHeader) -> None:
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

    def exchange(self, old: TokenFileHeader, new: TokenFileHeader) -> None:
        """The file of a page says something else than was thought. Nothing happens if the page went meanwhile."""
        with self._lock:
            key = key_of(old.page)
            if self._heads.get(key) is old and key_of(new.page) == key:
                self._put(new)
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

    def is_proven(self, head: TokenFileHeader) -> bool:
        """Whether the token states of this very file were checked before."""
        return key_of(head.page) in self._proven

    def body(self, head: TokenFileHeader) -> TokenFileBody | None:
        """The page's token states if they are in memory or mapped already."""
        key = key_of(head.page)
        return self._residency.get(key) or self._bodies.get(key)

    def has_room_for(self, body: TokenFileBody) -> bool:
        """Whether states that lie in a file's map may move into memory."""
        return body.source is not None and self._residency.has_room_for(body.codes.codes)

    def keep(self, head: TokenFileHeader, body: TokenFileBody) -> TokenFileBody:
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
                    self._bodies.pop(key, None)  # and its open file
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
            shelves = [self._shelves.get((scope, encoder), _EMPTY) for scope in wanted[0]]
            moves = tuple(shelf.move for shelf in shelves)
            view = self._views.pop(wanted, None)
            if view is None or view.moves != moves:
                earlier = view if view is None or view.pooled is not None else view.earlier
                view = View(moves, PageList(page for shelf in shelves for page in shelf.pages), earlier=earlier)
            self._views[wanted] = view  # at the end again: the one not wanted for longest goes first
            while len(self._views) > _VIEWS:
                del self._views[next(iter(self._views))]
            return view

    def known(self, view: View) -> list[tuple[PageList, Floats]]:
        """Pages with their vectors, (N, P), of which some are in this view too: the earlier one's first."""
        with self._lock:
            views = [view.earlier, *self._views.values()]
        found = [(one.pages, one.pooled) for one in views if one is not None and one.pooled is not None]
        return [(pages, pooled) for pages, pooled in found if _alike(pages, view.pages)]

    def offer(self, scope: Scope, encoder: str, pages: Sequence[StoredPage], pooled: Floats) -> None:
        """Vectors (N, P) of pages of one scope that are known already."""
        with self._lock:
            self._views[((scope,), encoder)] = View((_OFFERED,), PageList(pages), pooled)

    def shelves(self) -> dict[tuple[Scope, str], tuple[int, int]]:
        """By scope and encoder: how many pages there are, and a number that changes whenever one comes or goes."""
        with self._lock:
            return {key: (len(shelf.pages), shelf.move) for key, shelf in self._shelves.items()}

    def encoders(self, scope: Scope) -> dict[str, int]:
        """How many pages a scope has under each encoder."""
        with self._lock:
            return {encoder: len(shelf.pages) for (one, encoder), shelf in self._shelves.items() if one == scope}

    def _put(self, head: TokenFileHeader) -> None:
        key = key_of(head.page)
        if known := self._heads.get(key):
            self._take_off(known.page)
        self._heads[key] = head
        self._shelves.setdefault(key[:2], _Shelf()).put(head.page, next(self._moves))
        tally = self._tallies.setdefault(key[0], _Tally())
        tally.ids[head.page.id] += 1
        tally.bytes += head.page.bytes

    def _take_off(self, page: StoredPage) -> None:
        shelf, tally = self._shelves[page.scope, page.encoder], self._tallies[page.scope]
        shelf.take(page, next(self._moves))
        tally.ids[page.id] -= 1
        tally.bytes -= page.bytes
        if not tally.ids[page.id]:
            del tally.ids[page.id]
        if not tally.ids:
            del self._tallies[page.scope]
        if not shelf.pages:
            del self._shelves[page.scope, page.encoder]


def key_of(page: StoredPage) -> Key:
    """What makes a stored page itself."""
    return (page.scope, page.encoder, page.id)


def _alike(some: PageList, others: PageList) -> bool:
    """Whether both may share pages: a view has one encoder."""
    return bool(some) and bool(others) and some[0].encoder == others[0].encoder


def _order(page: StoredPage) -> tuple[str, str, int]:
    return (page.document, page.id.file, page.id.number)
