"""Request bodies: read in pieces within limits of size and time, and refused with a sentence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope

from smart_demo.server.block_remote_fetch import NO_REMOTE_FETCH, names_remote_file

MAX_EVENT_BYTES = 4 * 2**20
"""Maximum size of an event's body. The longest is a pasted evaluation or list of 1 MB with every quote escaped."""
MAX_SMALL_BODY_BYTES = 2**18
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
    await asyncio.to_thread(_check_json, content) if len(content) > MAX_INLINE_PARSE_BYTES else _check_json(content)
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        limit = f"{max_bytes // 2**20} MB" if max_bytes >= 2**20 else f"{max_bytes // 2**10} kB"
        raise RequestRefused(413, f"A request may have at most {limit}.")


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
