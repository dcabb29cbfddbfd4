"""Bodies of requests: read piece by piece, within bounds, and refused in words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope

from smart_demo.server.block_remote_fetch import FETCHES, names_elsewhere

BODY = 4 * 2**20
"""Bytes of an event: the longest is a pasted evaluation or list of 1 MB with every quote escaped."""
SMALL = 2**18
"""Bytes of any other request: the longest is a query of 20,000 characters with every one escaped, as Python does it."""
APART = 2**16
"""Bytes beyond which a body is read apart from the event loop."""
SECONDS = 60
"""Without a byte, after which a request is given up. As much time is given in all, and more for what has come:"""
SLOWEST, LONGEST = 2**15, 1_800.0
"""so many bytes for every further second, and never more seconds than these."""
DRAINED, DRAINING = 64 * 2**20, 5
"""Bytes and seconds of a refused body that are read and dropped, since a browser shows no answer before it has sent."""


class RequestRefused(Exception):
    """A request that is not passed on: its status and the one sentence it is answered with."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class BodyDeadline:
    """How long one body may take: whoever sends a byte a minute is given up, too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._begun, self._came = clock, clock(), 0

    async def piece(self, receive: Receive) -> Message:
        """The next piece of the body. Refused where it breaks off, nothing comes, or all of it takes too long."""
        allowed = min(SECONDS + self._came / SLOWEST, LONGEST)
        left = self._begun + allowed - self._clock()
        if left <= 0:
            raise RequestRefused(408, "The request came too slowly, so it was given up.")
        try:
            async with asyncio.timeout(min(left, SECONDS)):
                message = await receive()
        except TimeoutError:
            raise RequestRefused(408, "The request came too slowly, so it was given up.") from None
        if message["type"] != "http.request":
            raise RequestRefused(400, "The request broke off.")
        self._came += len(message.get("body", b""))
        return message


async def read_body(
    scope: Scope, receive: Receive, most: int = BODY, admit_large: Callable[[], Awaitable[None]] | None = None
) -> Receive:
    """A body of at most so many bytes that names nothing elsewhere, to be read again. All is JSON here but uploads.

    `admit_large` is asked before more than SMALL of it are held, and may refuse.
    """
    body, pace, more, admitted = bytearray(), BodyDeadline(), True, False
    try:
        _expect_at_most(most, length(scope))
        while more:
            if max(len(body), length(scope)) > SMALL and not admitted and admit_large is not None:
                await admit_large()
                admitted = True
            message = await pace.piece(receive)
            body += message.get("body", b"")
            more = message.get("more_body", False)
            _expect_at_most(most, len(body))
    except RequestRefused:
        if more:
            await drain(receive)
        raise
    content = bytes(body)
    await asyncio.to_thread(_read_for_addresses, content) if len(content) > APART else _read_for_addresses(content)
    kept: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def again() -> Message:
        return kept.pop() if kept else await receive()

    return again


def _expect_at_most(most: int, octets: int) -> None:
    if octets > most:
        said = f"{most // 2**20} MB" if most >= 2**20 else f"{most // 2**10} kB"
        raise RequestRefused(413, f"A request here has at most {said}.")


def _read_for_addresses(body: bytes) -> None:
    try:
        elsewhere = bool(body) and names_elsewhere(body)
    except OverflowError:
        raise RequestRefused(413, "The request has too many parts.") from None
    except ValueError:
        raise RequestRefused(400, "The request is no JSON.") from None
    if elsewhere:
        raise RequestRefused(403, FETCHES)


async def drain(receive: Receive) -> None:
    """Read the rest of a refused body and drop it, within bounds."""
    read = 0
    try:
        async with asyncio.timeout(DRAINING):
            while read < DRAINED:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                read += len(message.get("body", b""))
    except TimeoutError:
        return


def header(scope: Scope, name: bytes) -> bytes:
    """A header of the request, by its name in lower case; empty where there is none."""
    return next((value for given, value in scope["headers"] if given == name), b"")


def length(scope: Scope) -> int:
    """The length that is given for the body; 0 where there is none that makes sense. What comes is counted anyway."""
    given = header(scope, b"content-length")
    return int(given) if given.isdigit() and len(given) < 20 else 0
