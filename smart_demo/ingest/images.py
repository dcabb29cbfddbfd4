"""Image reading with Pillow, and the program of the decoder process that does it.

`sandbox` starts this program (`main`) beside the app, without the app's environment. The app itself never imports this
module: an image decoder is C code over untrusted bytes, so it may crash, loop or exhaust memory. The program handles
each request in a fork of its own, under kernel limits, so one image can end only its own fork.

A request is one line of JSON, followed by the image's bytes if it has no path. A response is one line of JSON, followed
by the RGB bytes row by row if an image was decoded, then one line with the fork's exit status. The program exits when
its input ends, and after a fork that failed: its parent then reads end of file instead of waiting for missing bytes.

Pillow loads every tag (TIFF directories, EXIF blocks) when it opens a file. Thousands of tags may point at the same
bytes, so a file of 2 MB can ask for 40 GB. An honest file stores each value once, so a directory whose values need more
bytes than the file has is refused before Pillow sees it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import struct
import sys
import traceback
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps, UnidentifiedImageError, features
from PIL.TiffImagePlugin import TiffImageFile

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, SmartError
from smart_demo.ingest.files import detect_container

try:
    import pillow_heif
except ImportError:  # a platform without its library; HEIC is then refused with the cure
    pillow_heif = None  # type: ignore[assignment]

BAND_ROWS = 256
"""Rows written to the pipe at once."""
MAX_OPEN_FILES = 64
EXIT_COMPLETE = 42
"""Exit status of a fork whose response is complete. Not 0, which a library that calls exit() halfway would give."""

OPTIONAL_FORMATS = {"AVIF": features.check("avif"), "HEIF": pillow_heif is not None}
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", *filter(OPTIONAL_FORMATS.get, OPTIONAL_FORMATS))
"""The only Pillow readers tried: its full list would start Ghostscript for an EPS."""
PILLOW_ERRORS = (
    OSError,  # truncated or unknown; UnidentifiedImageError is one
    SyntaxError,  # Pillow's own for a broken structure
    ValueError,
    RuntimeError,  # of libheif
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
"""Errors seen from Pillow's readers on damaged bytes (fuzzed); they have no common base class."""
OUT_OF_MEMORY = "out of memory"
"""Pillow's wording in an OSError if one of its C libraries could not allocate."""
DEEP_MODES = ("I", "F")
MIN_PIXEL_RATIO, MAX_PIXEL_RATIO = 1.2, 4.0
"""Ratios of a picture's two resolutions that are taken for the shape of its pixels; a fax has 2.08."""
PALE, INKY = 170, 128
"""Luminance from which ink is lost on white, and below which it is read on white."""
DARK_GROUND = (40, 40, 40)
"""Ground of transparent pictures whose ink is pale."""
ORIENTATION_TAG, TURNED = 0x0112, range(5, 9)
"""EXIF tag, and its values for pictures that lie on their side."""
IMAGE_LENGTH_TAG = 257
"""TIFF tag with the number of stored rows."""

EXIF_PATTERNS = tuple(
    re.compile(prefix + rb".{0,10}?(?=II\*\0|MM\0\*)", re.DOTALL) for prefix in (rb"E(?:xif|XIF)", rb"eXIf")
)
"""Starts of an EXIF block, a small TIFF, in JPEG (Exif), WebP (EXIF and a length) and PNG (eXIf).

Two patterns that begin with a letter: they search ten times faster than one that begins with a choice.
"""
TIFF_START = re.compile(rb"II[*+]\0|MM\0[*+]")
ITEM_PATTERNS = tuple(re.compile(rb"(?<=\0\0\0\0)" + start) for start in (rb"II\*\0", rb"MM\0\*"))
"""Starts of an EXIF block in an AVIF, after the length of its prefix."""
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes per value by type number (TIFF 6.0 and BigTIFF)."""
DIRECTORY_TAGS = {34665, 34853, 40965}
"""Tags whose value is the offset of another directory (EXIF, GPS, interoperability)."""
MAX_ASPECT = 100
"""Largest ratio of a picture's sides: a page is never so thin, and its print would be enlarged without bound."""
MAX_TAGS = 65_535
"""Tag numbers have 16 bits."""

