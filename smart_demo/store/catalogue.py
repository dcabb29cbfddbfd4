"""The catalogue of a library: every complete page, its order and its cached token states, in memory. Reads no files."""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from smart_demo.page_list import PageList
from smart_demo.store.token_cache import BodyKey, TokenCache, copy_body
from smart_demo.store.token_file import StoredKey, TokenFileBody, TokenFileHeader, stored_key
from smart_demo.types import Floats, PageId, Scope, StoredPage, TokenSpace

GroupKey = tuple[Scope, str]
"""Scope and encoder fingerprint: what the pages of one group have in common."""
_MAX_VIEWS = 4
"""Sets of scopes whose page lists and pooled matrices are cached between searches."""


@dataclass(eq=False)
class View:
    """The pages of a set of scopes under one encoder, valid until one of them is added or removed."""

    versions: tuple[int, ...]
    """Version of each scope's group when the view was made."""
    pages: PageList
    """Pages by scope, document name, file and number."""
    pooled: Floats | None = None
    """Pooled vectors (N, P), or None until a search needs them."""
    earlier: View | None = None
    """The last view of the same scopes that has its matrix: the next one copies most rows from it."""


@dataclass(eq=False)
class _Group:
    """The pages of one scope under one encoder, kept in order so that no search has to sort them."""

    pages: list[StoredPage] = field(default_factory=list)
    version: int = 0
    """Number of the last change, unique in the process; 0 before the first."""

    def add(self, page: StoredPage, version: int) -> None:
        if self.pages and _order(page) < _order(self.pages[-1]):
            insort(self.pages, page, key=_order)
        else:  # the usual case, and the only one at a start
            self.pages.append(page)
        self.version = version

    def remove(self, page: StoredPage, version: int) -> None:
        del self.pages[bisect_left(self.pages, _order(page), key=_order)]
        self.version = version


_EMPTY, _FROM_SNAPSHOT = _Group(), -1
"""The group of a scope without pages, and the version of a view whose vectors came from a snapshot."""


@dataclass(eq=False)
class _Totals:
    """Page and byte counts of one scope."""

    encoders: Counter[PageId] = field(default_factory=Counter)
    """Number of encoders that each page is stored under."""
    bytes: int = 0


