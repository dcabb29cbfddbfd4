"""Pictures in queries: regions of stored pages, uploaded pictures, and the markup that shows them.

An uploaded picture is held in memory only, since its visitor did not ask to store it. Pages are looked up by the
caller's function, which checks access.
"""

from __future__ import annotations

import io
import math
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from smart_demo import ingest
from smart_demo.config import Limits
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.page_text import Box
from smart_demo.search.cache import LRUCache
from smart_demo.search.request import Region, UploadedPicture, parse_reference
from smart_demo.server.picture_addresses import MIN_CROP_WIDTH, CropAddress, data_address
from smart_demo.server.upload_limits import UPLOAD_TRACKER
from smart_demo.types import PageId, Pixels, Scope, StoredPage
from smart_demo.ui.render import render

MAX_PICTURES, MAX_PICTURES_BYTES, MAX_PICTURES_PER_VISITOR = 24, 96 * 2**20, 6
"""Limits of the uploaded pictures in memory. The least recently used one is evicted, first the visitor's own."""
MAX_SIDE = 1_600
"""Pixels along the long side of an uploaded picture in memory; the library stores most pages at the same size."""
MIN_SIDE = 16
"""Pixels along a side; there is nothing to recognise in less."""
PREVIEW_SIZE = (240, 96)
MAX_DECODING, DECODING_TIMEOUT = 2, 15.0
"""Pictures decoded at a time, at most one per visitor, and seconds that an upload waits for its turn.

Forty megapixels take 120 MB until they are reduced, and half a minute of a slow processor. A waiting upload occupies a
place in the queue of the page.
"""
PICTURE_GONE = "That picture is no longer kept. Choose it again."


@dataclass(frozen=True, slots=True)
class PicturePreview:
    """A query's picture as the page shows it."""

    address: str
    """Address of a WebP file of at most PREVIEW_SIZE pixels."""
    width: int
    height: int
    page: StoredPage | None
    """The page that the picture is or is a part of; None for an uploaded picture."""
    whole: bool
    """Whether the picture is the whole page."""


class QueryPictures:
    """Stores uploaded pictures and loads pictures by reference. Thread-safe."""

    def __init__(
        self,
        find_page: Callable[[Scope, PageId], StoredPage],
        load_image: Callable[[StoredPage], bytes],
        limits: Limits,
        visitor: Callable[[], Scope | None] = lambda: None,
        timeout: float = DECODING_TIMEOUT,
    ) -> None:
        """Create an empty store.

        find_page: returns a page that the current visitor may see, else raises LibraryError.
        load_image: returns a page's stored WebP file.
        visitor: returns the current visitor's scope. An uploaded picture is available to its visitor only.
        timeout: seconds that an upload waits while others are decoded.
        """
        self._find_page, self._load_image, self._limits, self._visitor = find_page, load_image, limits, visitor
        self._pictures: LRUCache[Pixels] = LRUCache(MAX_PICTURES, lambda pixels: pixels.nbytes, MAX_PICTURES_BYTES)
        self._timeout, self._turn = timeout, threading.Condition()
        self._decoding: list[Scope | None] = []

    def store(self, path: Path) -> str:
        """Decode an uploaded file, store its reduced picture and return its reference.

        Raises InputRefused if the file is no picture, is too small, or others are decoded for too long.
        """
        with self._turn_to_decode(self._visitor()):
            picture = Image.fromarray(ingest.decode_image_file(path, self._limits, UPLOAD_TRACKER.original_name(path)))
            picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
        uploaded = UploadedPicture(secrets.token_hex(16))
        visitor = self._visitor()
        self._pictures.limit(lambda key: isinstance(key, tuple) and key[0] == visitor, MAX_PICTURES_PER_VISITOR - 1)
        pixels = _check_size(np.array(picture), "That picture is too small to ask with.")
        self._pictures.put((visitor, uploaded.key), pixels)
        return str(uploaded)

    @contextmanager
    def _turn_to_decode(self, visitor: Scope | None) -> Iterator[None]:
        """Wait for a visitor's turn to decode and hold it. Raises InputRefused after the timeout."""

        def is_free() -> bool:
            return len(self._decoding) < MAX_DECODING and visitor not in self._decoding

        with self._turn:
            if not self._turn.wait_for(is_free, self._timeout):
                raise InputRefused("Other pictures are being opened.", "Choose yours again in a moment.")
            self._decoding.append(visitor)
        try:
            yield
        finally:
            with self._turn:
                self._decoding.remove(visitor)
                self._turn.notify_all()

    def load_pixels(self, reference: str) -> Pixels:
        """Return the (height, width, 3) pixels of a reference.

        Raises InputRefused if the reference is invalid, its picture evicted or too small; LibraryError if its page is
        gone.
        """
        parsed = parse_reference(reference)
        if isinstance(parsed, Region):
            return self._crop(parsed, self._find_page(parsed.scope, parsed.page))
        pixels = self._pictures.get((self._visitor(), parsed.key))
        if pixels is None:
            raise InputRefused(PICTURE_GONE)
        return pixels

    def delete(self, visitor: Scope) -> None:
        """Delete every uploaded picture of a visitor."""
        self._pictures.discard(lambda key: isinstance(key, tuple) and key[0] == visitor)

    def preview(self, reference: str, crop_address: CropAddress) -> PicturePreview:
        """Return what the page shows of a reference. Raises as `load_pixels`, though not for a small region."""
        parsed = parse_reference(reference)
        if isinstance(parsed, Region):
            page = self._find_page(parsed.scope, parsed.page)
            width, height = _fit(parsed.box, page)
            return PicturePreview(crop_address(page, parsed.box, width), width, height, page, parsed.whole)
        picture = Image.fromarray(self.load_pixels(reference))
        picture.thumbnail(PREVIEW_SIZE, Image.Resampling.BOX)
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=80)
        return PicturePreview(data_address(stream.getvalue()), *picture.size, page=None, whole=False)

    def _crop(self, region: Region, page: StoredPage) -> Pixels:
        """Return every pixel of a page's stored picture that the region touches."""
        try:
            with Image.open(io.BytesIO(self._load_image(page)), formats=("WEBP",)) as image:
                picture = image.convert("RGB")
        except OSError:
            raise LibraryError("The picture of that page cannot be read.", "Add its file again.") from None
        (width, height), box = picture.size, region.box
        left, top = math.floor(box.left * width), math.floor(box.top * height)
        right, bottom = math.ceil(box.right * width), math.ceil(box.bottom * height)
        pixels = np.array(picture.crop((left, top, right, bottom)))
        return _check_size(pixels, "That part of the page is too small to ask with.")


def _check_size(pixels: Pixels, message: str) -> Pixels:
    """Return the pixels, made read-only. Raises InputRefused with `message` if a side is under MIN_SIDE."""
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise InputRefused(message, f"It needs {MIN_SIDE} pixels a side.")
    pixels.flags.writeable = False
    return pixels


def _fit(box: Box, page: StoredPage) -> tuple[int, int]:
    """Return width and height of a part of a page as large as PREVIEW_SIZE allows."""
    width, height = (box.right - box.left) * max(page.width, 1), (box.bottom - box.top) * max(page.height, 1)
    scale = min(PREVIEW_SIZE[0] / width, PREVIEW_SIZE[1] / height)
    return max(MIN_CROP_WIDTH, round(width * scale)), max(1, round(height * scale))


def render_picture_tag(preview: PicturePreview | None) -> Markup:
    """Return the tag beside the query box that shows its picture and removes it. None: the picture is gone."""
    return render("picture_tag", preview=preview)
