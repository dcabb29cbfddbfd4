"""Who makes way when all visitors together are over their room: those unchanged for longest, and nobody early."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence

from smart_demo.errors import SmartError
from smart_demo.store.usage import Visitor
from smart_demo.types import Scope

LEAST = 3_600.0
"""Seconds for which a visitor's library is safe from the last change on, however full it is."""


def old_enough(visitors: Sequence[Visitor], now: float) -> list[Visitor]:
    """Those who may have to make way at a time in seconds of the epoch, the one unchanged for longest first."""
    return [visitor for visitor in visitors if visitor.changed <= now - LEAST]


class Displacement:
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
