"""Words out of pixels: RapidOCR on onnxruntime, with the models that ship in its package. Nothing is fetched.

Loaded on the first picture that needs it, once for the process, and used by one thread at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from smart_demo.errors import BackboneUnavailable, InputRefused
from smart_demo.types import Box, Pixels, Word

LONG_SIDE = 2000
"""Larger pictures are read at this size, A4 at 170 dpi: small print stays legible."""
Corners = Sequence[Sequence[float]] | npt.NDArray[np.float32]
"""(n, 2) x and y in pixels."""
_one_at_a_time = threading.Lock()
log = logging.getLogger(__name__)


def engine() -> str:
    """What reads, with its version, for the encoder's fingerprint: other words make other encodings."""
    try:
        return f"rapidocr {version('rapidocr')} at {LONG_SIDE}"
    except PackageNotFoundError:
        return "nothing"


def read_words(pixels: Pixels) -> tuple[Word, ...]:
    """Words of a picture, lines from top to bottom, with relative boxes; () where there are none.

    pixels: (height, width, 3) RGB. BackboneUnavailable where RapidOCR is not installed, InputRefused where it fails.
    """
    with _one_at_a_time:
        reader = _reader()
        try:
            found = reader(_sheet(pixels), return_word_box=True)
        except Exception as error:  # onnxruntime, OpenCV and RapidOCR share no base
            log.warning("OCR failed: %s", type(error).__name__)
            raise InputRefused("The picture's words could not be read.", "Try another picture.") from error
    if found.txts is None or found.boxes is None:
        return ()
    height, width = pixels.shape[:2]
    # RapidOCR drops a line without places from the places alone; then no line knows which are its own.
    places = found.word_results if len(found.word_results) == len(found.txts) else [()] * len(found.txts)
    return tuple(
        Word(word, _box(corners, width, height))
        for text, line, pieces in zip(found.txts, found.boxes, places, strict=True)
        for word, corners in place_words(text, line, pieces)
    )


def place_words(
    text: str, line: Corners, pieces: Sequence[tuple[str, float, Corners | None]]
) -> Iterator[tuple[str, Corners]]:
    """Each word of a line of text with the corners around it.

    pieces are (text, score, corners) as RapidOCR finds them: words for Latin script, single characters for Chinese.
    Where they do not spell the line, its words all keep the corners of the whole line.

    >>> [word for word, _ in place_words("due in", [[0, 0], [9, 1]], [])]
    ['due', 'in']
    """
    words = text.split()
    spelled = "".join(piece for piece, _, _ in pieces) == "".join(words)
    owners = [corners for piece, _, corners in pieces for _ in piece]
    start = 0
    for word in words:
        own = [corners for corners in owners[start : start + len(word)] if spelled and corners is not None]
        start += len(word)
        yield word, np.concatenate([np.asarray(corners, np.float32) for corners in own]) if own else line


def _sheet(pixels: Pixels) -> Pixels:
    """The picture as BGR; a strip is laid on white paper, at the top left, so that no side is under half.

    RapidOCR scales the short side up: a strip of 4000 by 100 pixels took 2.8 GB and 26 s of a core (measured).
    """
    height, width = pixels.shape[:2]
    least = max(height, width) // 2
    paper = ((0, max(0, least - height)), (0, max(0, least - width)), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, paper, constant_values=255)[:, :, ::-1])


def _box(corners: Corners, width: int, height: int) -> Box:
    """The upright rectangle around the corners, relative to the page and inside it."""
    relative = np.clip(np.asarray(corners, dtype=np.float64) / (width, height), 0, 1)
    (left, top), (right, bottom) = relative.min(axis=0), relative.max(axis=0)
    return Box(float(left), float(top), float(right), float(bottom))


@cache
def _reader() -> Callable[..., Any]:
    try:
        from rapidocr import RapidOCR
    except ImportError as missing:
        raise BackboneUnavailable(
            f"Reading pictures needs {missing.name}, which is not installed.",
            "Run: pip install rapidocr==3.10.0 onnxruntime",
        ) from missing
    # A picture without text is no error here, and RapidOCR logs one.
    reader: Callable[..., Any] = RapidOCR(params={"Global.log_level": "critical", "Global.max_side_len": LONG_SIDE})
    return reader
