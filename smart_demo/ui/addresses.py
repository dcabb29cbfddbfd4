"""Addresses of the page. A link names the page in the viewer as `page=…`, which Gradio takes for one of its own pages
and fails on. So the server is handed the same address under the name that links of earlier versions had; the browser,
whose script reads it, keeps what was written.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

PAGE, EARLIER = b"page", b"at"
LOOKS = {"GET", "HEAD"}


class PageLinks:
    """An ASGI application around another: looks at the page itself get their `page=` renamed, all else passes as it is.

    The value's bytes are never decoded, so nothing in them can fail here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, of whatever kind."""
        if scope["type"] == "http" and scope["method"] in LOOKS and _is_home(scope):
            scope = {**scope, "query_string": renamed(scope["query_string"])}
        await self._app(scope, receive, send)


def renamed(query: bytes) -> bytes:
    """A query string in which the page has its earlier name.

    >>> renamed(b"q=tide&page=samples%2Fx&present=1")
    b'q=tide&at=samples%2Fx&present=1'
    """
    return b"&".join(map(_renamed, query.split(b"&")))


def _renamed(parameter: bytes) -> bytes:
    name, equals, value = parameter.partition(b"=")
    return EARLIER + equals + value if unquote_to_bytes(name) == PAGE else parameter


def _is_home(scope: Scope) -> bool:
    return scope["path"].removeprefix(scope.get("root_path", "")) in {"", "/"}
