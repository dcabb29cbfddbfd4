"""Files before any page is drawn: kind by content, display name, content hash, and the documents of a folder.

Names and suffixes decide nothing about a file that is named: people and attackers rename files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
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
PICTURE_KINDS = ("PNG", "JPEG", "WebP", "TIFF", "GIF", "BMP", "HEIC", "AVIF")
"""Kinds of pictures that are read, as the page names them."""
SUFFIXES = frozenset(
    {".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".heic", ".heif", ".avif"}
)
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
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
"""Brands of the container that HEIC, AVIF and MP4 share. The last two HEIC brands belong to AVIF too."""
HEAD_BYTES = 1_024
"""A PDF's header should begin within this many bytes, and its end within as many of the last (the format's rule)."""
ARCHIVE_SIGNATURES = (b"PK\3\4", b"\xd0\xcf\x11\xe0", b"7z\xbc\xaf", b"Rar!")
"""Containers of other files, also of office documents. A PDF far inside one is one of its parts, not the document."""
PDF_START, PDF_END, PDF_TABLE = b"%PDF-", b"%%EOF", b"startxref"
JOINT = re.compile(rb"%%EOF[\0\t\n\f\r \x1a]*%PDF-")
"""Where another PDF follows the end of one. Later versions of a PDF have no start; attached PDFs have other bytes."""
PADDING = b"\xef\xbb\xbf \t\r\n\f\0\x1a"
"""Bytes that programs write before the start or after the end of a good PDF."""
BLOCK_BYTES = 2**20
WHITE_SPACE = re.compile(r"\s+")
LINE_BREAK = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]")
"""Tab or line break; white space that holds one becomes a single space, other spaces of a name are kept."""
MAX_NAME_LENGTH = 255
"""Characters: file systems allow no longer name."""
MAX_RAW_LENGTH = 4_096
"""Characters of an uncleaned name that are looked at, half of them at each end. No path of a system is longer."""
MAX_SUFFIX_LENGTH = 12


@dataclass(frozen=True)
class Upload:
    """A file that was inspected and may be rendered."""

    path: Path
    """Absolute path."""
    name: str
    """Display name: base name with its suffix, cleaned, 1 to 255 characters. Data, never markup."""
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
    if head.startswith(IMAGE_SIGNATURES) or webp or bitmap or detect_container(head):
        return IMAGE
    return PDF if PDF_START in head else ""


def detect_container(head: bytes) -> str:
    r"""Return `HEIC` or `AVIF` if the first bytes of a file are of such a picture, else an empty string.

    >>> detect_container(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif"), detect_container(b"\0\0\0\x10ftypisom\0\0\0\0")
    ('AVIF', '')
    """
    if head[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(head[:4]), len(head))
    brands = {head[start : start + 4] for start in range(8, end, 4)}
    return "AVIF" if brands & AVIF_BRANDS else "HEIC" if brands & HEIC_BRANDS else ""


@dataclass(frozen=True, slots=True)
class PdfMarks:
    """Where the bytes of a file say that a PDF begins and ends."""

    found: bool
    """Whether it has a start or a table of objects, so that it may be a PDF."""
    odd_start: bool
    """Whether other bytes are before its start, or it has none."""
    odd_end: bool
    """Whether other bytes are after its end."""
    complete: bool
    """Whether it has an end."""
    joined: bool
    """Whether another whole PDF directly follows the end of one."""


def find_pdf_marks(path: Path, head: bytes) -> PdfMarks:
    """Read a file for a PDF's first start and last end; `head` is its first 1,024 bytes.

    A reader rebuilds a document whose marks are odd, so they decide nothing about what can be read. A file that cannot
    be read has no marks.
    """
    start, end, table, joint, size = -1, -1, -1, -1, 0
    archive, overlap = head.startswith(ARCHIVE_SIGNATURES), b""
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                offset, block = size - len(overlap), overlap + block
                size = offset + len(block)
                start = start if start >= 0 else _shift(block.find(PDF_START), offset)
                end = max(end, _shift(block.rfind(PDF_END), offset))
                table = max(table, _shift(block.rfind(PDF_TABLE), offset))
                if joint < 0 and (found := JOINT.search(block)):
                    joint = found.end() + offset
                overlap = block[-HEAD_BYTES:]
            file.seek(max(size - HEAD_BYTES, end + len(PDF_END)) if end >= 0 else size)
            after = file.read()
    except OSError:
        return PdfMarks(found=False, odd_start=True, odd_end=False, complete=False, joined=False)
    return PdfMarks(
        found=PDF_START in head or (max(start, table) >= 0 and not archive),
        odd_start=not 0 <= start <= HEAD_BYTES or bool(head[:start].strip(PADDING)),
        odd_end=end >= 0 and (size - end > HEAD_BYTES or bool(after.strip(PADDING))),
        complete=end >= 0,
        joined=0 <= joint < end,
    )


def _shift(place: int, offset: int) -> int:
    return place + offset if place >= 0 else -1


def clean_name(name: str) -> str:
    r"""Return the base name of `name`, safe to display: NFC, one line, nothing invisible, at most 255 characters.

    The result is data: `<img>` is kept as written and is escaped when HTML is made.

    >>> clean_name("../../etc/passwd"), clean_name("C:\\scans\\a\u202efdp.exe.pdf")
    ('passwd', 'afdp.exe.pdf')
    """
    # Files name others by names of any length, and normalizing takes the square of it.
    if len(name) > MAX_RAW_LENGTH:
        name = name[: MAX_RAW_LENGTH // 2] + name[-MAX_RAW_LENGTH // 2 :]
    # NFC, not NFKC: the name is the one on the disk, and systems disagree only about composed letters.
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    cleaned = ["".join(filter(_is_visible, WHITE_SPACE.sub(_space, part))).strip() for part in parts]
    base = next((part for part in reversed(cleaned) if part.strip(". ")), "document")
    if len(base) <= MAX_NAME_LENGTH:
        return base
    suffix = PurePosixPath(base).suffix
    suffix = suffix if len(suffix) <= MAX_SUFFIX_LENGTH else ""
    return base[: MAX_NAME_LENGTH - len(suffix) - 1].rstrip() + "…" + suffix


def _space(white_space: re.Match[str]) -> str:
    return " " if LINE_BREAK.search(white_space[0]) else white_space[0]


def _is_visible(character: str) -> bool:
    """Return False for control and format characters and lone surrogates."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


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
