"""Pages and words of a PDF, through poppler's programs and pdf2image. Nothing of the file is run or followed.

Poppler runs with limits of time, memory and output, and with an environment that holds no secrets. pdf2image starts the
programs that it finds in `poppler_path` and passes on the app's whole environment. So it gets a folder of small shell
scripts, which set the limits of their own process and then exec the program: none of our code runs between fork and
exec, and the limits hold even if the app is killed.

For a page that it cannot draw, poppler returns an image of one pixel and success. So the size is planned from the
page's box before drawing, and compared afterwards.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from pdf2image import convert_from_path
from pdf2image.exceptions import PDFInfoNotInstalledError, PDFPageCountError, PDFPopplerTimeoutError
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused, StorageFull
from smart_demo.ingest.files import PdfMarks, Upload, clean_name
from smart_demo.ingest.pdf_words import read_words
from smart_demo.types import Page, PageId, Pixels
from smart_demo.wording import count

DPI = 150
MAX_LONG_SIDE = 2_200
"""Pixels: 150 dpi up to A3 landscape, coarser beyond unless the page is narrow. More than an encoder's budget uses."""
NARROW_SIDE = 1_000
"""Pixels of the short side up to which a narrow page, such as a receipt, is drawn at 150 dpi whatever its length."""
MIN_LONG_SIDE = 1_240
"""Pixels: smaller pages are drawn as large as A5 at 150 dpi, since small pages have small print."""
TINY_POINTS, TINY_LONG_SIDE = 144, 1_754
"""Points of the long side below which a page is drawn as large as A4 at 150 dpi.

Such a page usually has a UserUnit, which poppler ignores: its points are larger than a 72nd of an inch.
"""
MAX_SIDE_POINTS = 14_400
"""The format's own limit on the side of a page."""
MIN_LONG_SIDE_POINTS = 9
"""An eighth of an inch: a smaller page is a few unreadable pixels."""
MAX_ASPECT_RATIO = 40
"""Long side over short side: a narrower page is an unreadable strip. A receipt of 80 mm may be 3 m long."""
MAX_NAMED_ATTACHMENTS = 3
MAX_RAW_NAME = 1_000
"""Characters of an attachment's name that are cleaned: a file may name it with megabytes."""
ATTACHMENT_COUNT = re.compile(r"(\d{1,9}) embedded files")
ATTACHMENT_PATTERN = re.compile(rf"^\d{{1,9}}: (.{{0,{MAX_RAW_NAME}}})", re.MULTILINE)
SIZE_PATTERN = re.compile(r"([0-9.e+-]+) x ([0-9.e+-]+) pts")

MAX_MEMORY_BYTES = 1_500_000_000
"""Address space of one program. Hostile pages measured: 41 MB by splash; cairo, which is not used, took 3.5 GB."""
MAX_OUTPUT_BYTES = 16 * 2**20
"""Limit on each file that one program writes: the words of one page, or the error messages of a document."""
MAX_ERROR_BYTES = 65_536
"""Part of pdfinfo's error messages that is read; after that they repeat."""
LIMITED_PDFINFO = "limited-pdfinfo"
"""Name of the script that runs the real pdfinfo."""
PROGRAMS = {
    LIMITED_PDFINFO: ("pdfinfo", ""),
    "pdftoppm": ("pdftoppm", "-q"),
    "pdftotext": ("pdftotext", "-q"),
    "pdfdetach": ("pdfdetach", ""),
}
"""Program and options by script name. The options keep a broken file from flooding standard error.

pdfinfo has no such option, and its error messages are needed: three megabytes of junk made it write a gigabyte. So it
writes into files, and pdf2image, which would read all of it, never runs it.
"""
PDFINFO_STUB = """#!/bin/sh
echo "Pages: 2147483647"
"""
"""The pdfinfo that pdf2image finds. It asks for the page count before each page; the pages are already counted."""

