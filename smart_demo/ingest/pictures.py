"""Pictures in Pillow's formats as upright RGB. Sizes are checked from the headers, before anything is decoded.

Only the decoder's process calls this (`decoder`): Pillow is C code, and the bytes are a stranger's.
"""

from __future__ import annotations

import errno
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, SmartError
from smart_demo.ingest.tags import claim_too_much

# `_check_size` refuses in words what Pillow would warn about on standard error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
"""The only readers that are tried: Pillow's full list would start Ghostscript for an EPS."""
UNREADABLE = (
    OSError,  # truncated or unknown; UnidentifiedImageError is one
    SyntaxError,  # Pillow's own for a broken structure
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow's readers were seen to raise on damaged bytes (fuzzed); their errors have no common base."""
OUT_OF_MEMORY = "out of memory"
"""How Pillow words it in an OSError when one of its C libraries could not get any."""
DEEP_MODES = ("I", "F")
IMAGE_LENGTH = 257
"""The tag of a TIFF that holds its rows, as they are stored."""


def look_at(source: Path | bytes, name: str, limits: Limits) -> tuple[str, int, tuple[str, ...]]:
    """(format, pages, notices) of a picture file, from its headers alone.

    FileRefused where it is damaged, no picture, has too many frames, or any frame has too many pixels.
    """
    with _opened(source, name) as image:
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if kind == "TIFF":
            return kind, _count_frames(image, name, limits), ()
        _check_size(image.size, name, limits)
        # A photo's MPO holds previews beside the picture: nothing a person would miss.
        moves = image.format != "MPO" and getattr(image, "is_animated", False)
        return kind, 1, (f"{name} is animated; only its first frame is taken.",) if moves else ()


def decode(source: Path | bytes, name: str, limits: Limits, number: int = 1) -> Image.Image:
    """Frame `number`, counted from 1: RGB, upright, alpha on white, every pixel it has.

    source: where the picture lies, or the bytes of its file. FileRefused where it is damaged or has too many pixels.
    """
    with _opened(source, name) as image:
        if number > 1:
            image.seek(number - 1)
        _check_size(image.size, name, limits)
        _check_rows(image, name)
        image.load()
        return _rgb(ImageOps.exif_transpose(image))


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    """The picture, its pixels not yet read. Whatever Pillow raises inside the context becomes a FileRefused."""
    try:
        # Whole and never by its path: Pillow would map the file, or make room for what a length in it claims.
        data = source if isinstance(source, bytes) else source.read_bytes()
        if claim_too_much(data):
            raise FileRefused(
                f"{name} is damaged: its tags claim more than it holds.", "Save it again without metadata."
            )
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            yield image
    except SmartError:
        raise
    except UnidentifiedImageError:
        raise FileRefused(f"{name} is damaged and cannot be read.", "Save or download it again.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise FileRefused(f"{name} has far too many pixels.", "Save it smaller.") from None
    except UNREADABLE as error:
        if getattr(error, "errno", None) == errno.ENOMEM or OUT_OF_MEMORY in str(error):
            raise MemoryError from None
        raise FileRefused(f"{name} is damaged or incomplete.", "Save or download it again.") from None


def _count_frames(image: Image.Image, name: str, limits: Limits) -> int:
    """Frames of a TIFF, by walking its directories; every one's size is checked before any is decoded."""
    count = 0
    while True:
        try:
            image.seek(count)
        except EOFError:
            return count
        count += 1
        if count > limits.pages:
            raise FileRefused(f"{name} has more than {limits.pages:,} pages.", "Split it into parts.")
        _check_size(image.size, name, limits)


def _check_size(size: tuple[int, int], name: str, limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise FileRefused(f"{name} has no pixels.", "Save it again.")
    if width * height > limits.pixels:
        limit = limits.pixels / 1e6
        raise FileRefused(
            f"{name} has {width:,} × {height:,} pixels; the limit is {limit:,.0f} megapixels.", "Save it smaller."
        )


def _check_rows(image: Image.Image, name: str) -> None:
    """A TIFF whose strips end before its last row is damaged; Pillow would leave the rest black."""
    if isinstance(image, TiffImageFile):
        rows = max((tile.extents[3] for tile in image.tile if tile.extents), default=0)
        if rows < int(image.tag_v2[IMAGE_LENGTH]):
            raise FileRefused(f"{name} is damaged: rows of its pixels are missing.", "Save it again.")


def _rgb(image: Image.Image) -> Image.Image:
    """The picture as RGB: deep greys scaled rather than clipped, transparency laid on white."""
    if image.mode.startswith(DEEP_MODES):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(layered, mask=layered.getchannel("A"))
    return white


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey picture of 16 or 32 bits in 8. Pillow's own conversion clips: it turns most of a 16-bit scan white."""
    values = np.asarray(image).astype(np.float32)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    # Integers of 32 bits and floats have no agreed white: the range that is used becomes black to white.
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
