"""The routes that serve page pictures: samples to everyone, a visitor's pictures to that visitor alone.

Every address without a picture gets the same answer, whether it was never given, has expired, was deleted or belongs to
another visitor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from smart_demo.errors import SmartError
from smart_demo.search.background import yield_to_searches
from smart_demo.server.picture_addresses import (
    NAME_SECONDS,
    OWN_FOLDER,
    SAMPLES_FOLDER,
    PagePicture,
    PictureAddresses,
)
from smart_demo.server.request_limits import NOTHING_HERE, SLOT_TIMEOUT_SECONDS, ConcurrencyLimiter, RequestRefused
from smart_demo.server.visitors import VISITOR_HEADER, client_id, request_visitor
from smart_demo.types import LOCAL, Scope

PUBLIC_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}
READING_THREADS, CUTTING_THREADS = 4, 2

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class PictureRoutes:
    """The routes of one app's pictures. It belongs to one event loop."""

    def __init__(self, picture_addresses: PictureAddresses) -> None:
        self._addresses, self._settings = picture_addresses, picture_addresses.engine.settings
        self._readers = ThreadPoolExecutor(READING_THREADS, "read-picture")
        self._cutters = ThreadPoolExecutor(CUTTING_THREADS, "cut-picture", initializer=yield_to_searches)
        self._cuts = ConcurrencyLimiter(per_client=4, total=16, timeout=SLOT_TIMEOUT_SECONDS)
        """Crops that are being cut, and samples that are being drawn, or wait for a thread."""

    @property
    def routes(self) -> list[Route]:
        """The routes, in any order among others."""
        return [
            Route(f"/{SAMPLES_FOLDER}{{page}}/{{version}}/{{stem}}.webp", self._send_sample),
            Route(f"/{OWN_FOLDER}{{name}}", self._send_own),
        ]

    async def _send_sample(self, request: Request) -> Response:
        page, version, stem = (request.path_params[name] for name in ("page", "version", "stem"))
        picture = await self._read(lambda: self._addresses.find_sample(page, version, stem))
        return await self._answer(request, picture, PUBLIC_HEADERS)

    async def _send_own(self, request: Request) -> Response:
        found = self._addresses.find_own(self._visitor(request), request.path_params["name"])
        seconds = min(int(found.seconds_left), int(NAME_SECONDS)) if found else 0
        headers = {
            "Cache-Control": f"private, max-age={seconds}",
            "Vary": VISITOR_HEADER,
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return await self._answer(request, found.picture if found else None, headers)

    def _visitor(self, request: Request) -> Scope | None:
        if not self._settings.uploads:
            return None
        return LOCAL if self._settings.is_private else request_visitor(request.scope)

    async def _answer(self, request: Request, picture: PagePicture | None, headers: dict[str, str]) -> Response:
        """Return the picture, or the one sentence for every address without a picture."""
        try:
            if picture is None:
                return _refusal(RequestRefused(404, NOTHING_HERE))
            content = await self._content(request, picture)
        except RequestRefused as refused:
            return _refusal(refused)
        except SmartError as error:  # the page may have been deleted a moment ago
            log.info("no picture: %s", type(error).__name__)
            return _refusal(RequestRefused(404, NOTHING_HERE))
        return Response(content, headers=headers, media_type="image/webp")

    async def _content(self, request: Request, picture: PagePicture) -> bytes:
        if self._addresses.is_quick(picture):
            return await self._read(lambda: self._addresses.read(picture))
        async with self._cuts.slot(client_id(request.scope)):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._cutters, self._addresses.read, picture)

    async def _read(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


def _refusal(refused: RequestRefused) -> JSONResponse:
    """Return the answer to a request without a picture, in the form of the gate's other refusals."""
    body = {"detail": refused.sentence, "error": refused.sentence}
    return JSONResponse(body, refused.status, {"Cache-Control": "no-store"})
