"""ASGI middleware beside the gate: security headers on every response, and the page that a link names."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

UNNEEDED_FEATURES = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
                     "microphone", "midi", "payment", "usb")  # fmt: skip
HUB = "https://huggingface.co"
AVATARS = "https://cdn-avatars.huggingface.co"
BROWSER_PARAMETER, SERVER_PARAMETER = b"page", b"at"
READ_METHODS = {"GET", "HEAD"}


class SecurityHeadersMiddleware:
    """ASGI middleware that adds the same security headers to every response."""

    def __init__(self, app: ASGIApp, *, on_space: bool) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": content_security_policy(on_space=on_space),
            "Permissions-Policy": ", ".join(f"{feature}=()" for feature in UNNEEDED_FEATURES),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request of any kind."""

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def content_security_policy(*, on_space: bool) -> str:
    """Return the Content-Security-Policy: it bounds which hosts the page may send to and fetch from.

    Gradio puts scripts inside its page and compiles templates from strings, so both must be allowed; the page escapes
    all it shows instead. On a Space that is opened outside its frame, Gradio asks the hub for the Space's name and
    likes and shows its owner's picture, which the hub keeps on another host; no other host is allowed.
    """
    hub, images = ([HUB], [HUB, AVATARS]) if on_space else ([], [])
    directives = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:", *images],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'", *hub],
        "worker-src": ["'self'", "blob:"],
        "frame-src": ["'none'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'", HUB, "https://*.hf.space"],
    }
    return "; ".join(" ".join([directive, *sources]) for directive, sources in directives.items())


class PageLinkMiddleware:
    """ASGI middleware that renames the parameter `page` in requests for the page itself.

    A link names the document page in the viewer as `page=…`, which Gradio takes for one of its own pages and fails on.
    Gradio therefore gets the parameter as `at`, its name in links of earlier versions. The browser, whose script reads
    it, keeps the address as it is. The value's bytes are never decoded, so no value can raise here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on, its query string changed if it reads the home page."""
        if scope["type"] == "http" and scope["method"] in READ_METHODS and _is_home(scope):
            scope = {**scope, "query_string": rename_page_parameter(scope["query_string"])}
        await self._app(scope, receive, send)


def rename_page_parameter(query: bytes) -> bytes:
    """Return a query string with its parameter `page` renamed to `at`.

    >>> rename_page_parameter(b"q=tide&page=samples%2Fx&present=1")
    b'q=tide&at=samples%2Fx&present=1'
    """
    return b"&".join(map(_rename, query.split(b"&")))


def _rename(parameter: bytes) -> bytes:
    name, equals, value = parameter.partition(b"=")
    return SERVER_PARAMETER + equals + value if unquote_to_bytes(name) == BROWSER_PARAMETER else parameter


def _is_home(scope: Scope) -> bool:
    return scope["path"].removeprefix(scope.get("root_path", "")) in {"", "/"}
