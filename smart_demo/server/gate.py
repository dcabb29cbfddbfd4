"""What goes out: the headers by which a browser holds the page to what it needs.

Which page a request comes from. Another site, open in the same browser, can post to a demo on this machine; without
this it could delete a presenter's library, though it could never read the answer. A site that points a name of its own
at this machine could even read it, so a page that only this machine can reach answers to this machine's names alone.

What comes in: the one place that every request passes before Gradio sees it.

Gradio opens many ways that this page does not need: it fetches any address for anyone, hands out every upload to
whoever knows its path, takes recordings, runs functions past the queue. So what the page, its clients and its tool ask
for is listed, and all else does not exist here. Bodies are bounded as they come, whether their length is given or not.
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

from gradio.utils import get_upload_folder
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from smart_demo.config import Settings
from smart_demo.judging.journal import max_journal_bytes
from smart_demo.server.block_remote_fetch import lock
from smart_demo.server.cleanup import FolderUsage
from smart_demo.server.rate_limits import ConcurrencyLimiter, QueueLimiter, asker, key
from smart_demo.server.request_body import BODY, SMALL, RequestRefused, drain, header, length, read_body
from smart_demo.server.upload_limits import UPLOAD_TRACKER, UploadBounds, UploadRoom, UploadStream
from smart_demo.wording import count

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


OWN = {b"same-origin", b"none"}
"""`none` is what a person does without any page, such as opening an address."""
NAMES = (
    "Open it as localhost; if it stands behind a proxy, set SMART_HOSTS to the name in its address and start it again."
)
ELSEWHERE = 403, "This page takes nothing from other sites."


def expect_own_page(scope: Scope) -> None:
    """Refused where a browser says that another site's page sends this. Programs say nothing of the kind and pass.

    Browsers tell it themselves where they trust the address (https, this machine), whatever proxies rewrite; elsewhere
    the sender's address is compared with the one that is asked.
    """
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if site:
        if site.lower() not in OWN:
            raise RequestRefused(*ELSEWHERE)
    elif origin:
        asked = [header(scope, name).decode("latin-1").lower() for name in (b"host", b"x-forwarded-host")]
        if _host(origin) not in filter(None, asked):
            raise RequestRefused(*ELSEWHERE)


def expect_own_name(scope: Scope, hosts: Collection[str]) -> None:
    """Refused where the host that is asked is neither this machine's own nor one of `hosts`; if these are none, any is
    taken. Browsers always say it, and no page can make them say another.
    """
    asked = header(scope, b"host").decode("latin-1").lower()
    if not hosts or not asked:
        return
    try:
        name = (urlsplit(f"//{asked}").hostname or "").removesuffix(".")
    except ValueError:
        name = ""
    if name not in hosts and f"[{name}]" not in hosts and not _is_this_machine(name):
        raise RequestRefused(403, f"This page is private and does not answer to that name. {NAMES}")


def _is_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host(origin: bytes) -> str:
    """Host and port of an origin; empty for `null` and for nonsense."""
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        return ""


log = logging.getLogger(__name__)
UPLOAD, FUNCTION, EVENT = "/gradio_api/upload", "/gradio_api/component_server", "/gradio_api/queue/join"
CALLS = "/gradio_api/call/"
OPEN = re.compile(
    r"/?|/(?:config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon)/?"
    r"|/(?:static|assets|svelte)/.+"
    r"|/gradio_api/(?:info|openapi\.json|app_id|startup-events|theme\.css|upload|upload_progress|component_server"
    r"|cancel|reset|queue/(?:join|data|status))/?"
    r"|/gradio_api/(?:heartbeat/[^/]+|call/.+|mcp(?:/.*)?)",
    re.DOTALL,
)
"""Paths that are passed on: the page's own, those of Gradio's clients, and the tool's."""
HANDED_OUT = re.compile(r"(?:/gradio_api)?/(?:file|proxy)\b", re.IGNORECASE)
NO_FILES = "This page hands out no files and fetches none from elsewhere."
BROKEN = "Something went wrong. The log of the demo says what happened."
BODYLESS = frozenset({"GET", "HEAD", "OPTIONS"})
NO_KEY = (
    "An upload here needs a key, so that it is yours alone: the page has one for every browser; a program gives 32 hex "
    "digits as x-smart-visitor."
)
PATIENCE = 20.0
"""Seconds that a question waits for its turn before it is refused."""


