"""What a file is, by its first bytes. Names and suffixes are not asked: people and attackers rename.

What is known of an uploaded file before any of its pages is drawn: its name, its content hash, its kind.

Which files a list of paths comes to: folders are walked, files taken as named.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from smart_demo.config import Limits
from smart_demo.errors import FileRefused

PDF = "pdf"
PICTURE = "picture"
SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp"})
"""What names may claim to be. Only a folder's listing asks."""
STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0\x08\0\0\0",  # TIFF over 4 GB of address, which small files use too
    b"MM\0+\0\x08\0\0",
)


def kind_of(head: bytes) -> str:
    """`pdf`, `picture` or nothing, from the first 1,024 bytes of a file.

    >>> kind_of(b"junk before %PDF-1.7"), kind_of(b"GIF89a...."), kind_of(b"<svg>")
    ('pdf', 'picture', '')
    """
    riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    # Two letters begin many texts; the four reserved bytes of a bitmap's header are zero.
    bitmap = head[:2] == b"BM" and head[6:10] == b"\0\0\0\0"
    if head.startswith(STARTS) or riff or bitmap:
        return PICTURE
    return PDF if b"%PDF-" in head else ""


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


def walk(paths: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """(files to try, notices): every file named, and from every folder, in sorted order, what looks or is named
    like a document.

    A file named outright is always kept, so that `inspect` can say what is wrong with it. In a folder hidden entries,
    links and files whose content is of another type are skipped, counted in one notice a folder. A path that is not
    there is a notice. A file reached twice is kept once, where it came first.
    """
    files: dict[Path, None] = {}
    notices: list[str] = []
    for given in paths:
        path = Path(os.path.abspath(given))
        if path.is_dir():
            found, notice = _documents(path)
            files |= dict.fromkeys(found)
            notices += [notice] if notice else []
        elif path.exists() or path.is_symlink():
            files[path] = None
        else:
            notices.append(f"{clean_name(str(given))} is not there.")
    return tuple(files), tuple(notices)


def _documents(folder: Path) -> tuple[list[Path], str]:
    found: list[Path] = []
    skipped: list[str] = []
    for path in _entries(folder, skipped):
        if _looks_like_a_document(path):
            found.append(path)
        else:
            skipped.append(path.name)
    if not skipped:
        return found, ""
    names = ", ".join(clean_name(name) for name in sorted(skipped)[:3]) + (", …" if len(skipped) > 3 else "")
    entries = "1 entry" if len(skipped) == 1 else f"{len(skipped):,} entries"
    return found, f"{clean_name(folder.name)}: skipped {entries} (hidden, linked or of another type): {names}."


def _entries(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """Every file below `folder`, sorted by path; hidden names and folders that may not be read go to `skipped`."""

    def unreadable(error: OSError) -> None:
        skipped.append(Path(error.filename).name)

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        skipped += [name for name in [*folders, *names] if name.startswith(".")]
        skipped += [name for name in folders if not name.startswith(".") and Path(parent, name).is_symlink()]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _looks_like_a_document(path: Path) -> bool:
    """By its first bytes, or by a name that claims it: an empty or torn PDF is for `inspect` to refuse in words.

    Links are not followed, pipes and devices not opened.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            return bool(kind_of(file.read(HEAD))) or path.suffix.lower() in SUFFIXES
    except OSError:
        return False
