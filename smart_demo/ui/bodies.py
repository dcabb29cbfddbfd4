"""Bodies of requests: read piece by piece, within bounds, and refused in words."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope

from smart_demo.ui.elsewhere import FETCHES, names_elsewhere

BODY = 4 * 2**20
"""Bytes of a request that is no upload: the longest is a pasted evaluation of 1 MB with every quote escaped."""
SECONDS = 60
"""Without a byte, after which a request is given up."""
DRAINED, DRAINING = 64 * 2**20, 5
"""Bytes and seconds of a refused body that are read and dropped, since a browser shows no answer before it has sent."""
TOO_LARGE = 413, f"A request here has at most {BODY // 2**20} MB."


class Refused(Exception):
    """A request that is not passed on: its status and the one sentence it is answered with."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


async def whole(scope: Scope, receive: Receive) -> Receive:
    """A body within bounds that names nothing elsewhere, to be read again. Everything here is JSON but uploads."""
    if length(scope) > BODY:
        await drain(receive)
        raise Refused(*TOO_LARGE)
    body = bytearray()
    more = True
    while more:
        message = await piece(receive)
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY:
            if more:
                await drain(receive)
            raise Refused(*TOO_LARGE)
    _read_for_addresses(bytes(body))
    kept: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def again() -> Message:
        return kept.pop() if kept else await receive()

    return again


def _read_for_addresses(body: bytes) -> None:
    try:
        elsewhere = bool(body) and names_elsewhere(body)
    except ValueError:
        raise Refused(400, "The request is no JSON.") from None
    if elsewhere:
        raise Refused(403, FETCHES)


async def piece(receive: Receive) -> Message:
    """The next piece of a body. Refused where it breaks off or nothing comes."""
    try:
        async with asyncio.timeout(SECONDS):
            message = await receive()
    except TimeoutError:
        raise Refused(408, f"Nothing came for {SECONDS} seconds, so this was given up.") from None
    if message["type"] != "http.request":
        raise Refused(400, "The request broke off.")
    return message


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
