"""Poppler's programs inside bounds of time and memory, with an environment that holds no secrets.

pdf2image starts what it finds in `poppler_path` and hands it our whole environment. So it gets a folder of small shell
scripts that set the bounds of their own process and then become the program: nothing of ours runs between fork and
exec, and the bounds hold even if we are killed.

What pdfinfo says of a PDF: how many pages, and each one's size and turn.

Words of a PDF page with their boxes, from its text layer, in poppler's reading order.

Pages of a PDF, drawn one at a time by poppler through pdf2image. Nothing of the file is run or followed.

Poppler answers a page that it cannot draw with a picture of one pixel and success; so the size is planned from the
page's box before, and compared after.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Container, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import numpy as np
from pdf2image import convert_from_path
from pdf2image.exceptions import PDFInfoNotInstalledError, PDFPageCountError, PDFPopplerTimeoutError
from PIL import Image

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused, StorageFull
from smart_demo.ingest.files import Upload
from smart_demo.types import Box, Page, PageId, Pixels, Word

MEMORY = 1_500_000_000
"""Bytes of address space. Hostile pages measured: 41 MB by splash; cairo, which is not used, took 3.5 GB."""
OUTPUT = 16 * 2**20
"""Bytes that one program may write into a file: the words of one page, what is wrong with a document."""
FACTS = "facts"
"""The name under which pdfinfo lies in the folder."""
PROGRAMS = {FACTS: ("pdfinfo", ""), "pdftoppm": ("pdftoppm", "-q"), "pdftotext": ("pdftotext", "-q")}
"""By their names in the folder: programs, and options that keep a broken file from flooding standard error.

pdfinfo has no such option and is read for its reason: three megabytes of junk made it write a gigabyte. So it writes
into files, and never for pdf2image, which would read all of it.
"""
ENOUGH = """#!/bin/sh
echo "Pages: 2147483647"
"""
"""What pdf2image finds as pdfinfo, which it asks for the number of pages before each page: they are counted already."""

# Bounds that a platform lacks or already sets lower are left as they are; the wall clock of the caller still holds.
SCRIPT = """#!/bin/sh
ulimit -c 0 2>/dev/null
ulimit -t {seconds} 2>/dev/null
ulimit -v {kilobytes} 2>/dev/null
ulimit -f {blocks} 2>/dev/null
exec env -i HOME="$HOME" LC_ALL=C.UTF-8 {program} {options} "$@"
"""

log = logging.getLogger(__name__)


@contextmanager
def bounded_poppler(seconds: int) -> Iterator[str | None]:
    """A folder for pdf2image's `poppler_path`, there while the context lasts; None where scripts cannot be run.

    seconds: of processor time for one run. FileRefused where poppler is not installed, StorageFull where there is no
    room for the scripts.
    """
    programs = {name: path for name, (program, _) in PROGRAMS.items() if (path := shutil.which(program))}
    if len(programs) < len(PROGRAMS):
        raise FileRefused("PDF files need poppler, which is not installed here.", "Install poppler-utils.")
    with _folder_of_scripts(programs, seconds) as folder:
        if _runs_scripts(folder):
            yield folder
        else:
            log.warning("temporary files cannot be executed here: poppler runs without bounds of memory")
            yield None


def _folder_of_scripts(programs: dict[str, str], seconds: int) -> tempfile.TemporaryDirectory[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="smart-poppler-")
        for name, program in programs.items():
            _write_script(Path(folder.name, name), _bounds(program, PROGRAMS[name][1], seconds))
        _write_script(Path(folder.name, "pdfinfo"), ENOUGH)
    except OSError:
        raise StorageFull("Nothing can be written into the temporary folder.", "Free some space there.") from None
    return folder


def _bounds(program: str, options: str, seconds: int) -> str:
    """The script that bounds itself and becomes `program`."""
    quoted = "'" + program.replace("'", "'\\''") + "'"
    # A second more than the caller's clock: that one is told apart from a crash, this one is the safety net.
    return SCRIPT.format(
        program=quoted, options=options, seconds=seconds + 1, kilobytes=MEMORY // 1_024, blocks=OUTPUT // 512
    )


def _write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)


def _runs_scripts(folder: str) -> bool:
    return os.name == "posix" and not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)


REASON = 65_536
"""Bytes in which it says what is wrong, before it repeats itself."""


def read_facts(
    path: Path, name: str, limits: Limits, folder: str | None, pages: tuple[int, int] | None = None
) -> dict[str, str]:
    """Facts by their names, such as `Pages`; with `pages` (first and last) also `Page    1 size` and `Page    1 rot`.

    folder: where bounded poppler lies. FileRefused where the file is locked, damaged, or takes too long to open.
    """
    command = [str(Path(folder, FACTS)) if folder else "pdfinfo"]
    command += ["-f", str(pages[0]), "-l", str(pages[1])] if pages else []
    try:
        # Not pipes: what is written into a file is bounded, and what is wrong with a document may be a gigabyte.
        with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as reasons:
            subprocess.run([*command, str(path)], stdout=told, stderr=reasons, timeout=limits.seconds, check=False)
            facts, reason = _start(told, OUTPUT), _start(reasons, REASON)
    except subprocess.TimeoutExpired:
        raise FileRefused(f"{name} took more than {limits.seconds} seconds to open.", "Export it again.") from None
    except OSError:
        raise FileRefused("PDF files need poppler, which does not run here.", "Install poppler-utils.") from None
    if "\nPages:" in f"\n{facts}":
        return parse_facts(facts)
    if "Incorrect password" in reason:
        raise FileRefused(f"{name} is password-protected.", "Save a copy without a password.")
    raise FileRefused(f"{name} is damaged and cannot be read.", "Download or export it again.")


def parse_facts(told: str) -> dict[str, str]:
    r"""By name. Where a name comes twice the later one holds: a title may hold line breaks, and is told first.

    >>> parse_facts("Title: a\nPages: 9\nPages:   2\nPage    1 size:  200 x 300 pts\n")
    {'Title': 'a', 'Pages': '2', 'Page    1 size': '200 x 300 pts'}
    """
    lines = (line.partition(":") for line in told.splitlines())
    return {name: fact.strip() for name, colon, fact in lines if colon}


def _start(file: IO[bytes], size: int) -> str:
    file.seek(0)
    return file.read(size).decode("utf-8", "replace")


NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML forbids and poppler copies from the file all the same."""
JOINERS = "\u200c\u200d"
"""Format characters that are part of how Persian, Indic and emoji words are written."""


