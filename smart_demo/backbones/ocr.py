"""Words in an image, by RapidOCR on onnxruntime with the models that its package contains. Downloads nothing.

The engine is loaded once per process, on the first image that needs it, and used by one thread at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from smart_demo.errors import BackboneUnavailable, InputRefused
from smart_demo.types import Pixels
from smart_demo.words import Box, Word

MAX_SIDE_PIXELS = 2000
"""Larger images are read at this size, A4 at 170 dpi: small print stays legible."""
Corners = Sequence[Sequence[float]] | npt.NDArray[np.float32]
"""(n, 2) x and y in pixels."""
_ocr_lock = threading.Lock()
log = logging.getLogger(__name__)


def read_words(pixels: Pixels) -> tuple[Word, ...]:
    """Return an image's words, lines from top to bottom, with relative boxes; () if it has none.

    pixels: (height, width, 3) RGB. Raises BackboneUnavailable if RapidOCR is not installed, InputRefused if it fails.
    """
    with _ocr_lock:
        ocr = _load_ocr()
        try:
            found = ocr(_pad_strip(pixels), return_word_box=True)
        except Exception as error:  # onnxruntime, OpenCV and RapidOCR share no base
            log.warning("OCR failed: %s", type(error).__name__)
            raise InputRefused("The picture's words could not be read.", "Try another picture.") from error
    if found.txts is None or found.boxes is None:
        return ()
    height, width = pixels.shape[:2]
    # RapidOCR omits a line that has no places from the places alone; then they cannot be matched to the lines.
    places = found.word_results if len(found.word_results) == len(found.txts) else [()] * len(found.txts)
    return tuple(
        Word(word, _bounding_box(corners, width, height))
        for text, line, pieces in zip(found.txts, found.boxes, places, strict=True)
        for word, corners in locate_words(text, line, pieces)
    )


def locate_words(
    text: str, line: Corners, pieces: Sequence[tuple[str, float, Corners | None]]
) -> Iterator[tuple[str, Corners]]:
    """Yield each word of a line of text with the corners around it.

    pieces are (text, score, corners) as RapidOCR finds them: words for Latin script, single characters for Chinese.
    If they do not spell the line, all of its words get the corners of the whole line.

    >>> [word for word, _ in locate_words("due in", [[0, 0], [9, 1]], [])]
    ['due', 'in']
    """
    words = text.split()
    matched = "".join(piece for piece, _, _ in pieces) == "".join(words)
    char_corners = [corners for piece, _, corners in pieces for _ in piece]
    start = 0
    for word in words:
        own = [corners for corners in char_corners[start : start + len(word)] if matched and corners is not None]
        start += len(word)
        yield word, np.concatenate([np.asarray(corners, np.float32) for corners in own]) if own else line


def _pad_strip(pixels: Pixels) -> Pixels:
    """Return the image as BGR, padded with white at the right or bottom so that no side is under half the other.

    RapidOCR scales the short side up: a strip of 4000 by 100 pixels took 2.8 GB and 26 s of a core (measured).
    """
    height, width = pixels.shape[:2]
    least = max(height, width) // 2
    padding = ((0, max(0, least - height)), (0, max(0, least - width)), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, padding, constant_values=255)[:, :, ::-1])


def _bounding_box(corners: Corners, width: int, height: int) -> Box:
    """Return the upright rectangle around the corners, relative to the page and inside it."""
    relative = np.clip(np.asarray(corners, dtype=np.float64) / (width, height), 0, 1)
    (left, top), (right, bottom) = relative.min(axis=0), relative.max(axis=0)
    return Box(float(left), float(top), float(right), float(bottom))


@cache
def _load_ocr() -> Callable[..., Any]:
    try:
        from rapidocr import RapidOCR
    except ImportError as missing:
        raise BackboneUnavailable(
            f"Reading pictures needs {missing.name}, which is not installed.",
            "Run: pip install rapidocr==3.10.0 onnxruntime",
        ) from missing
    # RapidOCR logs an error for an image without text; here that is no error.
    params = {"Global.log_level": "critical", "Global.max_side_len": MAX_SIDE_PIXELS}
    ocr: Callable[..., Any] = RapidOCR(params=params)
    return ocr