# Limits that the platform lacks or already sets lower stay as they are; the caller's wall clock still applies.
LIMIT_SCRIPT = """#!/bin/sh
ulimit -c 0 2>/dev/null
ulimit -t {seconds} 2>/dev/null
ulimit -v {kilobytes} 2>/dev/null
ulimit -f {blocks} 2>/dev/null
exec env -i HOME="$HOME" LC_ALL=C.UTF-8 {program} {options} "$@"
"""

log = logging.getLogger(__name__)


class PdfUnreadable(FileRefused):
    """Poppler cannot open the file: it is damaged, or no PDF."""


def inspect_pdf(path: Path, name: str, marks: PdfMarks, limits: Limits) -> tuple[int, tuple[str, ...]]:
    """Return (page count, notices) of a PDF. Raises FileRefused if it is damaged, locked, or over the page limit.

    marks: what its bytes say. Poppler alone decides whether it can be read.
    """
    with limited_poppler(limits.seconds) as folder:
        info = read_pdfinfo(path, name, limits, folder)
        pages = int(info.get("Pages", "0"))
        if pages < 1:
            raise FileRefused(f"{name} is damaged: it has no pages.", "Export it again.")
        if pages > limits.pages:
            raise FileRefused(f"{name} has {pages:,} pages; the limit is {limits.pages:,}.", "Split it into parts.")
        attached = list_attachments(path, limits.seconds, folder)
    notices = [*_describe_bytes(name, marks, pages), *_describe_attachments(name, *attached)]
    if info.get("Form") == "XFA":
        notices.append(f"{name} may not be complete: it is an XFA form. Print it to PDF and add that too.")
    return pages, tuple(notices)


def _describe_bytes(name: str, marks: PdfMarks, pages: int) -> Iterator[str]:
    """Yield what is odd about the bytes of a PDF that poppler can open."""
    places = ["before its start"] * marks.odd_start + ["after its end"] * marks.odd_end
    if places:
        yield f"{name} has odd bytes {' and '.join(places)}; they were skipped."
    if marks.joined:
        # Usually the last; of PDFs of equal layout the first, since the last one's table of objects fits it too.
        yield f"{name} holds several PDFs; only one of them was read. Split it."
    if not marks.complete:
        yield f"{name} is cut off at its end; {count(pages, 'page')} could be found. Check that none is missing."


def _describe_attachments(name: str, total: int, first: Sequence[str]) -> Iterator[str]:
    """Yield that attached files were not read, with the names of the first, and how to add them."""
    if not total:
        return
    names = ", ".join(first) + (", …" if total > len(first) else "")
    were, them = ("was", "it") if total == 1 else ("were", "them")
    files = count(total, "attached file")
    yield f"{files} of {name} {were} not read: {names}. Save {them} with a PDF reader and add {them} too."


def list_attachments(path: Path, seconds: int, folder: str | None) -> tuple[int, list[str]]:
    """Return the number of files attached to a PDF, and the names of the first, cleaned.

    folder: from `limited_poppler`. A portfolio is a cover sheet with its documents attached. The number is 0 if they
    cannot be listed. A list that is cut off, as the names of a hostile file are, still says it in its first line.
    """
    command = [str(Path(folder, "pdfdetach")) if folder else "pdfdetach", "-list", "-enc", "UTF-8", str(path)]
    with suppress(subprocess.SubprocessError, OSError), tempfile.TemporaryFile() as output:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdout=output, stderr=subprocess.DEVNULL, timeout=seconds, check=False)
        listed = _read_start(output, MAX_OUTPUT_BYTES)
        total = ATTACHMENT_COUNT.match(listed)
        first = itertools.islice(ATTACHMENT_PATTERN.finditer(listed), MAX_NAMED_ATTACHMENTS)
        return int(total[1]) if total else 0, [clean_name(match[1]) for match in first]
    return 0, []


def render_pdf(upload: Upload, limits: Limits, skip: Container[int]) -> Generator[Page | PageRefused]:
    """Yield the pages of `upload` that are not in `skip`, in order; yield a PageRefused for a page that fails."""
    numbers = [number for number in range(1, upload.pages + 1) if number not in skip]
    if not numbers:
        return
    with limited_poppler(limits.seconds) as folder:
        info = read_pdfinfo(upload.path, upload.name, limits, folder, pages=(numbers[0], numbers[-1]))
        for number in numbers:
            try:
                yield _render_page(upload, number, limits, folder, _page_size(upload, number, info))
            except PageRefused as refusal:
                yield refusal


