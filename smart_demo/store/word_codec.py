"""A page's words in few bytes, and numbers of its tokens' places. Words: zlib over JSON of their texts and boxes.

    {"texts": [...], "places": [[left...], [top...], [width...], [height...]], "parts": [[word, character], ...]}

Boxes are in fixed-point steps, the words' first and then those of the parts after a line break, each column as the
differences of neighbours: words of one line begin at one height, right after each other, so most numbers repeat.
The fullest page of the sample documents, 456 words of a paper, takes 3,312 bytes; a page of 500 words some 4 KB.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from smart_demo.page_text import Box, Word
from smart_demo.types import Floats, TokenBoxes, TokenGrid

MAX_JSON_BYTES = 32 * 2**20
"""Largest JSON that is decompressed. Poppler writes at most 16 MB for the words of a page, in a longer form."""
_BOX_STEPS = 65_534
"""Stored value of coordinate 1.0: a step is 1/65,534 of a side, a quarter of a pixel on the largest page."""
_NO_BOX = 65_535
"""Stored value of NaN: the token has no box."""
_CORNERS = attrgetter("left", "top", "right", "bottom")
"""Ten times as fast as `dataclasses.astuple`, which was most of the time of writing a page."""
_GRID_STEPS = 2**24
"""Fixed-point steps in the whole of a grid of patches."""


def to_fixed_point(boxes: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint16]:
    """Return relative coordinates as fixed-point steps, NaN as a step of its own."""
    steps = np.rint(np.clip(boxes, 0, 1) * _BOX_STEPS)
    return np.where(np.isnan(boxes), _NO_BOX, np.nan_to_num(steps)).astype(np.uint16)


def from_fixed_point(boxes: npt.NDArray[np.uint16]) -> Floats:
    """Return the relative coordinates of fixed-point steps."""
    return np.where(boxes == _NO_BOX, np.float32(np.nan), boxes.astype(np.float32) / np.float32(_BOX_STEPS))


def place_tensor(place: TokenGrid | TokenBoxes) -> dict[str, npt.NDArray[np.generic]]:
    """Return the tensor of a page's token places by its name in a token file.

    `boxes` (T, 4) in fixed-point steps; or `grid`: start, rows, cols, and in steps the shares that the page covers if
    it has padding.
    """
    if isinstance(place, TokenBoxes):
        return {"boxes": to_fixed_point(place.boxes)}
    shares = (place.covered_width, place.covered_height) if place.padded else ()
    return {"grid": np.array([place.start, place.rows, place.cols, *(round(one * _GRID_STEPS) for one in shares)])}


def parse_place(tensors: Mapping[str, npt.NDArray[Any]]) -> TokenGrid | TokenBoxes:
    """Return the places of the output of `place_tensor`, shares and boxes off by up to half a step."""
    if "boxes" in tensors:
        return TokenBoxes(from_fixed_point(tensors["boxes"]))
    start, rows, cols, *shares = tensors["grid"].tolist()
    return TokenGrid(start, rows, cols, *(share / _GRID_STEPS for share in shares))


def encode_words(words: Sequence[Word]) -> bytes:
    """Return the words in their stored form, never empty. Equal words give equal bytes."""
    parts = [(number, start, box) for number, word in enumerate(words) for start, box in word.parts]
    boxes = [word.box for word in words] + [box for _, _, box in parts]
    corners = to_fixed_point(np.array([_CORNERS(box) for box in boxes], np.float64).reshape(-1, 4)).astype(np.int64)
    written = {
        "texts": [word.text for word in words],
        "places": _to_places(corners),
        **({"parts": [[number, start] for number, start, _ in parts]} if parts else {}),
    }
    text = json.dumps(written, ensure_ascii=False, separators=(",", ":"))
    # Broken text layers hold halves of surrogate pairs, which strict UTF-8 refuses.
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 9)


def decode_words(data: bytes) -> tuple[Word, ...]:
    """Return the words of their stored form, boxes off by up to half a step. Raises ValueError for any other bytes."""
    written = _parse(data)
    try:
        texts, parts = written["texts"], written.get("parts", [])
        boxes = [Box(*corners) for corners in from_fixed_point(_to_corners(written["places"])).tolist()]
        if len(boxes) != len(texts) + len(parts) or not all(isinstance(text, str) for text in texts):
            raise ValueError("texts and boxes of words differ")
        found: list[list[tuple[int, Box]]] = [[] for _ in texts]
        for (number, start), box in zip(parts, boxes[len(texts) :], strict=True):
            if not 0 <= number < len(texts) or not 0 <= start <= len(texts[number]):
                raise ValueError("a part belongs to no word")
            found[number].append((start, box))
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("no words") from error
    return tuple(map(Word, texts, boxes, map(tuple, found)))


def _parse(data: bytes) -> dict[str, Any]:
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, MAX_JSON_BYTES)
        if not stream.eof or stream.unused_data:
            raise ValueError("words are cut off or too long")
        written = json.loads(text.decode("utf-8", "surrogatepass"))
    except (zlib.error, RecursionError) as error:
        raise ValueError("no words") from error
    if not isinstance(written, dict):
        raise ValueError("no words")
    return written


def _to_places(corners: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return the four columns of boxes (n, 4): left from the box before, top, width, height, as differences."""
    left, top, right, bottom = corners.T
    before = np.concatenate([[0], right[:-1]]) if len(corners) else right
    heights = np.diff(bottom - top, prepend=0)
    return [(left - before).tolist(), np.diff(top, prepend=0).tolist(), (right - left).tolist(), heights.tolist()]


def _to_corners(places: Sequence[Sequence[int]]) -> npt.NDArray[np.uint16]:
    """Return the boxes (n, 4) of `_to_places`. Raises ValueError for numbers that are no boxes."""
    gaps, tops, widths, heights = np.array(places, np.int64).reshape(4, -1)
    rights = np.cumsum(gaps + widths)
    top = np.cumsum(tops)
    corners = np.stack([rights - widths, top, rights, top + np.cumsum(heights)], axis=1)
    if corners.size and not (corners.min() >= 0 and corners.max() <= _NO_BOX):
        raise ValueError("a box is outside of its page")
    return corners.astype(np.uint16)
