"""What goes out: the headers by which a browser holds the page to what it needs."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

HUB = "https://huggingface.co"
AVATARS = "https://cdn-avatars.huggingface.co"
NOT_NEEDED = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone",
              "midi", "payment", "usb")  # fmt: skip


class Headers:
    """An ASGI application around another, whose answers all get the same headers."""

    def __init__(self, app: ASGIApp, *, on_space: bool) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy(on_space=on_space),
            "Permissions-Policy": ", ".join(f"{feature}=()" for feature in NOT_NEEDED),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, of whatever kind."""

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "http" else send)


def policy(*, on_space: bool) -> str:
    """The content security policy. It bounds where the page may send and fetch; scripts are Gradio's to write.

    Gradio has scripts inside its page and compiles templates from strings, so both must be allowed; the page escapes
    what it shows instead. On a Space, opened outside its frame, Gradio asks the hub for the Space's name and likes and
    shows its owner's picture, which the hub keeps on another host; nothing else is asked of anyone.
    """
    hub, pictures = ([HUB], [HUB, AVATARS]) if on_space else ([], [])
    allowed = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:", *pictures],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'", *hub],
        "worker-src": ["'self'", "blob:"],
        "frame-src": ["'none'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'", HUB, "https://*.hf.space"],
    }
    return "; ".join(" ".join([what, *where]) for what, where in allowed.items())
