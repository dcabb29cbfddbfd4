"""ASGI middleware that compresses text: HTML, JSON, scripts, style sheets, SVG and the streams of events.

Gradio's answers travel as server-sent events, of which each must leave at once, so the compressor is flushed after
every part. Files whose name has a hash of their content are compressed once, better, and may be stored by any cache.
Pictures and fonts are compressed already.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import MutableMapping
from typing import Any, NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from smart_demo.search.cache import LRUCache

MIN_BYTES = 700
"""Size under which compression saves no packet."""
MAX_INLINE_BYTES = 2**17
"""Size above which a part is compressed in a thread instead of the event loop."""
LEVEL, STORED_LEVEL = 5, 9
"""Levels of gzip: for what is compressed while a visitor waits, and for files that are compressed once."""
MAX_STORED, MAX_STORED_BYTES, MAX_STORED_FILE_BYTES = 400, 24 * 2**20, 4 * 2**20
"""Limits of the compressed files in memory: their number and bytes, and the bytes of one before."""
COMPRESSED_TYPES = re.compile(
    r"text/(?:html|css|plain|javascript|csv|markdown|xml|event-stream)"
    r"|application/(?:json|javascript|manifest\+json|xml)|image/svg\+xml"
)
EVENTS = "text/event-stream"
HASHED_NAMES = re.compile(r"/assets/.*[-.][A-Za-z0-9_-]{8}2?\.(?:js|css|woff2?|ttf|svg)|/static/page-[0-9a-f]{16}/.+")
"""Files whose name changes with their content: of Gradio's bundle, and the page's modules."""
FIXED_NAMES = re.compile(r"/static/(?:fonts|img)/.+")
"""Files of the installed version of Gradio, whose names do not change with their content."""
EXCLUDED_PATHS = re.compile(r"/gradio_api/(?:upload|heartbeat|mcp)\b.*", re.DOTALL)
"""The gate reads the answer to an upload; heartbeats are a few bytes; the tool's protocol is left as it is."""
FOR_EVER, FOR_A_DAY = "public, max-age=31536000, immutable", "public, max-age=86400"

Message = MutableMapping[str, Any]


def accepts_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip.

    >>> accepts_gzip("gzip, deflate, br"), accepts_gzip("GZIP;q=0.5"), accepts_gzip("gzip;q=0, br"), accepts_gzip("")
    (True, True, False, False)
    """
    for entry in accepted.lower().split(","):
        name, _, parameter = entry.partition(";")
        if name.strip() == "gzip":
            return re.fullmatch(r"\s*q=0(\.0*)?\s*", parameter) is None
    return False


class StoredFile(NamedTuple):
    """A compressed file with the headers of its response."""

    headers: list[tuple[bytes, bytes]]
    content: bytes


class CompressionMiddleware:
    """ASGI middleware that compresses what browsers and clients accept compressed, and says what they may store."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._stored: LRUCache[StoredFile] = LRUCache(MAX_STORED, lambda file: len(file.content), MAX_STORED_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request of any kind."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] == "HEAD" or EXCLUDED_PATHS.fullmatch(path):
            await self._app(scope, receive, send)
            return
        compresses = accepts_gzip(Headers(scope=scope).get("accept-encoding", ""))
        hashed = HASHED_NAMES.fullmatch(path) is not None
        keeps = hashed and compresses and scope["method"] == "GET"
        stored = self._stored.get(path) if keeps else None
        if stored is not None:
            await send({"type": "http.response.start", "status": 200, "headers": list(stored.headers)})
            await send({"type": "http.response.body", "body": stored.content})
            return
        lifetime = FOR_EVER if hashed else FOR_A_DAY if FIXED_NAMES.fullmatch(path) else ""
        response = _CompressedResponse(send, lifetime, compresses=compresses, collects=keeps)
        await self._app(scope, receive, response)
        if response.file is not None:
            self._stored.put(path, response.file)


class _CompressedResponse:
    """A `send` that compresses a response if its type and size are worth it."""

    def __init__(self, send: Send, lifetime: str, *, compresses: bool, collects: bool) -> None:
        """Wrap `send`.

        lifetime: value of Cache-Control, or empty. collects: whether to send the whole file at once and keep it as
        `file`.
        """
        self._send, self._lifetime, self._compresses, self._collects = send, lifetime, compresses, collects
        self._start: Message | None = None
        """The start of the response, while it waits for the size of the first part."""
        self._stream: zlib._Compress | None = None
        self._body = bytearray()
        self.file: StoredFile | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if self._lifetime and message["status"] == 200:
                headers.setdefault("Cache-Control", self._lifetime)
            if not is_compressible(message["status"], headers):
                await self._send(message)
                return
            headers.add_vary_header("Accept-Encoding")
            if not self._compresses:
                await self._send(message)
            elif media_type(headers) == EVENTS:  # its reader waits for the start, which may be long before an event
                await self._start_compressed(message, b"", more=True)
            else:
                self._start = message
        elif message["type"] == "http.response.body" and (self._start or self._stream):
            await self._send_body(message)
        else:
            await self._send(message)

    async def _send_body(self, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._start is not None:
            if self._collects:
                self._body += body
                if more and len(self._body) <= MAX_STORED_FILE_BYTES:
                    return
                body = bytes(self._body)
            start, self._start = self._start, None
            if not more and len(body) < MIN_BYTES:
                await self._send(start)
                await self._send({**message, "body": body})
                return
            await self._start_compressed(start, body, more=more)
            return
        await self._send({**message, "body": await self._compress(body, more=more)})

    async def _start_compressed(self, start: Message, body: bytes, *, more: bool) -> None:
        level = STORED_LEVEL if self._collects else LEVEL
        self._stream = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        content = await self._compress(body, more=more)
        headers = MutableHeaders(scope=start)
        headers["Content-Encoding"] = "gzip"
        if (etag := headers.get("etag")) and not etag.startswith("W/"):
            headers["ETag"] = f"W/{etag}"  # the same file, in other bytes
        del headers["Accept-Ranges"]
        del headers["Content-Length"]
        if not more:
            headers["Content-Length"] = str(len(content))
            if self._collects:
                self.file = StoredFile(list(headers.raw), content)
        await self._send(start)
        await self._send({"type": "http.response.body", "body": content, "more_body": more})

    async def _compress(self, body: bytes, *, more: bool) -> bytes:
        """Compress a part so that the receiver can read all of it, or the last part."""
        stream = self._stream
        assert stream is not None

        def work() -> bytes:
            return stream.compress(body) + stream.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)

        return await asyncio.to_thread(work) if len(body) > MAX_INLINE_BYTES else work()


def is_compressible(status: int, headers: Headers) -> bool:
    """Return whether a response is text that is neither compressed already nor a part of a file."""
    compressed = "content-encoding" in headers
    return status == 200 and not compressed and COMPRESSED_TYPES.fullmatch(media_type(headers)) is not None


def media_type(headers: Headers) -> str:
    """Return the media type of a response without its parameters, in lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
