"""Limits on requests: the size and time of their bodies, and how many of them run at the same time.

Bodies are read in pieces, whatever their declared length. Secrets cost nothing, so a client that makes many of them is
bounded by the limits for all clients together. A visitor who uses the page as it is meant does not meet any limit.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.types import Message, Receive, Scope

from smart_demo.server.block_remote_fetch import NO_REMOTE_FETCH, names_remote_file
from smart_demo.server.visitors import client_id
from smart_demo.wording import MEGABYTE, limit_in_words

MAX_EVENT_BYTES = 4 * MEGABYTE
"""Maximum size of an event's body. The longest is a pasted evaluation or list of 1 MB with every quote escaped."""
MAX_SMALL_BODY_BYTES = 256_000
"""Maximum size of any other body. The longest is a query of 20,000 characters, each escaped as Python's json does."""
MAX_INLINE_PARSE_BYTES = 2**16
"""Size above which a body is parsed in a thread instead of the event loop."""
IDLE_TIMEOUT_SECONDS = 60
"""Time without a byte after which a request is given up, and the base of the time for a whole body."""
MIN_BYTES_PER_SECOND = 2**15
"""Speed that extends the time for a whole body: one second more for each of these bytes that arrived."""
MAX_BODY_SECONDS = 1_800.0
"""Maximum time for a whole body."""
MAX_DRAIN_BYTES, DRAIN_TIMEOUT_SECONDS = 64 * 2**20, 5
"""Limits for reading the rest of a refused body. A browser shows no answer before it has sent everything."""
SLOT_TIMEOUT_SECONDS = 20.0
"""Time for which a request waits for a free slot before it is refused."""
BUSY = "This page is busy with your other questions; try again in a moment."
NOTHING_HERE = "There is nothing at this address."
"""The answer to every path that is not passed on, and to every address of a picture that has none."""
CROWDED = "This page is busy with the questions of others; try again in a moment."


class RequestRefused(Exception):
    """A request that is not passed on, with the status and the one sentence of its answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class BodyDeadline:
    """The time one body may take. A client that sends one byte a minute runs out of it, too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._started, self._received = clock, clock(), 0

    async def receive_piece(self, receive: Receive) -> Message:
        """Return the next piece of the body. Raises RequestRefused if the client disconnects or is too slow."""
        allowed = min(IDLE_TIMEOUT_SECONDS + self._received / MIN_BYTES_PER_SECOND, MAX_BODY_SECONDS)
        left = self._started + allowed - self._clock()
        if left <= 0:
            raise RequestRefused(408, "The request was too slow. Try again.")
        try:
            async with asyncio.timeout(min(left, IDLE_TIMEOUT_SECONDS)):
                message = await receive()
        except TimeoutError:
            raise RequestRefused(408, "The request was too slow. Try again.") from None
        if message["type"] != "http.request":
            raise RequestRefused(400, "The request was interrupted.")
        self._received += len(message.get("body", b""))
        return message


async def read_body(
    scope: Scope,
    receive: Receive,
    max_bytes: int = MAX_EVENT_BYTES,
    admit_large: Callable[[], Awaitable[None]] | None = None,
) -> Receive:
    """Read a JSON body of at most `max_bytes`, and return a `receive` that replays it.

    `admit_large` is awaited before more than MAX_SMALL_BODY_BYTES are held in memory; it may raise RequestRefused.
    Raises RequestRefused if the body is too large, too slow, not JSON, or gives a file by address.
    """
    body, deadline, more, admitted = bytearray(), BodyDeadline(), True, False
    try:
        _check_size(content_length(scope), max_bytes)
        while more:
            is_large = max(len(body), content_length(scope)) > MAX_SMALL_BODY_BYTES
            if is_large and not admitted and admit_large is not None:
                await admit_large()
                admitted = True
            message = await deadline.receive_piece(receive)
            body += message.get("body", b"")
            more = message.get("more_body", False)
            _check_size(len(body), max_bytes)
    except RequestRefused:
        if more:
            await drain(receive)
        raise
    content = bytes(body)
    if len(content) > MAX_INLINE_PARSE_BYTES:
        await asyncio.to_thread(_check_json, content)
    else:
        _check_json(content)
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise RequestRefused(413, f"A request may have at most {limit_in_words(max_bytes)}.")


def _check_json(body: bytes) -> None:
    try:
        remote = bool(body) and names_remote_file(body)
    except OverflowError:
        raise RequestRefused(413, "The request has too many parts.") from None
    except ValueError:
        raise RequestRefused(400, "The request is not JSON.") from None
    if remote:
        raise RequestRefused(403, NO_REMOTE_FETCH)


async def drain(receive: Receive) -> None:
    """Read and discard the rest of a refused body, within MAX_DRAIN_BYTES and DRAIN_TIMEOUT_SECONDS."""
    size = 0
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT_SECONDS):
            while size < MAX_DRAIN_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))
    except TimeoutError:
        return


def get_header(scope: Scope, name: bytes) -> bytes:
    """Return a header of the request by its name in lower case; empty if it is missing."""
    return next((value for header, value in scope["headers"] if header == name), b"")


def content_length(scope: Scope) -> int:
    """Return the declared length of the body, or 0 if it is missing or invalid. The real length is counted anyway."""
    value = get_header(scope, b"content-length")
    return int(value) if value.isdigit() and len(value) < 20 else 0


class RequestLimiters:
    """The limits of one page on the requests that run at the same time."""

    def __init__(self, queue_size: int) -> None:
        """`queue_size`: events that may wait in Gradio's queue. A client may have two fifths of them."""
        self.requests = ConcurrencyLimiter(per_client=24, total=1_000)
        """Requests with a body of any kind."""
        self.large = ConcurrencyLimiter(per_client=2, total=6, timeout=SLOT_TIMEOUT_SECONDS)
        """Requests with a large body, which stays in memory until the request is answered."""
        self.uploads = ConcurrencyLimiter(per_client=2, total=24, timeout=SLOT_TIMEOUT_SECONDS)
        """Uploads that are streaming in."""
        self.functions = ConcurrencyLimiter(per_client=4, total=12, timeout=SLOT_TIMEOUT_SECONDS)
        """Calls of component functions, which skip Gradio's queue and take a thread each."""
        self.pictures = ConcurrencyLimiter(per_client=256, total=1_000)
        """Requests for pictures. Browsers ask for all of an answer's at once; few take longer than reading a file."""
        self.events = QueueLimiter(max(4, queue_size * 2 // 5))


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
