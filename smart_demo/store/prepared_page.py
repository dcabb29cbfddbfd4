"""A page before it is written: its token file, its picture and its thumbnail as bytes.

A page that was encoded elsewhere, or before, is prepared again from what its token file holds, without decoding it.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from smart_demo.page_text import PageWords
from smart_demo.store import token_file
from smart_demo.store.token_file import TokenFileBody
from smart_demo.types import Floats, Page, PageEncoding, PageTokens, Pixels, Scope, StoredPage, TokenSpace

MAX_PICTURE_SIDE = 1_600
"""Pixels of a picture's longer side, at most, unless the page is narrow."""
NARROW_PICTURE_SIDE = 900
"""Pixels that the shorter side of a narrow page keeps, such as a receipt's, so that its lines stay readable."""
MAX_PICTURE_PIXELS = 6_000_000
"""Pixels of a narrow page's picture, at most."""
MAX_WEBP_SIDE = 16_383
"""The format's own limit."""
MAX_THUMBNAIL_WIDTH = 360
"""Pixels of a thumbnail's width, at most."""
MAX_THUMBNAIL_RATIO = 4
"""Long side over short side of a thumbnail: of a narrower page it shows the start."""
_WEBP_QUALITY = 80


class Pictures(NamedTuple):
    """A page's picture and thumbnail as WebP."""

    picture: bytes
    thumbnail: bytes


@dataclass(frozen=True, eq=False)
class PreparedPage:
    """A page encoded, so that only writing it to disk is left."""

    page: StoredPage
    tokens: bytes
    """Content of the token file."""
    pictures: Pictures | None
    """None if they are still to be drawn."""


@dataclass(frozen=True, eq=False)
class EncodedPage:
    """Everything that a page's token file holds, with token states as stored."""

    page: StoredPage
    pooled: Floats
    """(P,)"""
    bodies: Mapping[TokenSpace, TokenFileBody]
    """Token states of every space, the raw one first."""
    words: PageWords | None
    """None if an earlier version stored the page without its words."""

    def decode(self) -> PageEncoding:
        """Return the encoding that the token file was made from; states differ by the codec's error."""
        page = self.page
        decoded = {
            space: PageTokens(body.codes.states(), body.kinds, body.place) for space, body in self.bodies.items()
        }
        raw = decoded.pop(TokenSpace.RAW)
        return PageEncoding(page.id, page.encoder, self.pooled, raw.tokens, raw.kinds, raw.place, spaces=decoded)


def read_encoded_page(path: Path) -> EncodedPage:
    """Return the content of a token file, every byte of it verified. Raises TokenFileDamaged if it was altered."""
    header, pooled = token_file.read_header(path)
    words = token_file.read_words(path, header, verified=False)
    spaces = [TokenSpace.RAW, *(one.space for one in header.layout.spaces)]
    bodies = {space: token_file.read_body(path, header, verified=words is not None, space=space) for space in spaces}
    return EncodedPage(header.page, pooled, bodies, words)


def prepare_encoded(encoded: EncodedPage, page: StoredPage, pictures: Pictures | None = None) -> PreparedPage:
    """Return an encoded page with other metadata and pictures, its states, kinds, places and words bit by bit.

    page: the new metadata, of the same page, encoder and codec; its `bytes` are counted here.
    """
    codes = {space: body.codes for space, body in encoded.bodies.items()}
    raw = codes.pop(TokenSpace.RAW)
    words = encoded.words.words if encoded.words else ()
    data = token_file.serialise(page, encoded.decode(), raw, tuple(pictures or ()), words, codes)
    size = len(data) + sum(map(len, pictures or ()))
    return PreparedPage(replace(page, bytes=size), data, pictures)


def prepare_page(scope: Scope, page: Page, encoding: PageEncoding, codec: str, seconds: float = 0.0) -> PreparedPage:
    """Encode the token states and draw the pictures of one page. Touches no disk.

    seconds: wall time spent on the page so far, stored with it; 0 if not measured. Raises ValueError if the encoding
    does not fit the page or its pooled vector is not finite.
    """
    stored = StoredPage(
        scope=scope,
        encoder=encoding.encoder,
        id=page.id,
        document=page.document,
        pages=page.pages,
        width=page.pixels.shape[1],
        height=page.pixels.shape[0],
        tokens=0,
        bytes=0,
        codec=codec,
        added=time.time(),
        seconds=seconds,
        source=page.source,
    )
    return _fill(stored, page, encoding, encode_pictures(page.pixels))


