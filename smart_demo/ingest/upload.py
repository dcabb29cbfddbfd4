"""What is known of an uploaded file before any of its pages is drawn: its name, its content hash, its kind."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from smart_demo.config import Limits
from smart_demo.errors import FileRefused

LONGEST_NAME = 120
LONGEST_SUFFIX = 12
HEAD = 1_024
"""Bytes in which a PDF may say that it is one (the format's own rule)."""


@dataclass(frozen=True)
class Upload:
    """A file that was looked at and may be rendered."""

    path: Path
    """Where it lies; absolute."""
    name: str
    """For people: base name with its extension, cleaned, 1 to 120 characters. Data, never markup."""
    file: str
    """First 16 hex digits of the sha256 of its bytes, as in PageId."""
    kind: str
    """`pdf`, or Pillow's name of the picture format."""
    pages: int
    """1 or more, within the limit."""
    notices: tuple[str, ...] = ()
    """Sentences for the person, such as that only the first frame is taken."""


def clean_name(name: str) -> str:
    r"""The base name of `name`, fit to be shown: NFKC, one line, nothing invisible, at most 120 characters.

    What remains is data: `<img>` stays as it is written and is escaped where HTML is made.

    >>> clean_name("../../etc/passwd"), clean_name("C:\\scans\\a\u202efdp.exe.pdf")
    ('passwd', 'afdp.exe.pdf')
    """
    # Normalise first: NFKC turns look-alikes such as a full-width solidus into the real separators.
    parts = unicodedata.normalize("NFKC", name).replace("\\", "/").split("/")
    cleaned = [" ".join("".join(filter(_visible, part)).split()) for part in parts]
    base = next((part for part in reversed(cleaned) if part.strip(". ")), "document")
    if len(base) <= LONGEST_NAME:
        return base
    suffix = PurePosixPath(base).suffix
    suffix = suffix if len(suffix) <= LONGEST_SUFFIX else ""
    return base[: LONGEST_NAME - len(suffix) - 1].rstrip() + "…" + suffix


def _visible(character: str) -> bool:
    """False for control and format characters and lone surrogates; white space counts as visible."""
    return character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


def identify(path: Path, name: str, limits: Limits) -> tuple[str, bytes]:
    """(16 hex digits of the content's sha256, first bytes) of a regular, non-empty file within the limit of bytes.

    FileRefused for everything else: missing, unreadable, a folder, link or device, empty, too large.
    """
    try:
        # Non-blocking, or a named pipe would be waited on for ever.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(path, "rb", opener=lambda opened, _: os.open(opened, flags)) as file:
            return _read(file, name, limits)
    except FileNotFoundError:
        raise FileRefused(f"{name} is not there.", "Check the path.") from None
    except IsADirectoryError:
        raise FileRefused(f"{name} is a folder, not a file.", "Name a PDF or a picture.") from None
    except PermissionError:
        raise FileRefused(f"{name} may not be read.", "Check the file's permissions.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise FileRefused(f"{name} is a link, not a file.", "Name the file it points to.") from None
        raise FileRefused(f"{name} cannot be read.", "Check the path and the disk.") from None


def _read(file: BinaryIO, name: str, limits: Limits) -> tuple[str, bytes]:
    facts = os.fstat(file.fileno())
    if not stat.S_ISREG(facts.st_mode):
        raise FileRefused(f"{name} is not a file.", "Name a PDF or a picture.")
    if facts.st_size == 0:
        raise FileRefused(f"{name} is empty.", "Save or download it again.")
    if facts.st_size > limits.file_bytes:
        size, limit = facts.st_size / 2**20, limits.file_bytes / 2**20
        raise FileRefused(f"{name} has {size:,.1f} MB; the limit is {limit:,.0f} MB.", "Split or compress it.")
    head = file.read(HEAD)
    digest = hashlib.sha256(head)
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()[:16], head
