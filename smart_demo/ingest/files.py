"""Files before any page is drawn: kind by content, display name, content hash, and the documents of a folder.

Names and suffixes decide nothing about a file that is named: people and attackers rename files.
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
from smart_demo.wording import limit_in_words, size_in_words

PDF = "pdf"
IMAGE = "image"
SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp"})
"""Suffixes of documents, used only to list a folder."""
IMAGE_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0\x08\0\0\0",  # BigTIFF, meant for files over 4 GB, but small files use it too
    b"MM\0+\0\x08\0\0",
)
HEAD_BYTES = 1_024
"""A PDF's header must begin within this many bytes (the format's own rule)."""
MAX_NAME_LENGTH = 120
MAX_SUFFIX_LENGTH = 12


@dataclass(frozen=True)
class Upload:
    """A file that was inspected and may be rendered."""

    path: Path
    """Absolute path."""
    name: str
    """Display name: base name with its suffix, cleaned, 1 to 120 characters. Data, never markup."""
    file: str
    """First 16 hex digits of the content's SHA-256, as in PageId."""
    kind: str
    """`pdf`, or Pillow's name of the image format."""
    pages: int
    """Page count, at least 1 and within the limit."""
    notices: tuple[str, ...] = ()
    """Sentences for the visitor, for example that only the first frame is used."""


def detect_kind(head: bytes) -> str:
    """Return `pdf`, `image` or an empty string, from the first 1,024 bytes of a file.

    >>> detect_kind(b"junk before %PDF-1.7"), detect_kind(b"GIF89a...."), detect_kind(b"<svg>")
    ('pdf', 'image', '')
    """
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    # Many texts begin with these two letters; the four reserved bytes of a bitmap's header are zero.
    bitmap = head[:2] == b"BM" and head[6:10] == b"\0\0\0\0"
    if head.startswith(IMAGE_SIGNATURES) or webp or bitmap:
        return IMAGE
    return PDF if b"%PDF-" in head else ""


def clean_name(name: str) -> str:
    r"""Return the base name of `name`, safe to display: NFKC, one line, nothing invisible, at most 120 characters.

    The result is data: `<img>` is kept as written and is escaped when HTML is made.

    >>> clean_name("../../etc/passwd"), clean_name("C:\\scans\\a\u202efdp.exe.pdf")
    ('passwd', 'afdp.exe.pdf')
    """
    # Normalise first: NFKC turns look-alikes such as a full-width solidus into the real separators.
    parts = unicodedata.normalize("NFKC", name).replace("\\", "/").split("/")
    cleaned = [" ".join("".join(filter(_is_visible, part)).split()) for part in parts]
    base = next((part for part in reversed(cleaned) if part.strip(". ")), "document")
    if len(base) <= MAX_NAME_LENGTH:
        return base
    suffix = PurePosixPath(base).suffix
    suffix = suffix if len(suffix) <= MAX_SUFFIX_LENGTH else ""
    return base[: MAX_NAME_LENGTH - len(suffix) - 1].rstrip() + "…" + suffix


def _is_visible(character: str) -> bool:
    """Return False for control and format characters and lone surrogates; white space counts as visible."""
    return character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


def hash_file(path: Path, name: str, limits: Limits) -> tuple[str, bytes]:
    """Return (first 16 hex digits of the content's SHA-256, first 1,024 bytes) of a file.

    Raises FileRefused if the file is missing, unreadable, a folder, link or device, empty, or over the size limit.
    """
    try:
        # Non-blocking: opening a named pipe would otherwise wait for ever.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(path, "rb", opener=lambda opened, _: os.open(opened, flags)) as file:
            return _hash_open_file(file, name, limits)
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


def _hash_open_file(file: BinaryIO, name: str, limits: Limits) -> tuple[str, bytes]:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(f"{name} is not a file.", "Name a PDF or a picture.")
    if status.st_size == 0:
        raise FileRefused(f"{name} is empty.", "Save or download it again.")
    if status.st_size > limits.file_bytes:
        size, limit = size_in_words(status.st_size), limit_in_words(limits.file_bytes)
        raise FileRefused(f"{name} has {size}; the limit is {limit}.", "Split or compress it.")
    head = file.read(HEAD_BYTES)
    digest = hashlib.sha256(head)
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()[:16], head


def find_files(paths: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return (files to inspect, notices): every named file, and each folder's documents sorted by path.

    A named file is always included, so that `inspect` can report what is wrong with it. A folder's file is included if
    its content or its suffix is a document's. Hidden entries, links and files of other types are skipped, with one
    notice per folder. A missing path is a notice. A file found twice is returned once, at its first position.
    """
    files: dict[Path, None] = {}
    notices: list[str] = []
    for given in paths:
        path = Path(os.path.abspath(given))
        if path.is_dir():
            found, notice = _find_documents(path)
            files |= dict.fromkeys(found)
            notices += [notice] if notice else []
        elif path.exists() or path.is_symlink():
            files[path] = None
        else:
            notices.append(f"{clean_name(str(given))} is not there.")
    return tuple(files), tuple(notices)


def _find_documents(folder: Path) -> tuple[list[Path], str]:
    """Return (documents below `folder`, notice of what was skipped or an empty string)."""
    found: list[Path] = []
    skipped: list[str] = []
    for path in _list_files(folder, skipped):
        if _is_document(path):
            found.append(path)
        else:
            skipped.append(path.name)
    if not skipped:
        return found, ""
    names = ", ".join(clean_name(name) for name in sorted(skipped)[:3]) + (", …" if len(skipped) > 3 else "")
    entries = "1 entry" if len(skipped) == 1 else f"{len(skipped):,} entries"
    return found, f"{clean_name(folder.name)}: skipped {entries} (hidden, linked or of another type): {names}."


def _list_files(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """Yield every file below `folder`, sorted by path; append hidden names and unreadable folders to `skipped`."""

    def skip_unreadable(error: OSError) -> None:
        skipped.append(Path(error.filename).name)

    for parent, folders, names in os.walk(folder, onerror=skip_unreadable):
        skipped += [name for name in [*folders, *names] if name.startswith(".")]
        skipped += [name for name in folders if not name.startswith(".") and Path(parent, name).is_symlink()]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _is_document(path: Path) -> bool:
    """Return True if the first bytes or the suffix are a document's.

    An empty or truncated PDF counts, so that `inspect` can refuse it with a reason. Links are not followed; pipes and
    devices are not opened.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            return bool(detect_kind(file.read(HEAD_BYTES))) or path.suffix.lower() in SUFFIXES
    except OSError:
        return False
