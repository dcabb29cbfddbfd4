"""Words of a PDF page with their boxes, from its text layer, in poppler's reading order."""

from __future__ import annotations

import re
import subprocess
import tempfile
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

from smart_demo.ingest.poppler import OUTPUT
from smart_demo.types import Box, Word

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
