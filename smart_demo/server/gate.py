"""ASGI middleware that every request must pass before Gradio: allowed paths, host, origin, body and upload limits.

Gradio offers much that this page does not need: it fetches any address for any visitor, serves every upload to a caller
with its path, accepts recordings and runs functions outside the queue. Only the paths that the page, its clients and
its tool use are passed on; every other path is a 404. Bodies are bounded while they stream, whatever their declared
length.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from collections.abc import Collection, MutableMapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from smart_demo.config import Settings
from smart_demo.server.block_remote_fetch import disable_remote_fetch
from smart_demo.server.request_limits import (
    MAX_EVENT_BYTES,
    MAX_SMALL_BODY_BYTES,
    NOTHING_HERE,
    ConcurrencyLimiter,
    RequestLimiters,
    RequestRefused,
    content_length,
    drain,
    get_header,
    read_body,
)
from smart_demo.server.upload_limits import UPLOAD_TRACKER, UploadStream, upload_limits
from smart_demo.server.visitors import client_id, request_visitor

UPLOAD, FUNCTION, EVENT = "/gradio_api/upload", "/gradio_api/component_server", "/gradio_api/queue/join"
CALLS = "/gradio_api/call/"
PICTURES, OWN_PICTURES = "/pictures/", "/pictures/own/"
ALLOWED_PATHS = re.compile(
    r"/?|/(?:config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon)/?"
    r"|/(?:static|assets|svelte)/.+"
    r"|/pictures/samples/[0-9a-f]{16}-[0-9]{4}/[0-9a-f]{16}/[a-z0-9.-]{4,60}\.webp|/pictures/own/[0-9a-f]{32}"
    r"|/gradio_api/(?:info|openapi\.json|app_id|startup-events|theme\.css|upload|upload_progress|component_server"
    r"|cancel|reset|queue/(?:join|data|status))/?"
    r"|/gradio_api/(?:heartbeat/[^/]+|call/.+|mcp(?:/.*)?)",
    re.DOTALL,
)
"""Paths that are passed on: the page's own, its pictures, those of Gradio's clients, and the tool's."""
FILE_PATHS = re.compile(r"(?:/gradio_api)?/(?:file|proxy)\b", re.IGNORECASE)
BODYLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SAME_ORIGIN_SITES = {b"same-origin", b"none"}
"""Allowed values of Sec-Fetch-Site. Browsers send `none` for what a person does without a page, such as opening an
address."""
NO_FILES_SERVED = "This page serves no files and fetches none from other addresses."
OTHER_SITE = 403, "This page accepts no requests from other sites."
OTHER_HOST = (
    "This page is private and does not answer to that name. Open it as localhost. "
    "Behind a proxy, set SMART_HOSTS to the proxy's host name and restart."
)
UNEXPECTED_ERROR = "Something went wrong. The log of the demo says what happened."
UPLOAD_NEEDS_SECRET = (
    "An upload needs a key, so that it is yours alone. Browsers send one; a program sends 32 hex digits as "
    "x-smart-visitor."
)

log = logging.getLogger(__name__)


class GateMiddleware:
    """ASGI middleware that passes on allowed requests and answers every other one with a single sentence."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._limiters = RequestLimiters(settings.quotas.queue_size)
        disable_remote_fetch()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request of any kind."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        response = _Response(send)
        try:
            check_host(scope, self._settings.hosts)
            _check_path(path)
            await self._pass_on(path, scope, receive, response)
        except RequestRefused as refused:
            await _refusal(path, refused)(scope, receive, send)
        except Exception:
            if response.started:
                raise
            log.exception("a request failed")
            await _refusal(path, RequestRefused(500, UNEXPECTED_ERROR))(scope, receive, send)

    async def _pass_on(self, path: str, scope: Scope, receive: Receive, response: _Response) -> None:
        if scope["method"] in BODYLESS_METHODS:
            async with AsyncExitStack() as slots:
                if path.startswith(PICTURES):
                    if path.startswith(OWN_PICTURES):
                        check_origin(scope)  # another site's page could show them: it needs no permission for images
                    await slots.enter_async_context(self._limiters.pictures.slot(client_id(scope)))
                await self._app(scope, receive, response)
            return
        check_origin(scope)
        client, route, limiters = client_id(scope), path.rstrip("/"), self._limiters
        async with AsyncExitStack() as slots:

            async def acquire(limiter: ConcurrencyLimiter) -> None:
                await slots.enter_async_context(limiter.slot(client))

            try:
                await acquire(limiters.requests)
                if route == UPLOAD:
                    await acquire(limiters.uploads)
            except RequestRefused:
                await drain(receive)
                raise
            if route == UPLOAD:
                await self._upload(scope, receive, response, client)
                return
            is_event = route == EVENT
            max_bytes = MAX_EVENT_BYTES if is_event else MAX_SMALL_BODY_BYTES
            receive_again = await read_body(scope, receive, max_bytes, lambda: acquire(limiters.large))
            if route == FUNCTION:  # only now: no client holds a slot before its body has arrived
                await acquire(limiters.functions)
            if is_event or path.startswith(CALLS):
                response.close_at_start = until_start = slots.enter_context(ExitStack())
                until_start.enter_context(limiters.events.join(scope, client))
            await self._app(scope, receive_again, response)

    async def _upload(self, scope: Scope, receive: Receive, response: _Response, client: str) -> None:
        """Pass an upload on while it streams in. Gradio's answer to one that was cut off is replaced by the reason."""
        try:
            if not self._settings.uploads:
                raise RequestRefused(403, "This page takes no uploads.")
            if self._settings.public and request_visitor(scope) is None:
                raise RequestRefused(403, UPLOAD_NEEDS_SECRET)
            limits = upload_limits(self._settings)
            if content_length(scope) > limits.max_bytes:
                raise RequestRefused(413, limits.message)
            stream = UploadStream(receive, get_header(scope, b"content-type"), limits, client)
        except RequestRefused:
            await drain(receive)
            raise
        response.upload = stream
        await self._app(scope, stream.receive, response)
        UPLOAD_TRACKER.add_copies(client, response.uploaded_paths(), stream.names)
        if stream.refused is not None:
            raise stream.refused