def read_words(
    path: Path, number: int, size: tuple[float, float], seconds: int, folder: str | None
) -> tuple[Word, ...]:
    """Words of page `number` in reading order; empty where the page has none or they cannot be read.

    size: (width, height) in points of the page as it is shown, rotation applied. folder: where bounded poppler lies.
    A broken text layer never costs the page: its picture is still there.
    """
    program = str(Path(folder, "pdftotext")) if folder else "pdftotext"
    page = str(number)
    command = [program, "-cropbox", "-bbox", "-enc", "UTF-8", "-f", page, "-l", page, str(path), "-"]
    try:
        with tempfile.TemporaryFile() as output:  # not a pipe: what is written into a file is bounded
            subprocess.run(command, stdout=output, stderr=subprocess.DEVNULL, timeout=seconds, check=True)
            output.seek(0)
            return parse_words(output.read(OUTPUT).decode("utf-8", "replace"), size)
    except (subprocess.SubprocessError, OSError):
        return ()


def parse_words(xhtml: str, size: tuple[float, float]) -> tuple[Word, ...]:
    """Words of the one page in what `pdftotext -bbox` wrote. Boxes relative, clipped to the page.

    >>> parse_words('<page><word xMin="10" yMin="0" xMax="30" yMax="5">a&amp;b</word></page>', (40, 50))
    (Word(text='a&b', box=Box(left=0.25, top=0.0, right=0.75, bottom=0.1)),)
    """
    # From the page element on there is no DOCTYPE, so that no entity can be declared whatever the file holds.
    start, end = xhtml.rfind("<page "), xhtml.rfind("</page>")
    start = start if start >= 0 else xhtml.rfind("<page>")
    if not 0 <= start < end:
        return ()
    try:
        page = ElementTree.fromstring(NO_XML.sub("", xhtml[start : end + len("</page>")]))
        found = [_word(element, size) for element in page.iter("word")]
    except (ElementTree.ParseError, KeyError, ValueError):
        return ()
    return tuple(word for word in found if word is not None)