# `_check_size` refuses large images with a sentence; Pillow would only warn on standard error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def main() -> None:
    """Answer the requests on standard input, on standard output, until the input ends or a fork fails."""
    warnings.simplefilter("ignore")
    Image.init()  # once here instead of in every fork
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each thread reserves address space, which is limited
    if pillow_heif is not None:
        pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    _write_line(responses, {"ready": True})
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        child = os.fork()
        if not child:
            _respond_and_exit(request, data, responses)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _write_line(responses, {"ended": 0 if status == EXIT_COMPLETE else status or 1})
        if status != EXIT_COMPLETE:
            return


def handle_request(request: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Image.Image | None]:
    """Return (response fields, decoded image or None). A refusal is returned as fields, not raised."""
    source, name = Path(request["path"]) if request["path"] else data, request["name"]
    limits = Limits(pages=request["pages"], pixels=request["pixels"])
    try:
        if number := request["number"]:
            image = decode_image(source, name, limits, number)
            return {"width": image.width, "height": image.height}, image
        kind, pages, notices = inspect_image(source, name, limits)
    except FileRefused as refusal:
        return {"refused": [str(refusal), refusal.hint]}, None
    except MemoryError:
        return {"memory": True}, None
    return {"kind": kind, "pages": pages, "notices": notices}, None


def _respond_and_exit(request: Mapping[str, Any], data: bytes, responses: BinaryIO) -> None:
    """Handle one request in the fork and exit; never returns."""
    try:
        _set_limits(request)
        fields, image = handle_request(request, data)
        _write_line(responses, fields)
        for top in range(0, image.height if image else 0, BAND_ROWS):
            assert image
            responses.write(image.crop((0, top, image.width, min(top + BAND_ROWS, image.height))).tobytes())
        responses.flush()
        os._exit(EXIT_COMPLETE)
    except BaseException as error:  # noqa: BLE001 -- the fork has no caller that could handle it
        os.write(responses.fileno(), json.dumps({"fault": _describe_error(error)}).encode() + b"\n")
    finally:
        os._exit(1)


