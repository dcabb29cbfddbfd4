"""How much a library may store, what happens when it is full, and which idle visitors are evicted for others.

Nothing here reads the disk: callers pass sizes and times.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smart_demo.config import Quotas
from smart_demo.errors import QuotaExceeded, TotalQuotaExceeded
from smart_demo.types import SAMPLES, Scope
from smart_demo.wording import count, size_in_words

VISITOR_PREFIX = "visitor-"
"""Prefix of every scope that belongs to a visitor."""
MIN_IDLE_SECONDS = 3_600.0
"""Seconds without a change before a visitor may be evicted, however full the disk is."""
_DELETE = "Delete something first."


def is_visitor(scope: Scope) -> bool:
    """Return whether a scope belongs to a visitor of a public page."""
    return scope.name.startswith(VISITOR_PREFIX)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one library stores, and its limits."""

    pages: int
    """Page count. A page encoded by several encoders counts once."""
    bytes: int
    """Bytes on disk: token files, pictures and thumbnails of all encoders."""
    pages_limit: int
    """Page limit; sys.maxsize for the samples, which have none."""
    bytes_limit: int
    """Byte limit; sys.maxsize for the samples, which have none."""


def build_usage(scope: Scope, pages: int, size: int, quotas: Quotas) -> Usage:
    """Return the usage of a scope that stores `pages` pages in `size` bytes, with the limits of that scope."""
    if scope == SAMPLES:
        return Usage(pages, size, sys.maxsize, sys.maxsize)
    return Usage(pages, size, quotas.library_pages, quotas.library_bytes)


@dataclass(frozen=True, slots=True)
class QuotaCheck:
    """The quotas of one library, to be checked before each file and each page. Methods raise QuotaExceeded."""

    usage: Usage
    visitors_bytes: int
    """Bytes of all visitors' libraries and judgements; 0 if this library is not a visitor's."""
    quotas: Quotas

    def check_file(self, name: str, pages: int) -> None:
        """Raise QuotaExceeded unless `pages` new pages fit. Call it before the file is rendered."""
        left = max(0, self.usage.pages_limit - self.usage.pages)
        if pages > left:
            room = f"has room for {left:,} more of {self.usage.pages_limit:,}" if left else f"is {self._full}"
            raise QuotaExceeded(f"{name} has {count(pages, 'page')}; your library {room}.", _DELETE)
        self.check_page(0, new=0)

    def check_page(self, size: int, *, new: int = 1) -> None:
        """Raise QuotaExceeded unless one page of `size` bytes fits. `new`: 0 if another encoder stored it already."""
        if self.usage.pages + new > self.usage.pages_limit:
            raise QuotaExceeded(f"Your library is {self._full}.", _DELETE)
        limit = self.usage.bytes_limit
        if self.usage.bytes + max(size, 1) > limit:
            raise QuotaExceeded(
                f"Your library is full: it takes {size_in_words(self.usage.bytes)} of {size_in_words(limit)}.",
                _DELETE,
            )
        check_total(self.visitors_bytes + max(size, 1), self.quotas)

    @property
    def _full(self) -> str:
        return f"full: it has {self.usage.pages:,} of {self.usage.pages_limit:,} pages"


def check_total(size: int, quotas: Quotas) -> None:
    """Raise TotalQuotaExceeded unless all visitors together may store `size` bytes."""
    if size > quotas.total_bytes:
        limit = size_in_words(quotas.total_bytes)
        raise TotalQuotaExceeded(
            f"The libraries of all visitors together may take {limit}, and that is used up.",
            "A library unchanged for an hour is deleted for others: try again later, or run the demo yourself.",
            size - quotas.total_bytes,
        )


@dataclass(frozen=True, slots=True)
class Visitor:
    """How much one visitor stores, and when it last changed."""

    scope: Scope
    bytes: int
    """Bytes on disk: pages and judgements."""
    changed: float
    """Unix time of the newest page or judgement."""


def group_by_visitor(entries: Iterable[tuple[Scope, int, float]]) -> tuple[Visitor, ...]:
    """Return the visitors among entries of (scope, bytes, Unix time), the one idle for longest first."""
    found: dict[Scope, Visitor] = {}
    for scope, size, changed in entries:
        if is_visitor(scope):
            known = found.get(scope, Visitor(scope, 0, changed))
            found[scope] = Visitor(scope, known.bytes + size, max(known.changed, changed))
    return tuple(sorted(found.values(), key=lambda visitor: (visitor.changed, visitor.scope.name)))


def evictable_visitors(visitors: Sequence[Visitor], now: float) -> list[Visitor]:
    """Return the visitors, in the given order, who have been idle for MIN_IDLE_SECONDS at a Unix time."""
    return [visitor for visitor in visitors if visitor.changed <= now - MIN_IDLE_SECONDS]
