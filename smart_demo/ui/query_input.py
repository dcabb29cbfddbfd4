"""Pictures that are asked with, from their references: parts of the library's pages, and uploaded pictures.

An uploaded picture lies in memory alone: it is no document, and nobody asked for it to be stored. Pages come through
the caller's own check of who may see them.

Markup of the picture that a question carries: a tag in the ask row, with a way to ask without it.
"""

from __future__ import annotations

import base64
import io
import math
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from smart_demo import ingest
from smart_demo.config import Limits
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.search.cache import LRUCache
from smart_demo.search.request import Region, UploadedPicture, parse_reference
from smart_demo.types import PageId, Pixels, Scope, StoredPage
from smart_demo.ui.format import bdi

MAX_PICTURES, MAX_PICTURE_BYTES, MAX_PICTURES_PER_VISITOR = 24, 96 * 2**20, 6
"""Uploaded pictures that are kept, their bytes in all, and pictures of one visitor; the one not asked with for longest
leaves first, a visitor's own before anybody else's."""
MAX_SIDE = 1_600
"""Of a kept picture, in pixels: as much as the library keeps of a page."""
MIN_SIDE = 16
"""Pixels along a side, under which there is nothing to recognise."""
PREVIEW_SIZE = (240, 96)
MAX_OPENING, OPENING_TIMEOUT = 2, 15.0
"""Pictures that are opened at the same time, one of each person: forty megapixels take 120 MB until they are reduced,
and half a minute of a slow processor. Seconds that others wait, since whoever waits holds a place in the queue.
"""
PICTURE_GONE = "That picture is no longer kept. Choose it again."


@dataclass(frozen=True, slots=True)
class PicturePreview:
    """A picture as the page shows what is asked with. The thumbnail is WebP."""

    thumbnail: bytes
    page: StoredPage | None
    """Of the library, if it is one or a part of one;"""
    whole: bool
    """whether it is all of it."""


class QueryPictures:
    """Gives references their pixels, and new pictures their references. Safe for threads."""

    def __init__(
        self,
        page: Callable[[Scope, PageId], StoredPage],
        picture: Callable[[StoredPage], bytes],
        limits: Limits,
        whose: Callable[[], Scope | None] = lambda: None,
        patience: float = OPENING_TIMEOUT,
    ) -> None:
        """`page` finds a page that whoever asks may see, or raises LibraryError; `picture` is its stored WebP; `whose`
        says who asks: a kept picture is there for nobody else.
        """
        self._page, self._picture, self._limits, self._whose = page, picture, limits, whose
        self._kept: LRUCache[Pixels] = LRUCache(MAX_PICTURES, lambda pixels: pixels.nbytes, MAX_PICTURE_BYTES)
        self._patience, self._turn = patience, threading.Condition()
        self._opening: list[Scope | None] = []

    def keep(self, path: Path) -> str:
        """Open an uploaded file and keep its picture, reduced; its reference. InputRefused says what is wrong."""
        with self._opens(self._whose()):
            picture = Image.fromarray(ingest.decode_image_file(path, self._limits))
            picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
        kept = UploadedPicture(secrets.token_hex(16))
        whose = self._whose()
        self._kept.thin(lambda key: isinstance(key, tuple) and key[0] == whose, MAX_PICTURES_PER_VISITOR - 1)
        self._kept.put((whose, kept.key), _large_enough(np.array(picture), "That picture is too small to ask with."))
        return str(kept)

    @contextmanager
    def _opens(self, owner: Scope | None) -> Iterator[None]:
        """While a picture of somebody is opened. InputRefused where others take too long."""

        def free() -> bool:
            return len(self._opening) < MAX_OPENING and owner not in self._opening

        with self._turn:
            if not self._turn.wait_for(free, self._patience):
                raise InputRefused("Other pictures are being opened.", "Choose yours again in a moment.")
            self._opening.append(owner)
        try:
            yield
        finally:
            with self._turn:
                self._opening.remove(owner)
                self._turn.notify_all()

    def pixels(self, reference: str) -> Pixels:
        """(height, width, 3) of what a reference names.

        InputRefused for what is no reference, no longer kept or too small; LibraryError where the page is gone.
        """
        wanted = parse_reference(reference)
        if isinstance(wanted, Region):
            return self._cut(wanted, self._page(wanted.scope, wanted.page))
        pixels = self._kept.get((self._whose(), wanted.key))
        if pixels is None:
            raise InputRefused(PICTURE_GONE)
        return pixels

    def forget(self, owner: Scope) -> None:
        """Drop every kept picture of somebody."""
        self._kept.drop(lambda key: isinstance(key, tuple) and key[0] == owner)

    def glimpse(self, reference: str) -> PicturePreview:
        """What to show of a reference; refused as `pixels`."""
        wanted = parse_reference(reference)
        picture = Image.fromarray(self.pixels(reference))
        picture.thumbnail(PREVIEW_SIZE, Image.Resampling.BOX)
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=80)
        page = self._page(wanted.scope, wanted.page) if isinstance(wanted, Region) else None
        return PicturePreview(stream.getvalue(), page, isinstance(wanted, Region) and wanted.whole)

    def _cut(self, region: Region, page: StoredPage) -> Pixels:
        """Every pixel of the stored picture that the region touches."""
        try:
            with Image.open(io.BytesIO(self._picture(page)), formats=("WEBP",)) as image:
                sheet = image.convert("RGB")
        except OSError:
            raise LibraryError("The picture of that page cannot be read.", "Add its file again.") from None
        (wide, high), box = sheet.size, region.box
        left, top = math.floor(box.left * wide), math.floor(box.top * high)
        right, bottom = math.ceil(box.right * wide), math.ceil(box.bottom * high)
        return _large_enough(
            np.array(sheet.crop((left, top, right, bottom))), "That part of the page is too small to ask with."
        )


def _large_enough(pixels: Pixels, otherwise: str) -> Pixels:
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise InputRefused(otherwise, f"It needs {MIN_SIDE} pixels a side.")
    pixels.flags.writeable = False
    return pixels


MISSING_PICTURE = (
    '<svg class="like-picture missing" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true"></svg>'
)


def render_picture_tag(glimpse: PicturePreview | None) -> str:
    """What is asked with; None for a picture or page that is no longer there."""
    if glimpse is None:
        return _tag(MISSING_PICTURE, "A picture", "that is no longer there")
    data = base64.b64encode(glimpse.thumbnail).decode("ascii")
    image = f'<img class="like-picture" src="data:image/webp;base64,{data}" alt="" draggable="false">'
    if glimpse.page is None:
        return _tag(image, "This picture", "")
    part = "Page" if glimpse.whole else "A part of page"
    return _tag(image, f"{part} {glimpse.page.number}", f"of {bdi(glimpse.page.document)}")


def _tag(image: str, what: str, where: str) -> str:
    """All three are markup already."""
    return (
        f'<div class="like" role="group" aria-label="Asked with">{image}'
        f'<span class="like-said"><b>{what}</b> <span>{where}</span></span>'
        '<button type="button" class="like-drop" aria-label="Ask without the picture" title="Ask without the picture">'
        "✕</button></div>"
    )