def _word(element: ElementTree.Element, size: tuple[float, float]) -> Word | None:
    """None for a word without letters, or one that lies off the page."""
    text = "".join(filter(_readable, element.text or "")).strip()
    left, right = (_clip(float(element.attrib[key]) / size[0]) for key in ("xMin", "xMax"))
    top, bottom = (_clip(float(element.attrib[key]) / size[1]) for key in ("yMin", "yMax"))
    if not (text and left < right and top < bottom):  # so that NaN, which compares to nothing, is off the page too
        return None
    return Word(text, Box(left, top, right, bottom))


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _readable(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


DPI = 150
LONG_SIDE = 2_200
"""Pixels: 150 dpi up to A3 landscape, coarser beyond. More than any encoder's budget takes in."""
LONGEST_POINTS = 14_400
"""The format's own limit on the side of a page."""
SMALLEST_POINTS = 9
"""Of the long side: an eighth of an inch. Below, a page is a few pixels that nobody could read."""
NARROWEST = 20
"""Long side over short side from which a page is a strip that nobody could read."""
END_WINDOW = 4_096
"""Bytes before the end in which a whole file says %%EOF, with room for what mail gateways append."""
SIZE_LINE = re.compile(r"([0-9.e+-]+) x ([0-9.e+-]+) pts")


def count_pages(path: Path, name: str, limits: Limits) -> int:
    """Pages of a PDF, 1 to limits.pages. FileRefused where it is damaged, locked or longer."""
    if not _ends_whole(path):
        raise FileRefused(f"{name} is damaged: its end is missing.", "Download or export it again.")
    with bounded_poppler(limits.seconds) as folder:
        pages = int(read_facts(path, name, limits, folder).get("Pages", "0"))
    if pages < 1:
        raise FileRefused(f"{name} is damaged: it has no pages.", "Export it again.")
    if pages > limits.pages:
        raise FileRefused(f"{name} has {pages:,} pages; the limit is {limits.pages:,}.", "Split it into parts.")
    return pages


def render_pdf(upload: Upload, limits: Limits, skip: Container[int]) -> Generator[Page | PageRefused]:
    """The pages of `upload` that are not in `skip`, in order; a page that cannot be drawn is a PageRefused."""
    wanted = [number for number in range(1, upload.pages + 1) if number not in skip]
    if not wanted:
        return
    with bounded_poppler(limits.seconds) as folder:
        facts = read_facts(upload.path, upload.name, limits, folder, pages=(wanted[0], wanted[-1]))
        for number in wanted:
            try:
                yield _page(upload, number, limits, folder, _shown_size(upload, number, facts))
            except PageRefused as refusal:
                yield refusal


def plan_size(points: tuple[float, float], limits: Limits) -> tuple[int, int]:
    """(width, height) in pixels at which a page of that size in points is drawn: 150 dpi inside all bounds.

    >>> plan_size((595.276, 841.89), Limits())
    (1240, 1754)
    """
    width, height = points
    largest = math.sqrt(limits.rendered_pixels / (width * height))
    scale = min(DPI / 72, LONG_SIDE / max(points), largest)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _page(upload: Upload, number: int, limits: Limits, folder: str | None, points: tuple[float, float]) -> Page:
    pixels = _draw(upload, number, limits, folder, plan_size(points, limits))
    words = read_words(upload.path, number, points, limits.seconds, folder)
    return Page(PageId(upload.file, number), upload.name, upload.pages, pixels, words)


def _draw(upload: Upload, number: int, limits: Limits, folder: str | None, plan: tuple[int, int]) -> Pixels:
    """(height, width, 3) within 2 pixels of the plan. PageRefused for anything else that poppler does."""
    which = f"Page {number} of {upload.name}"
    try:
        # One number is the long side, whichever way the page is turned; two are taken before the rotation.
        images = convert_from_path(
            str(upload.path),
            first_page=number,
            last_page=number,
            size=max(plan),
            use_cropbox=True,
            poppler_path=folder,
            timeout=limits.seconds,
        )
        pixels = np.array(images[0].convert("RGB")) if images else np.zeros((1, 1, 3), np.uint8)
    except PDFPopplerTimeoutError:
        raise PageRefused(f"{which} took more than {limits.seconds} seconds to draw.", "Export it simpler.") from None
    except (PDFPageCountError, PDFInfoNotInstalledError, OSError, ValueError, IndexError, Image.DecompressionBombError):
        raise PageRefused(f"{which} cannot be drawn.", "Export it again.") from None
    height, width, _ = pixels.shape
    if abs(width - plan[0]) > 2 or abs(height - plan[1]) > 2:
        raise PageRefused(f"{which} cannot be drawn.", "Export it again.")
    return pixels


def _shown_size(upload: Upload, number: int, facts: Mapping[str, str]) -> tuple[float, float]:
    """(width, height) in points of a page as shown: its crop box, turned. PageRefused for boxes out of reason."""
    which = f"Page {number} of {upload.name}"
    match = SIZE_LINE.match(facts.get(f"Page {number:4d} size", ""))
    if not match:
        raise PageRefused(f"{which} is damaged.", "Export it again.")
    width, height = (float(side) for side in match.groups())
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise PageRefused(f"{which} has no size.", "Export it again.")
    if max(width, height) > LONGEST_POINTS:
        raise PageRefused(f"{which} is too large: {width:,.0f} × {height:,.0f} points.", "Export it smaller.")
    if max(width, height) < SMALLEST_POINTS:
        raise PageRefused(f"{which} is too small: {width:.3g} × {height:.3g} points.", "Export it larger.")
    if max(width, height) > NARROWEST * min(width, height):
        raise PageRefused(f"{which} is a strip of {width:,.0f} × {height:,.0f} points.", "Cut it into pages.")
    turned = facts.get(f"Page {number:4d} rot", "0") in {"90", "270"}
    return (height, width) if turned else (width, height)


def _ends_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - END_WINDOW))
            return b"%%EOF" in file.read(END_WINDOW)
    except OSError:  # it was there a moment ago
        return False