def _render_page(upload: Upload, number: int, limits: Limits, folder: str | None, points: tuple[float, float]) -> Page:
    pixels = _draw(upload, number, limits, folder, plan_size(points, limits))
    words = read_words(upload.path, number, points, limits.seconds, folder, MAX_OUTPUT_BYTES)
    return Page(PageId(upload.file, number), upload.name, upload.pages, pixels, words)


def plan_size(points: tuple[float, float], limits: Limits) -> tuple[int, int]:
    """Return (width, height) in pixels for a page of that size in points: 150 dpi, or less to stay within all limits.

    Small pages get more than 150 dpi. Narrow pages may be longer than others, so that their lines stay readable.

    >>> plan_size((595.276, 841.89), Limits()), plan_size((226, 4_904), Limits()), plan_size((59.5, 84.2), Limits())
    ((1240, 1754), (471, 10217), (1239, 1754))
    """
    long, short = max(points), min(points)
    smallest = (TINY_LONG_SIDE if long < TINY_POINTS else MIN_LONG_SIDE) / long
    largest = max(MAX_LONG_SIDE / long, NARROW_SIDE / short)
    scale = min(max(DPI / 72, smallest), largest, math.sqrt(limits.rendered_pixels / (long * short)))
    return max(1, round(points[0] * scale)), max(1, round(points[1] * scale))


def _draw(upload: Upload, number: int, limits: Limits, folder: str | None, planned: tuple[int, int]) -> Pixels:
    """Return the page's pixels, (height, width, 3), within 2 pixels of the planned size.

    Raises PageRefused if poppler fails or draws another size.
    """
    page = f"Page {number} of {upload.name}"
    try:
        # A single number is the long side of the rotated page; a pair would apply before the rotation.
        images = convert_from_path(
            str(upload.path),
            first_page=number,
            last_page=number,
            size=max(planned),
            use_cropbox=True,
            poppler_path=folder,
            timeout=limits.seconds,
        )
        pixels = np.array(images[0].convert("RGB")) if images else np.zeros((1, 1, 3), np.uint8)
    except PDFPopplerTimeoutError:
        raise PageRefused(f"{page} took more than {limits.seconds} seconds to draw.", "Export it simpler.") from None
    except (PDFPageCountError, PDFInfoNotInstalledError, OSError, ValueError, IndexError, Image.DecompressionBombError):
        raise PageRefused(f"{page} cannot be drawn.", "Export it again.") from None
    height, width, _ = pixels.shape
    if abs(width - planned[0]) > 2 or abs(height - planned[1]) > 2:
        raise PageRefused(f"{page} cannot be drawn.", "Export it again.")
    return pixels


def _page_size(upload: Upload, number: int, info: Mapping[str, str]) -> tuple[float, float]:
    """Return (width, height) of a page's crop box in points, rotation applied.

    Raises PageRefused if the box is missing or out of range.
    """
    page = f"Page {number} of {upload.name}"
    match = SIZE_PATTERN.match(info.get(f"Page {number:4d} size", ""))
    if not match:
        raise PageRefused(f"{page} is damaged.", "Export it again.")
    width, height = (float(side) for side in match.groups())
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise PageRefused(f"{page} has no size.", "Export it again.")
    if max(width, height) > MAX_SIDE_POINTS:
        raise PageRefused(f"{page} is too large: {width:,.0f} × {height:,.0f} points.", "Export it smaller.")
    if max(width, height) < MIN_LONG_SIDE_POINTS:
        raise PageRefused(f"{page} is too small: {width:.3g} × {height:.3g} points.", "Export it larger.")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise PageRefused(f"{page} is a strip of {width:,.0f} × {height:,.0f} points.", "Cut it into pages.")
    rotated = info.get(f"Page {number:4d} rot", "0") in {"90", "270"}
    return (height, width) if rotated else (width, height)