class Gate:
    """An ASGI application around another. What it refuses is told in one sentence and goes no further."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._requests = ConcurrencyLimiter(each=24, total=1_000)
        """With a body of whatever kind;"""
        self._large = ConcurrencyLimiter(each=2, total=6, seconds=PATIENCE)
        """and with a large one, which takes its room in memory until it is answered."""
        self._uploads = ConcurrencyLimiter(each=2, total=24, seconds=PATIENCE)
        self._functions = ConcurrencyLimiter(each=4, total=12, seconds=PATIENCE)
        """The page's scripts ask past the queue, in as many threads as there are questions."""
        self._places = QueueLimiter(max(4, settings.quotas.queue_size * 2 // 5))
        lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, of whatever kind."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        answer = _Answer(send)
        try:
            expect_own_name(scope, self._settings.hosts)
            _look_up(path)
            await self._pass_on(path, scope, receive, answer)
        except RequestRefused as refused:
            await _tell(path, refused)(scope, receive, send)
        except Exception:
            if answer.begun:
                raise
            log.exception("a request failed")
            await _tell(path, RequestRefused(500, BROKEN))(scope, receive, send)

    async def _pass_on(self, path: str, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if scope["method"] in BODYLESS:
            await self._app(scope, receive, answer)
            return
        expect_own_page(scope)
        who, asked = asker(scope), path.rstrip("/")
        async with AsyncExitStack() as turns:

            async def take(kind: ConcurrencyLimiter) -> None:
                await turns.enter_async_context(kind.turn(who))

            try:
                await take(self._requests)
                if asked == UPLOAD:
                    await take(self._uploads)
            except RequestRefused:
                await drain(receive)
                raise
            if asked == UPLOAD:
                await self._upload(scope, receive, answer, who)
                return
            event = asked == EVENT
            again = await read_body(scope, receive, BODY if event else SMALL, lambda: take(self._large))
            if asked == FUNCTION:  # only now: nobody holds a turn who has not yet said what they ask
                await take(self._functions)
            if event or path.startswith(CALLS):
                answer.ends_with_its_beginning = place = turns.enter_context(ExitStack())
                place.enter_context(self._places.joining(scope, who))
            await self._app(scope, again, answer)

    async def _upload(self, scope: Scope, receive: Receive, answer: _Answer, who: str) -> None:
        """Pass it on as it comes; what Gradio says of one that was cut off is not what the visitor is told."""
        try:
            if not self._settings.uploads:
                raise RequestRefused(403, "This page takes no uploads.")
            if self._settings.public and not key(scope):
                raise RequestRefused(403, NO_KEY)
            room = room_for(self._settings)
            if length(scope) > room.octets:
                raise RequestRefused(413, room.said)
            arrival = UploadStream(receive, header(scope, b"content-type"), room, who)
        except RequestRefused:
            await drain(receive)
            raise
        answer.arrival = arrival
        await self._app(scope, arrival.receive, answer)
        UPLOAD_TRACKER.arrived(who, answer.paths())
        if arrival.refused is not None:
            raise arrival.refused


class _Answer:
    """Where an answer goes, and whether it has begun to. To an upload that was cut off none goes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._said = b""
        self.begun = False
        self.arrival: UploadStream | None = None
        self.ends_with_its_beginning = ExitStack()

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if self.arrival is None or self.arrival.refused is None:
            self.begun = True
            self.ends_with_its_beginning.close()
            if self.arrival is not None:
                self._said += message.get("body", b"")
            await self._send(message)

    def paths(self) -> list[Path]:
        """Where Gradio says that it put the files of an upload."""
        try:
            told = json.loads(self._said)
        except ValueError:
            return []
        return [Path(path) for path in told if isinstance(path, str)] if isinstance(told, list) else []


def largest(settings: Settings) -> int:
    """Bytes of one file. Up to there it is taken in and refused by its name; beyond, it is cut off as it comes."""
    return settings.limits.file_bytes * 4 if settings.uploads else 1_024


def room_for(settings: Settings) -> UploadRoom:
    """The limits of uploads, from the settings; the folder is made where it is not there yet."""
    limits, folder = settings.limits, Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    # An evaluation to go on with may be larger than documents are where those are kept small.
    octets = max(limits.files * limits.file_bytes, max_journal_bytes(private=not settings.public))
    size = f"{limits.file_bytes // 2**20} MB"
    lying = octets + settings.quotas.waiting_files * limits.file_bytes
    each = FolderUsage(limits.files * 2, max(octets, lying // 3)) if settings.public else None
    return UploadRoom(
        files=limits.files,
        largest=largest(settings),
        octets=octets + 2**16,  # what frames the files in a form
        lying=UploadBounds(folder, lying, each),
        said=f"At most {count(limits.files, 'file')} of {size} can be uploaded at once; add them in smaller parts.",
    )


def _look_up(path: str) -> None:
    if HANDED_OUT.match(path):
        raise RequestRefused(403, NO_FILES)
    if not OPEN.fullmatch(path):
        raise RequestRefused(404, "There is nothing at this address.")


def _tell(path: str, refused: RequestRefused) -> PlainTextResponse | JSONResponse:
    """Gradio's scripts show the text of a refused upload, and elsewhere read `detail` or `error`. Of a refused question
    to a function they read nothing, so one that only came too early is answered as the function itself refuses.
    """
    if path.rstrip("/") == UPLOAD:
        return PlainTextResponse(refused.sentence, refused.status)
    if path.rstrip("/") == FUNCTION and refused.status in {429, 503}:
        return JSONResponse({"sentence": refused.sentence})
    return JSONResponse({"detail": refused.sentence, "error": refused.sentence}, refused.status)