class _Response:
    """A `send` that records whether the response has started. It sends nothing for an upload that was cut off."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._body = b""
        self.started = False
        self.upload: UploadStream | None = None
        self.close_at_start = ExitStack()

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if self.upload is None or self.upload.refused is None:
            self.started = True
            self.close_at_start.close()
            if self.upload is not None:
                self._body += message.get("body", b"")
            await self._send(message)

    def uploaded_paths(self) -> list[Path]:
        """Return the paths of uploaded files that Gradio's answer names."""
        try:
            paths = json.loads(self._body)
        except ValueError:
            return []
        return [Path(path) for path in paths if isinstance(path, str)] if isinstance(paths, list) else []


def check_host(scope: Scope, hosts: Collection[str]) -> None:
    """Raise RequestRefused if the Host header names neither this machine nor one of `hosts`.

    If `hosts` is empty, any host is accepted. A site that points a name of its own at this machine could read the
    answers to its requests (DNS rebinding). Browsers always send the header, and no page can change it.
    """
    host = get_header(scope, b"host").decode("latin-1").lower()
    if not hosts or not host:
        return
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        name = ""
    if name not in hosts and f"[{name}]" not in hosts and not _is_this_machine(name):
        raise RequestRefused(403, OTHER_HOST)


def _is_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_origin(scope: Scope) -> None:
    """Raise RequestRefused if the browser reports that another site's page sends the request.

    Another site, open in the same browser, can post to a demo on this machine; without this check it could delete a
    presenter's library, though it could not read the answer. Browsers send Sec-Fetch-Site if they trust the address
    (https, this machine), whatever proxies rewrite; otherwise Origin is compared with the host. Programs send neither
    and pass.
    """
    site, origin = get_header(scope, b"sec-fetch-site"), get_header(scope, b"origin")
    if site:
        if site.lower() not in SAME_ORIGIN_SITES:
            raise RequestRefused(*OTHER_SITE)
    elif origin:
        hosts = [get_header(scope, name).decode("latin-1").lower() for name in (b"host", b"x-forwarded-host")]
        if _origin_host(origin) not in filter(None, hosts):
            raise RequestRefused(*OTHER_SITE)


def _origin_host(origin: bytes) -> str:
    """Return host and port of an origin; empty for `null` and for an invalid one."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        return ""


def _check_path(path: str) -> None:
    if FILE_PATHS.match(path):
        raise RequestRefused(403, NO_FILES_SERVED)
    if not ALLOWED_PATHS.fullmatch(path):
        raise RequestRefused(404, NOTHING_HERE)


def _refusal(path: str, refused: RequestRefused) -> PlainTextResponse | JSONResponse:
    """Return the response to a refused request in the form that Gradio's scripts show.

    They show the text of a refused upload and read `detail` or `error` elsewhere. Of a refused function call they read
    nothing, so one that only exceeded a rate limit gets the form in which the page's functions report errors.
    """
    route = path.rstrip("/")
    if route == UPLOAD:
        return PlainTextResponse(refused.sentence, refused.status)
    if route == FUNCTION and refused.status in {429, 503}:
        return JSONResponse({"sentence": refused.sentence})
    return JSONResponse({"detail": refused.sentence, "error": refused.sentence}, refused.status)