def _describe_error(error: BaseException) -> str:
    """Return the error's type and origin for the log, without names or bytes of the file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}:{last.lineno}"


def _set_limits(request: Mapping[str, Any]) -> None:
    """Limit this process's wall clock, CPU time, memory and files; no decoder can raise the limits again."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(request["clock"])
    for limit, value in (
        (resource.RLIMIT_CPU, request["seconds"]),
        (resource.RLIMIT_AS, request["memory"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # The soft CPU limit sends SIGXCPU; the hard one sends SIGKILL, which the parent takes for too much memory.
        grace = 1 if limit == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        try:
            resource.setrlimit(limit, (value, value + grace))
        except (OSError, ValueError):  # the platform lacks this limit; the wall clock still applies
            continue


def _write_line(responses: BinaryIO, fields: Mapping[str, Any]) -> None:
    responses.write(json.dumps(fields).encode() + b"\n")
    responses.flush()


def inspect_image(source: Path | bytes, name: str, limits: Limits) -> tuple[str, int, tuple[str, ...]]:
    """Return (format, page count, notices) of an image file, from its headers alone.

    Raises FileRefused if it is damaged, not an image, has too many frames, or any frame is a strip or too large.
    """
    with _open_image(source, name) as image:
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if kind == "TIFF":
            return kind, _count_frames(image, name, limits), ()
        _check_size(image.size, name, limits)
        # A photo's MPO holds previews beside the image, which are not worth a notice.
        several = image.format != "MPO" and getattr(image, "n_frames", 1) > 1
        if several and kind == "HEIF":
            return kind, 1, (f"{name} holds several pictures; only its main one is taken.",)
        return kind, 1, (f"{name} is animated; only its first frame is taken.",) if several else ()


def decode_image(source: Path | bytes, name: str, limits: Limits, number: int = 1) -> Image.Image:
    """Return frame `number`, counted from 1, at full size: RGB, upright, its pixels square and opaque.

    source: path of the file, or its bytes. Raises FileRefused if it is damaged, a strip or too large.
    """
    with _open_image(source, name) as image:
        if number > 1:
            image.seek(number - 1)
        _check_size(image.size, name, limits)
        _check_rows(image, name)
        ratio = _pixel_ratio(image)  # first: a TIFF loses its orientation when it is loaded
        image.load()
        return _square_pixels(_to_rgb(ImageOps.exif_transpose(image)), ratio, limits)


@contextmanager
def _open_image(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    """Yield the opened image, its pixels not yet decoded; turn Pillow's errors in the context into FileRefused."""
    try:
        # Bytes, never a path: Pillow would map the file, or allocate the length that the file claims.
        data = source if isinstance(source, bytes) else source.read_bytes()
        container = detect_container(data)
        if container and (container if container == "AVIF" else "HEIF") not in FORMATS:
            raise FileRefused(
                f"{name} is a picture of the kind {container}, which is not read here.", "Save it as JPEG."
            )
        if tags_exceed_file(data):
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
    except PILLOW_ERRORS as error:
        if getattr(error, "errno", None) == errno.ENOMEM or OUT_OF_MEMORY in str(error):
            raise MemoryError from None
        raise FileRefused(f"{name} is damaged or incomplete.", "Save or download it again.") from None


def _count_frames(image: Image.Image, name: str, limits: Limits) -> int:
    """Return the number of frames of a TIFF by walking its directories; check each frame's size on the way."""
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
    if max(size) > MAX_ASPECT * min(size):
        raise FileRefused(f"{name} is a strip of {width:,} × {height:,} pixels.", "Cut it into pages.")
    if width * height > limits.pixels:
        limit = limits.pixels / 1e6
        raise FileRefused(
            f"{name} has {width:,} × {height:,} pixels; the limit is {limit:,.0f} megapixels.", "Save it smaller."
        )


def _check_rows(image: Image.Image, name: str) -> None:
    """Raise FileRefused if a TIFF's strips end before its last row; Pillow would leave the rest black."""
    if isinstance(image, TiffImageFile):
        rows = max((tile.extents[3] for tile in image.tile if tile.extents), default=0)
        if rows < int(image.tag_v2[IMAGE_LENGTH_TAG]):
            raise FileRefused(f"{name} is damaged: rows of its pixels are missing.", "Save it again.")


def _pixel_ratio(image: Image.Image) -> float:
    """Return height over width of a pixel, by the resolutions that the file states; 1 if they are not plausible.

    For a picture that EXIF turns on its side, of the turned picture.
    """
    stated: Any = next(
        (image.info[key] for key in ("dpi", "resolution", "aspect", "jfif_density") if key in image.info), ()
    )
    try:
        ratio = float(stated[0]) / float(stated[1])
    except (TypeError, ValueError, LookupError, ArithmeticError):
        return 1.0
    if not MIN_PIXEL_RATIO <= max(ratio, 1 / ratio if ratio else 0.0) <= MAX_PIXEL_RATIO:
        return 1.0
    return 1 / ratio if image.getexif().get(ORIENTATION_TAG) in TURNED else ratio


def _square_pixels(image: Image.Image, ratio: float, limits: Limits) -> Image.Image:
    """Return the image with square pixels: its coarser axis enlarged, or all of it smaller to stay within the limit."""
    if ratio == 1:
        return image
    true_width, true_height = image.width * max(1 / ratio, 1.0), image.height * max(ratio, 1.0)
    scale = min(1.0, (limits.pixels / (true_width * true_height)) ** 0.5)
    height = max(1, min(int(true_height * scale), limits.pixels))
    width = max(1, min(int(true_width * scale), limits.pixels // height))
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB: deep greys scaled rather than clipped, transparency on a ground that shows the ink."""
    if image.mode.startswith(DEEP_MODES):
        image = _to_eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    ground = Image.new("RGB", image.size, DARK_GROUND if _is_pale(layered) else "white")
    ground.paste(layered, mask=layered.getchannel("A"))
    return ground


def _is_pale(image: Image.Image) -> bool:
    """Return whether the ink of an RGBA image would be lost on white: pale strokes that touch transparent pixels.

    What has an opaque ground of its own is read on any, so only the outline counts. A solid pale shape, such as a
    window's picture with a shadow, is pale only if nothing on it is dark.
    """
    alpha = np.asarray(image.getchannel("A"))
    ink = alpha >= max(1, int(alpha.max()) // 2)
    touching = np.zeros_like(ink)
    touching[1:] |= ~ink[:-1]
    touching[:-1] |= ~ink[1:]
    touching[:, 1:] |= ~ink[:, :-1]
    touching[:, :-1] |= ~ink[:, 1:]
    luminance, outline = np.asarray(image.convert("L")), touching & ink
    if not outline.any() or (luminance[outline] >= PALE).mean() <= 0.5:
        return False
    return bool(outline.sum() >= 0.02 * ink.sum() or (luminance[ink] < INKY).mean() < 0.01)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale a grey image of 16 or 32 bits to 8. Pillow's own conversion clips: it turns most of a 16-bit scan white."""
    values = np.asarray(image).astype(np.float32)
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    # 32-bit integers and floats have no agreed white: scale the used range from black to white.
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))


def tags_exceed_file(data: bytes) -> bool:
    """Return True if any tag directory in a file's bytes claims more bytes than the file has."""
    starts = [match.end() for pattern in EXIF_PATTERNS for match in pattern.finditer(data)]
    if detect_container(data):
        starts += [match.start() for pattern in ITEM_PATTERNS for match in pattern.finditer(data)]
    if TIFF_START.match(data):
        starts.append(0)
    return any(size > len(data) for start in starts for size in claimed_sizes(data, start))


def claimed_sizes(data: bytes, start: int) -> Iterator[int]:
    r"""Yield the bytes that each directory's values claim, for the TIFF at `start`. Each directory is read once.

    >>> list(claimed_sizes(b"II*\0" + struct.pack("<IHHHIII", 8, 1, 300, 1, 5_000_000, 0, 0), 0))
    [5000000]
    """
    order = "<" if data[start : start + 2] == b"II" else ">"
    big = b"+" in data[start + 2 : start + 4]
    head, entry, pointer = (struct.Struct(order + form) for form in (("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")))
    offsets = [_read_number(pointer, data, start + (8 if big else 4))]
    seen: set[int] = set()
    while offsets:
        offset = offsets.pop()
        if not offset or offset in seen:
            continue
        seen.add(offset)
        size, first = 0, start + offset + head.size
        count = min(_read_number(head, data, start + offset), MAX_TAGS)
        end = min(first + count * entry.size, len(data) - (len(data) - first) % entry.size)
        for tag, kind, values, value in entry.iter_unpack(data[first : max(first, end)]):
            size += values * TYPE_SIZES.get(kind, 0)
            offsets += [value] if tag in DIRECTORY_TAGS else []
        offsets.append(_read_number(pointer, data, first + count * entry.size))
        yield size


def _read_number(form: struct.Struct, data: bytes, offset: int) -> int:
    """Return the number at `offset`, or 0 if the file ends before it."""
    return int(form.unpack_from(data, offset)[0]) if offset + form.size <= len(data) else 0