def read_pdfinfo(
    path: Path, name: str, limits: Limits, folder: str | None, pages: tuple[int, int] | None = None
) -> dict[str, str]:
    """Return pdfinfo's fields by name, such as `Pages`.

    With `pages` (first and last), also `Page    1 size` and `Page    1 rot`. folder: from `limited_poppler`. Raises
    PdfUnreadable if the file is damaged, FileRefused if it is locked or takes too long to open.
    """
    command = [str(Path(folder, LIMITED_PDFINFO)) if folder else "pdfinfo"]
    command += ["-f", str(pages[0]), "-l", str(pages[1])] if pages else []
    try:
        # Not pipes: written files are limited, and the errors of one document may fill a gigabyte.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            subprocess.run([*command, str(path)], stdout=output, stderr=errors, timeout=limits.seconds, check=False)
            info, error = _read_start(output, MAX_OUTPUT_BYTES), _read_start(errors, MAX_ERROR_BYTES)
    except subprocess.TimeoutExpired:
        raise FileRefused(f"{name} took more than {limits.seconds} seconds to open.", "Export it again.") from None
    except OSError:
        raise FileRefused("PDF files need poppler, which does not run here.", "Install poppler-utils.") from None
    if "\nPages:" in f"\n{info}":
        return parse_pdfinfo(info)
    if "Incorrect password" in error:
        raise FileRefused(f"{name} is password-protected.", "Save a copy without a password.")
    raise PdfUnreadable(f"{name} is damaged and cannot be read.", "Download or export it again.")


def parse_pdfinfo(output: str) -> dict[str, str]:
    r"""Return the fields by name. The last of two equal names wins: the title, printed first, may hold line breaks.

    >>> parse_pdfinfo("Title: a\nPages: 9\nPages:   2\nPage    1 size:  200 x 300 pts\n")
    {'Title': 'a', 'Pages': '2', 'Page    1 size': '200 x 300 pts'}
    """
    lines = (line.partition(":") for line in output.splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}


def _read_start(file: IO[bytes], size: int) -> str:
    file.seek(0)
    return file.read(size).decode("utf-8", "replace")


@contextmanager
def limited_poppler(seconds: int) -> Iterator[str | None]:
    """Yield a temporary folder for pdf2image's `poppler_path`, or None if scripts cannot run there.

    seconds: CPU time of one run. Raises FileRefused if poppler is not installed, StorageFull if there is no space for
    the scripts.
    """
    programs = {name: path for name, (program, _) in PROGRAMS.items() if (path := shutil.which(program))}
    if len(programs) < len(PROGRAMS):
        raise FileRefused("PDF files need poppler, which is not installed here.", "Install poppler-utils.")
    with _write_scripts(programs, seconds) as folder:
        if _can_run_scripts(folder):
            yield folder
        else:
            log.warning("temporary files cannot be executed here: poppler runs without memory limits")
            yield None


def _write_scripts(programs: dict[str, str], seconds: int) -> tempfile.TemporaryDirectory[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="smart-poppler-")
        for name, program in programs.items():
            _write_script(Path(folder.name, name), _limit_script(program, PROGRAMS[name][1], seconds))
        _write_script(Path(folder.name, "pdfinfo"), PDFINFO_STUB)
    except OSError:
        raise StorageFull("Nothing can be written into the temporary folder.", "Free some space there.") from None
    return folder


def _limit_script(program: str, options: str, seconds: int) -> str:
    """Return the script that limits its own process and execs `program`."""
    quoted = "'" + program.replace("'", "'\\''") + "'"
    # One second more than the caller's timeout, which reports "too slow"; this limit is only the safety net.
    return LIMIT_SCRIPT.format(
        program=quoted,
        options=options,
        seconds=seconds + 1,
        kilobytes=MAX_MEMORY_BYTES // 1_024,
        blocks=MAX_OUTPUT_BYTES // 512,
    )


def _write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)


def _can_run_scripts(folder: str) -> bool:
    return os.name == "posix" and not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)