class Catalogue:
    """The complete pages of a library. Safe for threads: every method is one step under one lock."""

    def __init__(self, headers: Iterable[TokenFileHeader], max_mapped: int, cache_bytes: int = 0) -> None:
        """List the pages of `headers`.

        max_mapped: token files that may stay mapped between searches. cache_bytes: bytes of token states that may stay
        in memory.
        """
        self._headers: dict[StoredKey, TokenFileHeader] = {}
        self._totals: dict[Scope, _Totals] = {}
        self._groups: dict[GroupKey, _Group] = {}
        self._versions = itertools.count(1)
        for header in sorted(headers, key=lambda header: _order(header.page)):
            self._put(header)
        self._verified: set[StoredKey] = set()
        self._bodies: dict[BodyKey, TokenFileBody] = {}
        self._max_mapped = max_mapped
        self._cache = TokenCache(cache_bytes)
        self._views: dict[tuple[tuple[Scope, ...], str], View] = {}
        self._lock = threading.Lock()
        self._generation = 0

    @property
    def generation(self) -> int:
        """Counter that changes whenever a page is added or removed."""
        return self._generation

    def __len__(self) -> int:
        return len(self._headers)

    def __contains__(self, page: StoredPage) -> bool:
        header = self._headers.get(stored_key(page))
        return header is not None and header.page == page

    def get(self, key: StoredKey) -> TokenFileHeader | None:
        """Return the header of a listed page."""
        return self._headers.get(key)

    def add(self, header: TokenFileHeader) -> None:
        """List a page that was committed."""
        with self._lock:
            self._put(header)
            self._generation += 1

    def remove(self, pages: Iterable[StoredPage]) -> None:
        """Remove pages from the list, with their cached token states. Pages that are not listed are no error."""
        with self._lock:
            for key in map(stored_key, pages):
                if header := self._headers.pop(key, None):
                    self._unlist(header.page)
                    self._generation += 1
                self._discard_body(key)

    def replace(self, old: TokenFileHeader, new: TokenFileHeader) -> None:
        """Replace the header of a page whose file differs from what was known, unless the page was removed since."""
        with self._lock:
            key = stored_key(old.page)
            if self._headers.get(key) is old and stored_key(new.page) == key:
                self._put(new)
                self._generation += 1
                self._discard_body(key)

    def discard_views(self, scope: Scope) -> None:
        """Discard every cached view that includes a scope. Its pages must be removed before."""
        with self._lock:
            for key in [key for key in self._views if scope in key[0]]:
                del self._views[key]

    def page_versions(self, scope: Scope, page: PageId) -> list[StoredPage]:
        """Return a page under each encoder that it is listed under."""
        with self._lock:
            found = [self._headers.get((owner, encoder, page)) for owner, encoder in self._groups if owner == scope]
        return [header.page for header in found if header is not None]

    def totals(self, scope: Scope) -> tuple[int, int]:
        """Return (pages, bytes) of a scope. A page of several encoders is one page; the bytes include all of them."""
        with self._lock:
            totals = self._totals.get(scope, _Totals())
            return len(totals.encoders), totals.bytes

    def bytes_by_scope(self) -> dict[Scope, int]:
        """Return the bytes of every scope that has a page."""
        with self._lock:
            return {scope: totals.bytes for scope, totals in self._totals.items()}

    def page_numbers(self, scope: Scope, file: str) -> set[int]:
        """Return the numbers of a document's listed pages, under any encoder."""
        with self._lock:
            return {page.number for page in self._totals.get(scope, _Totals()).encoders if page.file == file}

    def document_names(self, scope: Scope) -> dict[str, str]:
        """Return the names of a scope's documents by file, under any encoder."""
        with self._lock:
            groups = [group for (owner, _), group in self._groups.items() if owner == scope]
            return {page.id.file: page.document for group in groups for page in group.pages}

    def is_verified(self, header: TokenFileHeader) -> bool:
        """Return whether the token states of this file were checked before."""
        return stored_key(header.page) in self._verified

    def body(self, header: TokenFileHeader, space: TokenSpace) -> TokenFileBody | None:
        """Return a page's token states in a space if they are in memory or mapped."""
        key = (stored_key(header.page), space)
        return self._cache.get(key) or self._bodies.get(key)

    def has_room_for(self, body: TokenFileBody) -> bool:
        """Return whether mapped token states may be copied into memory."""
        return body.source is not None and self._cache.has_room_for(body.codes.codes)

    def cache_body(self, header: TokenFileHeader, space: TokenSpace, body: TokenFileBody) -> TokenFileBody:
        """Cache verified token states and return what to use from now on.

        They are copied into memory if the budget allows, else they stay mapped. Beyond `max_mapped` the file mapped
        first is evicted.
        """
        key, page = (stored_key(header.page), space), stored_key(header.page)
        with self._lock:
            if self._headers.get(page) is not header:
                return body
            self._verified.add(page)
            rows = self._cache.reserve(key, body.codes.codes)
        if rows is not None:
            copied = copy_body(body, rows)
            with self._lock:
                if self._cache.publish(key, copied):
                    self._bodies.pop(key, None)  # and its open file
                    return copied
        with self._lock:
            if self._headers.get(page) is header:
                self._bodies[key] = body
                while len(self._bodies) > self._max_mapped:
                    del self._bodies[next(iter(self._bodies))]
        return body

    @property
    def cached(self) -> tuple[int, int]:
        """Pages and bytes of the token states in memory."""
        with self._lock:
            return len(self._cache), self._cache.bytes

    def all_pages(self) -> list[StoredPage]:
        """Return every page."""
        with self._lock:
            return [header.page for header in self._headers.values()]

    def view(self, scopes: Sequence[Scope], encoder: str) -> View:
        """Return the pages of these scopes under one encoder: the same object until a page is added or removed."""
        key = (_sorted_scopes(scopes), encoder)
        with self._lock:
            groups = [self._groups.get((scope, encoder), _EMPTY) for scope in key[0]]
            versions = tuple(group.version for group in groups)
            view = self._views.pop(key, None)
            if view is None or view.versions != versions:
                earlier = view if view is None or view.pooled is not None else view.earlier
                view = View(versions, PageList(page for group in groups for page in group.pages), earlier=earlier)
            self._views[key] = view  # last again: the least recently used view is evicted first
            while len(self._views) > _MAX_VIEWS:
                del self._views[next(iter(self._views))]
            return view

    def versions(self, scopes: Sequence[Scope], encoder: str) -> tuple[int, ...]:
        """Return what differs after every change of these scopes' pages under one encoder: all 0 if there are none."""
        with self._lock:
            return tuple(self._groups.get((scope, encoder), _EMPTY).version for scope in _sorted_scopes(scopes))

    def known_vectors(self, view: View) -> list[tuple[PageList, Floats]]:
        """Return lists of pages with their vectors (N, P) that may include pages of `view`, its earlier view first."""
        with self._lock:
            views = [view.earlier, *self._views.values()]
        known = [(other.pages, other.pooled) for other in views if other is not None and other.pooled is not None]
        return [(pages, pooled) for pages, pooled in known if _same_encoder(pages, view.pages)]

    def add_vectors(self, scope: Scope, encoder: str, pages: Sequence[StoredPage], pooled: Floats) -> None:
        """Store vectors (N, P) of listed pages of one scope that a snapshot supplied."""
        with self._lock:
            self._views[((scope,), encoder)] = View((_FROM_SNAPSHOT,), PageList(pages), pooled)

    def groups(self) -> dict[GroupKey, tuple[int, int]]:
        """Return (page count, version) by scope and encoder. The version changes with every change of its pages."""
        with self._lock:
            return {key: (len(group.pages), group.version) for key, group in self._groups.items()}

    def list_missing_under(self, scope: Scope, encoder: str) -> list[StoredPage]:
        """Return the pages of a scope that are listed under other encoders alone, by document name, file and number.

        Of a page under several encoders it is the one to encode again: one made from its document, the newest of them.
        """
        best: dict[PageId, StoredPage] = {}
        with self._lock:
            for page in self._under_other_encoders(scope, encoder):
                known = best.get(page.id)
                if (scope, encoder, page.id) not in self._headers and (known is None or _rank(page) > _rank(known)):
                    best[page.id] = page
        return sorted(best.values(), key=_order)

    def list_replaced_by(self, scope: Scope, encoder: str) -> list[StoredPage]:
        """Return the pages from which pages of `encoder` were made by a process that was killed before deleting them.

        Both were added at the same time, to the last digit. A page whose document was added again is not among them.
        """
        with self._lock:
            pages = self._under_other_encoders(scope, encoder)
            made = [self._headers.get((scope, encoder, page.id)) for page in pages]
        return [
            page
            for page, header in zip(pages, made, strict=True)
            if header is not None and header.page.reencoded and header.page.added == page.added
        ]

    def _under_other_encoders(self, scope: Scope, encoder: str) -> list[StoredPage]:
        groups = (group for (owner, other), group in self._groups.items() if owner == scope and other != encoder)
        return [page for group in groups for page in group.pages]

    def _put(self, header: TokenFileHeader) -> None:
        key = stored_key(header.page)
        if known := self._headers.get(key):
            self._unlist(known.page)
        self._headers[key] = header
        self._groups.setdefault(key[:2], _Group()).add(header.page, next(self._versions))
        totals = self._totals.setdefault(key[0], _Totals())
        totals.encoders[header.page.id] += 1
        totals.bytes += header.page.bytes

    def _unlist(self, page: StoredPage) -> None:
        group, totals = self._groups[page.scope, page.encoder], self._totals[page.scope]
        group.remove(page, next(self._versions))
        totals.encoders[page.id] -= 1
        totals.bytes -= page.bytes
        if not totals.encoders[page.id]:
            del totals.encoders[page.id]
        if not totals.encoders:
            del self._totals[page.scope]
        if not group.pages:
            del self._groups[page.scope, page.encoder]

    def _discard_body(self, key: StoredKey) -> None:
        self._verified.discard(key)
        for space in TokenSpace:
            self._bodies.pop((key, space), None)
        self._cache.evict([key])


def _sorted_scopes(scopes: Sequence[Scope]) -> tuple[Scope, ...]:
    return tuple(sorted(set(scopes), key=str))


def _same_encoder(some: PageList, others: PageList) -> bool:
    """Return whether two lists may share pages. All pages of a view have one encoder."""
    return bool(some) and bool(others) and some[0].encoder == others[0].encoder


def _order(page: StoredPage) -> tuple[str, str, int]:
    return (page.document, page.id.file, page.id.number)


def _rank(page: StoredPage) -> tuple[bool, float]:
    """Return what is larger of the page that is better encoded again."""
    return (not page.reencoded, page.added)
