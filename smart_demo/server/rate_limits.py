"""Limits on requests at the same time, for each client and for all clients together.

Secrets cost nothing, so a client that makes many of them is bounded by the limits for all. A visitor who uses the page
as it is meant does not meet any limit.
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


def visitor_name(scope: Scope) -> str:
    """Return the scope name of the visitor whose secret the request carries; empty if it has no valid secret."""
    return str(visitor_scope(get_header(scope, VISITOR_HEADER.encode("ascii")).decode("latin-1")) or "")


def client_id(scope: Scope) -> str:
    """Return an id of the client that sends a request: from its secret, or else from its IP address."""
    client = scope.get("client")
    return visitor_name(scope) or f"from {client[0] if client else 'nowhere'}"


class ConcurrencyLimiter:
    """Limits requests at the same time, per client and in total; further requests wait first in, first out.

    It belongs to one event loop.
    """

    def __init__(self, per_client: int, total: int, timeout: float = 0.0) -> None:
        """`timeout`: the seconds for which a request may wait for a slot; 0 refuses it at once."""
        self._per_client, self._total, self._timeout = per_client, total, timeout
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Hold a slot for the client. Raises RequestRefused if none is free in time."""
        if self._has_room(client):
            self._running[client] += 1
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._release(client)

    async def _wait(self, client: str) -> None:
        if not self._timeout:
            raise self._refusal(client)
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append((client, slot))
        try:
            async with asyncio.timeout(self._timeout):
                await slot
        except BaseException as error:
            self._waiting = [entry for entry in self._waiting if entry[1] is not slot]
            if slot.done() and not slot.cancelled():  # it got the slot in the moment in which it gave up
                self._release(client)
            if isinstance(error, TimeoutError):
                raise self._refusal(client) from None
            raise

    def _release(self, client: str) -> None:
        self._running -= Counter([client])  # which removes clients without a slot
        for entry in list(self._waiting):
            other, slot = entry
            if self._has_room(other):
                self._waiting.remove(entry)
                if not slot.done():
                    self._running[other] += 1
                    slot.set_result(None)

    def _has_room(self, client: str) -> bool:
        return self._running[client] < self._per_client and self._running.total() < self._total

    def _refusal(self, client: str) -> RequestRefused:
        own_limit = self._running[client] >= self._per_client
        return RequestRefused(429, BUSY) if own_limit else RequestRefused(503, CROWDED)


class QueueLimiter:
    """Limits the events of one client that wait or run in Gradio's queue. Gradio alone knows when one ends."""

    def __init__(self, per_client: int) -> None:
        self._per_client = per_client
        self._joining: Counter[str] = Counter()

    @contextmanager
    def join(self, scope: Scope, client: str) -> Iterator[None]:
        """Count an event while it joins the queue. Raises RequestRefused if the client has too many."""
        if self._joining[client] + _count_queued_events(scope, client) >= self._per_client:
            raise RequestRefused(429, BUSY)
        self._joining[client] += 1
        try:
            yield
        finally:
            self._joining -= Counter([client])


def _count_queued_events(scope: Scope, client: str) -> int:
    """Return how many events of a client wait or run in the app that the request is for."""
    blocks = scope["app"].get_blocks() if "app" in scope else None
    if blocks is None:
        return 0
    queue: Any = blocks._queue
    events = [event for line in queue.event_queue_per_concurrency_id.values() for event in line.queue]
    events += [event for job in queue.active_jobs if job for event in job]
    return sum(client_id(event.request.scope) == client for event in events)
