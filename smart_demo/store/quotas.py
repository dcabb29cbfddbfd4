"""How much room a library takes, and in which words it takes no more. Pure: it is told what is there.

Who makes way when all visitors together are over their room: those unchanged for longest, and nobody early.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass

from smart_demo.config import Quotas
from smart_demo.errors import QuotaExceeded, SmartError, TotalQuotaExceeded
from smart_demo.types import SAMPLES, Scope
from smart_demo.wording import size_in_words

VISITOR = "visitor-"
"""How the scope of a visitor's library begins."""
_DELETE = "Delete something first."


def is_visitor(scope: Scope) -> bool:
    """Whether a scope is one visitor's of a public page."""
    return scope.name.startswith(VISITOR)


@dataclass(frozen=True, slots=True)
class Usage:
    """The room that one library takes, and may take."""

    pages: int
    """Each counts once, by however many encoders it was encoded."""
    bytes: int
    """On disk: token files, pictures and thumbnails, of all encoders."""
    pages_limit: int
    bytes_limit: int
    """Both are sys.maxsize for the samples, which are not limited."""


@dataclass(frozen=True, slots=True)
class RemainingRoom:
    """What one library may still take. All methods raise NoRoom, which says the limit and what to do."""

    usage: Usage
    visitors: int
    """Bytes of all visitors' libraries and judgements; 0 where the library is not one of them."""
    quotas: Quotas

    def check_file(self, name: str, pages: int) -> None:
        """Before anything is rendered: whether so many pages of a document, not here before, may come."""
        left = max(0, self.usage.pages_limit - self.usage.pages)
        if pages > left:
            room = f"has room for {left:,} more of {self.usage.pages_limit:,}" if left else f"is {self._full}"
            raise QuotaExceeded(f"{name} has {pages:,} page{'' if pages == 1 else 's'}; your library {room}.", _DELETE)
        self.check_page(0, new=0)

    def check_page(self, size: int, *, new: int = 1) -> None:
        """Whether one page of so many bytes may come; `new` is 0 for one that is here under another encoder."""
        if self.usage.pages + new > self.usage.pages_limit:
            raise QuotaExceeded(f"Your library is {self._full}.", _DELETE)
        limit = self.usage.bytes_limit
        if self.usage.bytes + max(size, 1) > limit:
            raise QuotaExceeded(
                f"Your library is full: it takes {size_in_words(self.usage.bytes)} of {size_in_words(limit)}.",
                _DELETE,
            )
        check_total(self.visitors + max(size, 1), self.quotas)

    @property
    def _full(self) -> str:
        return f"full: it has {self.usage.pages:,} of {self.usage.pages_limit:,} pages"


def check_total(size: int, quotas: Quotas) -> None:
    """Whether all visitors together may take so many bytes. AllFull where not."""
    if size > quotas.total_bytes:
        raise TotalQuotaExceeded(
            f"The libraries of all visitors together may take {size_in_words(quotas.total_bytes)}, and they do.",
            "One makes way once it was unchanged for an hour: try again later, or run the demo on your own machine.",
            size - quotas.total_bytes,
        )


@dataclass(frozen=True, slots=True)
class Visitor:
    """What is kept of one visitor."""

    scope: Scope
    bytes: int
    """On disk: pages and judgements."""
    changed: float
    """When something last came, in seconds of the epoch."""


def by_age(kept: Iterable[tuple[Scope, int, float]]) -> tuple[Visitor, ...]:
    """Visitors of (scope, bytes, time) of whatever is kept of them, the one unchanged for longest first."""
    found: dict[Scope, Visitor] = {}
    for scope, size, changed in kept:
        if is_visitor(scope):
            one = found.get(scope, Visitor(scope, 0, changed))
            found[scope] = Visitor(scope, one.bytes + size, max(one.changed, changed))
    return tuple(sorted(found.values(), key=lambda one: (one.changed, one.scope.name)))


def measured(scope: Scope, pages: int, size: int, quotas: Quotas) -> Usage:
    """What a library takes beside what it may take."""
    if scope == SAMPLES:
        return Usage(pages, size, sys.maxsize, sys.maxsize)
    return Usage(pages, size, quotas.library_pages, quotas.library_bytes)


LEAST = 3_600.0
"""Seconds for which a visitor's library is safe from the last change on, however full it is."""


def old_enough(visitors: Sequence[Visitor], now: float) -> list[Visitor]:
    """Those who may have to make way at a time in seconds of the epoch, the one unchanged for longest first."""
    return [visitor for visitor in visitors if visitor.changed <= now - LEAST]


class IdleEviction:
    """Forgets visitors for the sake of others. Safe for threads.

    Call it without the library's lock: whoever is told of a visitor who went may hold locks of their own.
    """

    def __init__(
        self,
        visitors: Callable[[], Sequence[Visitor]],
        expire: Callable[[Visitor], int | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`visitors`, the one unchanged for longest first; `expire` deletes one and gives the bytes, or None."""
        self._visitors, self._expire, self._now = visitors, expire, now
        self._told: Callable[[Scope], object] = lambda _: None

    def attend(self, told: Callable[[Scope], object]) -> None:
        """`told` hears of each visitor who went."""
        self._told = told

    def make_way(self, newcomer: Scope, lacking: int, among: Container[Scope] | None = None) -> bool:
        """Whether so many bytes were freed for a newcomer. Nobody goes where all who may would not be enough.

        among: whose going would help; all visitors' where it is not given.
        """
        old = [one for one in old_enough(self._visitors(), self._now()) if one.scope != newcomer]
        old = [one for one in old if among is None or one.scope in among]
        if sum(one.bytes for one in old) < lacking:
            return False
        freed = 0
        for one in old:
            if freed >= lacking:
                break
            freed += self._forget(one)
        return freed >= lacking

    def _forget(self, visitor: Visitor) -> int:
        try:
            freed = self._expire(visitor)
        except SmartError:  # one that cannot be deleted now keeps none of the others
            return 0
        if freed is None:
            return 0
        self._told(visitor.scope)
        return freed
