"""Turns: how much of one kind goes on at once, for one asker and for all. Whoever asks too much waits for themselves.

A key costs nothing, so whoever makes many of them is held by the bounds for all alone; but nobody meets another's bound
by asking as the page does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.types import Scope

from smart_demo.server.request_body import RequestRefused, get_header
from smart_demo.server.visitors import VISITOR_HEADER
from smart_demo.store.quotas import visitor_scope

BUSY = "This page is busy with your other questions; try again in a moment."
CROWDED = "This page is busy with the questions of others; try again in a moment."


def visitor_key(scope: Scope) -> str:
    """The name of the key that a request is sent with; empty where it has none."""
    return str(visitor_scope(get_header(scope, VISITOR_HEADER.encode("ascii")).decode("latin-1")) or "")


def client_id(scope: Scope) -> str:
    """Whoever sends a request: by their key, or their address where there is none."""
    client = scope.get("client")
    return visitor_key(scope) or f"from {client[0] if client else 'nowhere'}"


class ConcurrencyLimiter:
    """Of one event loop; counts, and lets wait in the order in which they came."""

    def __init__(self, each: int, total: int, seconds: float = 0.0) -> None:
        """At once `each` of one asker and `total` of all; others wait for their turn, at most so many seconds."""
        self._each, self._total, self._seconds = each, total, seconds
        self._going: Counter[str] = Counter()
        self._line: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """As long as it goes on. Refused where no turn came in time."""
        if self._has_room(who):
            self._going[who] += 1
        else:
            await self._wait(who)
        try:
            yield
        finally:
            self._leave(who)

    async def _wait(self, who: str) -> None:
        if not self._seconds:
            raise self._refusal(who)
        mine = asyncio.get_running_loop().create_future()
        self._line.append((who, mine))
        try:
            async with asyncio.timeout(self._seconds):
                await mine
        except BaseException as error:
            self._line = [place for place in self._line if place[1] is not mine]
            if mine.done() and not mine.cancelled():  # its turn came in the moment in which it gave up
                self._leave(who)
            if isinstance(error, TimeoutError):
                raise self._refusal(who) from None
            raise

    def _leave(self, who: str) -> None:
        self._going -= Counter([who])  # which drops whoever has none
        for waiting in list(self._line):
            other, turn = waiting
            if self._has_room(other):
                self._line.remove(waiting)
                if not turn.done():
                    self._going[other] += 1
                    turn.set_result(None)

    def _has_room(self, who: str) -> bool:
        return self._going[who] < self._each and self._going.total() < self._total

    def _refusal(self, who: str) -> RequestRefused:
        return RequestRefused(429, BUSY) if self._going[who] >= self._each else RequestRefused(503, CROWDED)


class QueueLimiter:
    """Places in Gradio's queue: how many events of one asker wait or run. Gradio alone knows when one ends."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._joining: Counter[str] = Counter()

    @contextmanager
    def joining(self, scope: Scope, who: str) -> Iterator[None]:
        """While an event joins the queue. Refused where it would be one too many."""
        if self._joining[who] + _events(scope, who) >= self._each:
            raise RequestRefused(429, BUSY)
        self._joining[who] += 1
        try:
            yield
        finally:
            self._joining -= Counter([who])


def _events(scope: Scope, who: str) -> int:
    """Events of one asker that wait or run in the app that a request is for."""
    blocks = scope["app"].get_blocks() if "app" in scope else None
    if blocks is None:
        return 0
    queue: Any = blocks._queue
    events = [event for line in queue.event_queue_per_concurrency_id.values() for event in line.queue]
    events += [event for job in queue.active_jobs if job for event in job]
    return sum(client_id(event.request.scope) == who for event in events)