def prepare_again(
    old: StoredPage, page: Page, encoding: PageEncoding, codec: str, pictures: Pictures | None
) -> PreparedPage:
    """Encode the token states of a stored page that another encoder encoded from its picture and words.

    The page counts as added when the old one was, and not as measured: nothing of it was rendered. pictures: those of
    the old one; None if the page was turned since, so that they are drawn anew. Errors as `prepare_page`.
    """
    height, width = page.pixels.shape[:2]
    stored = replace(
        old,
        encoder=encoding.encoder,
        width=width if pictures is None else old.width,
        height=height if pictures is None else old.height,
        codec=codec,
        seconds=0.0,
        source=page.source if page.words or old.source is not None else None,  # it is unread still
        reencoded=True,
    )
    return _fill(stored, page, encoding, pictures or encode_pictures(page.pixels))


def _fill(stored: StoredPage, page: Page, encoding: PageEncoding, pictures: Pictures) -> PreparedPage:
    """Return a page with its token states in the codec of `stored`. Errors as `prepare_page`."""
    if encoding.page != page.id or len(encoding.kinds) != len(encoding.tokens):
        raise ValueError(f"encoding of {encoding.page} with {len(encoding.kinds)} kinds does not fit page {page.id}")
    if encoding.pooled.ndim != 1 or not np.isfinite(encoding.pooled).all():
        raise ValueError(f"the pooled vector of page {page.id} must be finite, (P,), not {encoding.pooled.shape}")
    codes = token_file.encode(encoding.tokens, stored.codec)
    space_codes = {space: token_file.encode(own.tokens, stored.codec) for space, own in encoding.spaces.items()}
    filled = replace(
        stored,
        tokens=len(encoding.tokens),
        few_known_words=encoding.few_known_words,
        space_tokens=tuple((space, len(own.tokens)) for space, own in encoding.spaces.items()),
    )
    data = token_file.serialise(filled, encoding, codes, tuple(pictures), page.words, space_codes)
    return PreparedPage(replace(filled, bytes=len(data) + sum(map(len, pictures))), data, pictures)


def encode_pictures(pixels: Pixels) -> Pictures:
    """Return a page's picture and its thumbnail, of `picture_size` and `thumbnail_size`. Neither is enlarged."""
    picture = Image.fromarray(pixels)
    picture.thumbnail(picture_size(*picture.size), Image.Resampling.BICUBIC)
    thumbnail = picture.crop((0, 0, *thumbnail_size(*picture.size)))
    thumbnail.thumbnail((MAX_THUMBNAIL_WIDTH, MAX_PICTURE_SIDE), Image.Resampling.BOX)
    return Pictures(_encode_webp(picture), _encode_webp(thumbnail))


def picture_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) that hold the picture of a page of that size.

    >>> picture_size(1_240, 1_754), picture_size(471, 10_217), picture_size(1_280, 6_400)
    ((1600, 1600), (471, 10217), (900, 4500))
    """
    long, short = max(width, height), min(width, height)
    narrow = min(NARROW_PICTURE_SIDE / short, math.sqrt(MAX_PICTURE_PIXELS / (long * short)), MAX_WEBP_SIDE / long)
    if narrow * long <= MAX_PICTURE_SIDE:
        return MAX_PICTURE_SIDE, MAX_PICTURE_SIDE
    return max(1, round(min(narrow, 1.0) * width)), max(1, round(min(narrow, 1.0) * height))


def thumbnail_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) of the part of a page that its thumbnail shows: all of it, or the start.

    >>> thumbnail_size(1_240, 1_754), thumbnail_size(471, 10_217), thumbnail_size(9_000, 300)
    ((1240, 1754), (471, 1884), (1200, 300))
    """
    return min(width, height * MAX_THUMBNAIL_RATIO), min(height, width * MAX_THUMBNAIL_RATIO)


def _encode_webp(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    # Method 2 of 6: half the time of the default for a few per cent more bytes.
    picture.save(stream, "WEBP", quality=_WEBP_QUALITY, method=2)
    return stream.getvalue()
