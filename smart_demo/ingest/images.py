"""Tags of a picture (TIFF directories, EXIF blocks) that claim more than the file holds.

Pillow reads every tag into memory when it opens a file. Thousands of tags may all point at the same megabytes, so
that a file of 2 MB asks for 40 GB. In an honest file each value is stored once: a directory cannot claim more than the
file has.

Pictures in Pillow's formats as upright RGB. Sizes are checked from the headers, before anything is decoded.

Only the decoder's process calls this (`decoder`): Pillow is C code, and the bytes are a stranger's.

The program that reads pictures for the app, which never does so itself.

A decoder is C code over bytes of strangers: it may crash, run for ever or fill the memory. So this program is started
beside the app, without its environment, and answers each question in a fork of its own, inside bounds that the kernel
keeps. What a picture does to its fork ends with the fork; what it learns there is one picture.

A question is a line of JSON and, where the picture is not a file, its bytes. The answer is a line of JSON and, for a
decoded picture, its RGB bytes row by row; then a line that says how the fork ended. It ends when nobody asks any more,
and after a fork that ended badly: whoever waits for the rest of a picture then sees that nothing follows.
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
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, SmartError

EXIF_BLOCKS = tuple(
    re.compile(prefix + rb".{0,10}?(?=II\*\0|MM\0\*)", re.DOTALL) for prefix in (rb"E(?:xif|XIF)", rb"eXIf")
)
"""How JPEG (Exif), WebP (EXIF and a length) and PNG (eXIf) introduce a block of EXIF, which is a small TIFF.

Two patterns that begin with a letter: such are searched ten times faster than one that begins with a choice.
"""
TIFF_START = re.compile(rb"II[*+]\0|MM\0[*+]")
UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""By type of value, from the TIFF 6.0 and BigTIFF tables."""
POINTERS = {34665, 34853, 40965}
"""Tags whose value is where another directory begins (EXIF, GPS, interoperability)."""
MOST_TAGS = 65_535
"""Tag numbers have 16 bits."""


def claim_too_much(data: bytes) -> bool:
    """True where any directory of tags in the bytes of a file claims more bytes than there are."""
    starts = [match.end() for block in EXIF_BLOCKS for match in block.finditer(data)]
    if TIFF_START.match(data):
        starts.append(0)
    return any(claim > len(data) for start in starts for claim in claims(data, start))


def claims(data: bytes, start: int) -> Iterator[int]:
    r"""For every directory of the TIFF at `start`: how many bytes its values claim. Each directory is read once.

    >>> list(claims(b"II*\0" + struct.pack("<IHHHIII", 8, 1, 300, 1, 5_000_000, 0, 0), 0))
    [5000000]
    """
    order = "<" if data[start : start + 2] == b"II" else ">"
    big = b"+" in data[start + 2 : start + 4]
    head, entry, pointer = (struct.Struct(order + form) for form in (("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")))
    waiting = [_read(pointer, data, start + (8 if big else 4))]
    seen: set[int] = set()
    while waiting:
        offset = waiting.pop()
        if not offset or offset in seen:
            continue
        seen.add(offset)
        claim, first = 0, start + offset + head.size
        count = min(_read(head, data, start + offset), MOST_TAGS)
        end = min(first + count * entry.size, len(data) - (len(data) - first) % entry.size)
        for tag, kind, values, value in entry.iter_unpack(data[first : max(first, end)]):
            claim += values * UNIT_BYTES.get(kind, 0)
            waiting += [value] if tag in POINTERS else []
        waiting.append(_read(pointer, data, first + count * entry.size))
        yield claim


def _read(form: struct.Struct, data: bytes, offset: int) -> int:
    """One number; 0 where the file ends before it."""
    return int(form.unpack_from(data, offset)[0]) if offset + form.size <= len(data) else 0


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


BAND = 256
"""Rows that are written at once."""
OPEN_FILES = 64
WHOLE = 42
"""How a fork ends that answered wholly. Not 0: a library that calls exit() in the middle must not look like it."""


def main() -> None:
    """Answer on standard output what is asked on standard input, until that ends."""
    warnings.simplefilter("ignore")
    Image.init()  # here, so that no fork has to
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    _write(answers, {"ready": True})
    while line := questions.readline():
        question = json.loads(line)
        data = questions.read(question["bytes"])
        child = os.fork()
        if not child:
            _answer_and_end(question, data, answers)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _write(answers, {"ended": 0 if ended == WHOLE else ended or 1})
        if ended != WHOLE:
            return


def answer(question: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Image.Image | None]:
    """What is asked, and the picture where it was to be decoded. Refusals are answers too."""
    source, name = Path(question["path"]) if question["path"] else data, question["name"]
    limits = Limits(pages=question["pages"], pixels=question["pixels"])
    try:
        if number := question["number"]:
            image = decode(source, name, limits, number)
            return {"width": image.width, "height": image.height}, image
        kind, pages, notices = look_at(source, name, limits)
    except FileRefused as refusal:
        return {"refused": [str(refusal), refusal.hint]}, None
    except MemoryError:
        return {"memory": True}, None
    return {"kind": kind, "pages": pages, "notices": notices}, None


def _answer_and_end(question: Mapping[str, Any], data: bytes, answers: BinaryIO) -> None:
    """In the fork, which returns to nobody."""
    try:
        _bound(question)
        fields, image = answer(question, data)
        _write(answers, fields)
        for top in range(0, image.height if image else 0, BAND):
            assert image
            answers.write(image.crop((0, top, image.width, min(top + BAND, image.height))).tobytes())
        answers.flush()
        os._exit(WHOLE)
    except BaseException as error:  # noqa: BLE001 -- nothing is above this frame but the other program
        os.write(answers.fileno(), json.dumps({"fault": _fault(error)}).encode() + b"\n")
    finally:
        os._exit(1)


def _fault(error: BaseException) -> str:
    """Its type and where it came from, for the log: neither names nor bytes of the file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}:{last.lineno}"


def _bound(question: Mapping[str, Any]) -> None:
    """Bounds of this process that no decoder can lift: wall clock, processor, memory, files."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(question["clock"])
    for bound, value in (
        (resource.RLIMIT_CPU, question["seconds"]),
        (resource.RLIMIT_AS, question["memory"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(bound)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # At its soft bound of time a process is told which; at its hard one it is killed like one that eats memory.
        grace = 1 if bound == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        try:
            resource.setrlimit(bound, (value, value + grace))
        except (OSError, ValueError):  # a platform without it; the wall clock still holds
            continue


def _write(answers: BinaryIO, fields: Mapping[str, Any]) -> None:
    answers.write(json.dumps(fields).encode() + b"\n")
    answers.flush()
