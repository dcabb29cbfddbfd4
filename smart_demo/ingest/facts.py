"""What pdfinfo says of a PDF: how many pages, and each one's size and turn."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import IO

from smart_demo.config import Limits
from smart_demo.errors import FileRefused
from smart_demo.ingest.poppler import FACTS, OUTPUT

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
